"""What every network that comes from a library shares: its input, its published weights, a batch without clips.

The network itself is the library's own and is never copied. An adapter builds it and says, as facts with their source,
which frames and pixels it reads.
Letters: B clips, T frames, S side of the crop in pixels, K classes.
"""

import dataclasses
from abc import abstractmethod
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models.pretrained import load_weights
from benchmark.models.recipe import Recipe
from benchmark.models.video_classifier import VideoClassifier

Sampling = Literal["shared", "native"]
"""Frames inside the 16-frame clip that every strategy shares, or those that the published weights were trained on."""

SHARED_CLIP = 16
CROP = 160
"""Side of the crop: with 200 pixels a side there is no 224; 160 is a multiple of all strides (32), the native side of
X3D-XS and X3D-S, and near the 170 of the paper's own networks."""


def spread(frames: int, step: int) -> tuple[int, ...]:
    """Offsets of `frames` frames, `step` apart, in the middle of the shared 16-frame clip."""
    first = (SHARED_CLIP - (frames - 1) * step) // 2
    return tuple(range(first, first + frames * step, step))


@dataclasses.dataclass(frozen=True)
class NetworkInput:
    """What one architecture reads, and where its published weights lie.

    Args:
        shared: Frames and the step between them inside the 16-frame clip.
        native: Frames and the step between them, in source frames of a video of about 30 frames a second, that the
            published weights were trained or measured on.
        mean: Of red, green and blue from 0 to 1, subtracted.
        std: What they are then divided by.
        published: Address of the weights.
        crop: Side S of the square cut from the 200x200 frame, in pixels.
        side: Side in pixels to which the crop is shrunk, where the network is trained on smaller pictures.
    """

    shared: tuple[int, int]
    native: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    published: str
    crop: int = CROP
    side: int = CROP

    def offsets(self, sampling: Sampling) -> tuple[int, ...]:
        """Frames read, counted from the first of the clip."""
        if sampling == "shared":
            return spread(*self.shared)
        frames, step = self.native
        return tuple(range(0, frames * step, step))

    def clip_frames(self, sampling: Sampling) -> int:
        """Consecutive source frames of a clip; what differs from 16 is another protocol."""
        return SHARED_CLIP if sampling == "shared" else self.native[0] * self.native[1]


class LibraryNetwork(VideoClassifier):
    """A network of a library under the suite's protocol; a subclass builds it.

    Args:
        num_classes: K.
        name: The architecture.
        facts: What it reads.
        sampling: `shared` reads frames of the 16-frame clip, so that it ranks with the paper's strategies; `native`
            those of the published weights, over a longer clip and so under a protocol of its own.
        weights: File of published weights to begin with, or None for random ones.
        recipe: How it is trained.
    """

    def __init__(
        self,
        num_classes: int,
        name: str,
        facts: NetworkInput,
        *,
        sampling: Sampling,
        weights: Path | None,
        recipe: Recipe,
    ) -> None:
        super().__init__(num_classes, recipe)
        self.network_name, self.facts, self.sampling, self.weights = name, facts, sampling, weights
        self.frame_offsets = facts.offsets(sampling)
        self.clip_frames = facts.clip_frames(sampling)
        self.input_side = facts.crop
        self.network = self._build()
        self.classifier_name = list(self.network.state_dict())[-1].rpartition(".")[0]
        if weights is not None:
            loaded = load_weights(self.network, self.classifier_name, weights, name=name, published=facts.published)
            rank_zero_only(print)(loaded.said, flush=True)
            self.weights_provenance = loaded.provenance
            self.begins_with_published_weights = True

    @abstractmethod
    def _build(self) -> nn.Module:
        """The library's network with random weights, from (B, 3, T, side, side) to logits (B, K)."""

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB to logits (B, K)."""
        if not len(clips):
            return no_logits(self, self.num_classes)
        return self._scores(self.pixels(clips))

    def _scores(self, pixels: Tensor) -> Tensor:
        """(B, 3, T, side, side) normalised pixels to logits (B, K)."""
        logits: Tensor = self.network(pixels)
        return logits

    def pixels(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB to (B, 3, T, side, side) normalised pixels in the precision of the weights."""
        weights = next(self.network.parameters()).dtype
        exact = torch.promote_types(weights, torch.float32)
        frames = clips.to(exact).div_(255)
        frames.sub_(frames.new_tensor(self.facts.mean)).div_(frames.new_tensor(self.facts.std))
        if self.facts.side != clips.shape[3]:
            flat = frames.flatten(0, 1).permute(0, 3, 1, 2)
            side = (self.facts.side, self.facts.side)
            shrunk = F.interpolate(flat, side, mode="bilinear", antialias=True, align_corners=False)
            frames = shrunk.permute(0, 2, 3, 1).view(*clips.shape[:2], *side, 3)
        return frames.permute(0, 4, 1, 2, 3).to(weights)

    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of the library's stages, from the input up; the classifier is a group of its own."""
        units: list[nn.Module] = []
        for name, child in self.network.named_children():
            units += child.children() if name in {"features", "blocks"} else [child]
        classifier = list(self.network.get_submodule(self.classifier_name).parameters())
        apart = set(classifier)
        groups = [[p for p in unit.parameters() if p not in apart] for unit in units]
        return [*(group for group in groups if group), classifier]


def no_logits(module: nn.Module, num_classes: int) -> Tensor:
    """Logits (0, K) of a batch without clips, whose gradient is zero for every parameter.

    The layers never run: batch normalisation would refuse an empty batch, and pooling in some libraries does.
    """
    nothing = torch.stack([parameter.flatten()[:0].sum() for parameter in module.parameters()]).sum()
    return nothing.expand(0, num_classes)
