"""The tensors that travel from data to models.

Letters: B clips, T frames, H height, W width, C channels (RGB), K classes.
"""

import dataclasses
import functools
from typing import Any, Self

import torch
from torch import Tensor

from benchmark.protocol import View


@dataclasses.dataclass(frozen=True)
class Failure:
    """A video that could not be read, and why.

    Args:
        row: Row of the video in the index.
        video_id: Name of the video.
        reason: One sentence.
    """

    row: int
    video_id: str
    reason: str


class _Batch:
    """What any batch of tensors can do."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same batch with its tensors on another device."""
        return self._with({name: t.to(device, non_blocking=non_blocking) for name, t in self._tensors().items()})

    def sent(self, device: torch.device) -> Self:
        """The same batch on a device; a GPU takes it from page-locked memory beside what it computes meanwhile."""
        if device.type != "cuda":  # others may read the host's memory when it holds something else
            return self.to(device)
        computing, sending = torch.cuda.current_stream(device), _sending_stream(device)
        with torch.cuda.stream(sending):
            there = self.to(device, non_blocking=True)
        computing.wait_stream(sending)
        for tensor in there._tensors().values():
            tensor.record_stream(computing)  # its memory is not given to the next batch before it is used
        return there

    def pin_memory(self) -> Self:
        """The same batch with its tensors in page-locked memory."""
        return self._with({name: t.pin_memory() for name, t in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: value for field in fields if isinstance(value := getattr(self, field.name), Tensor)}

    def _with(self, moved: dict[str, Any]) -> Self:
        return dataclasses.replace(self, **moved)  # type: ignore[type-var]


@dataclasses.dataclass
class ClipBatch(_Batch):
    """Clips with their labels; in validation and testing all clips of a video are in one batch.

    Args:
        frames: (B, T, H, W, C) uint8, 0 to 255, RGB.
        labels: (B, K) float32, 1 for each true class and 0 elsewhere; all 0 where labels are unknown.
        rows: (B,) int64, row of each clip's video in the index.
        clips: (B,) int64, number of the clip within its video.
        starts: (B,) int64, first source frame of the clip.
        padded: (B,) bool, true where the video is shorter than a clip and its last frame was repeated.
        views: Views of each clip that a model scores; `centre` of frames already cut to its input is the whole frame.
        failures: Videos of this batch that could not be read; none of their clips are among the B.

    Raises:
        ValueError: If shapes or dtypes differ from the above.
    """

    frames: Tensor
    labels: Tensor
    rows: Tensor
    clips: Tensor
    starts: Tensor
    padded: Tensor
    views: tuple[View, ...] = ("centre",)
    failures: list[Failure] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.frames.ndim != 5 or self.frames.shape[-1] != 3 or self.frames.dtype != torch.uint8:
            raise ValueError(
                f"frames are {tuple(self.frames.shape)} {self.frames.dtype}; expected (B, T, H, W, 3) torch.uint8"
            )
        count = len(self.frames)
        if self.labels.ndim != 2:
            raise ValueError(f"labels are {tuple(self.labels.shape)}; expected (B, K)")
        for name in ("labels", "rows", "clips", "starts", "padded"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows, but there are {count} clips in frames")

    def __len__(self) -> int:
        return len(self.frames)


@dataclasses.dataclass
class FeatureBatch(_Batch):
    """Clips of which only what the first trained layer sees is left, in place of their frames.

    Letters: F features.

    Args:
        features: (B, F) floating point, what frozen layers made of one view of each clip.
        first_layer: Number of the layer, in the model's `head_layers`, that they are the input of.
        labels: (B, K) float32, 1 for each true class and 0 elsewhere.
        rows: (B,) int64, row of each clip's video in the index.
        clips: (B,) int64, number of the clip within its video.
        failures: Videos of this batch that could not be read; none of their clips are among the B.

    Raises:
        ValueError: If the tensors differ in length.
    """

    features: Tensor
    first_layer: int
    labels: Tensor
    rows: Tensor
    clips: Tensor
    failures: list[Failure] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        lengths = {name: len(tensor) for name, tensor in self._tensors().items()}
        if len(set(lengths.values())) != 1 or self.features.ndim != 2:
            raise ValueError(f"features are {tuple(self.features.shape)}; expected (B, F), and B rows in {lengths}")

    def __len__(self) -> int:
        return len(self.features)


@dataclasses.dataclass
class VideoBatch(FeatureBatch):
    """Whole videos, each as one row of features; they have no clips, and `clips` are all 0."""


@functools.cache
def _sending_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def cut_view(frames: Tensor, view: View, side: int) -> Tensor:
    """One square crop of each frame, mirrored left to right where the view says so.

    Args:
        frames: (B, T, H, W, C), any dtype.
        view: Place of the crop.
        side: Side of the crop in pixels, at most H and W.

    Returns:
        (B, T, side, side, C), the dtype of `frames`.

    Raises:
        ValueError: If the crop does not fit.
    """
    height, width = frames.shape[2:4]
    if side > min(height, width):
        raise ValueError(f"a crop of {side}x{side} does not fit into frames of {height}x{width}")
    place = view.removesuffix("_flipped")
    top, left = {
        "upper_left": (0, 0),
        "lower_right": (height - side, width - side),
        "centre": ((height - side) // 2, (width - side) // 2),
    }[place]
    crop = frames[:, :, top : top + side, left : left + side]
    return crop.flip(3) if view.endswith("_flipped") else crop
