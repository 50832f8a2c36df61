"""The honest rival of every video network: an image network on single frames, its scores averaged.

It sees what moves only as different pictures, in no order. Mean, standard deviation and addresses are those of
torchvision's `IMAGENET1K_V1` weights.
"""

from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models.library import SHARED_CLIP, LibraryNetwork, NetworkInput
from benchmark.models.recipe import Recipe

ImageArchitecture = Literal["resnet18", "resnet50"]

PUBLISHED: dict[ImageArchitecture, str] = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
}


class FrameAverage(LibraryNetwork):
    """Averages an image network's scores over frames of the clip.

    Args:
        num_classes: K.
        architecture: Name of torchvision's builder.
        frames: Frames, evenly spaced in the 16-frame clip; 1 is its middle one.
        weights: File of published weights to begin with, or None for random ones.
        recipe: How it is trained.

    Raises:
        UserError: If the architecture is unknown, frames are not from 1 to 16, or the weights do not fit.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        architecture: ImageArchitecture,
        frames: int = 4,
        weights: Path | None = None,
        recipe: Recipe = Recipe(),
    ) -> None:
        if architecture not in PUBLISHED:
            raise UserError(f"model.architecture is {architecture!r}; allowed are {', '.join(PUBLISHED)}")
        if not 1 <= frames <= SHARED_CLIP:
            raise UserError(f"model.frames is {frames}; it must be from 1 to {SHARED_CLIP}, the frames of a clip")
        step = SHARED_CLIP // frames
        facts = NetworkInput(
            (frames, step), (frames, step), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), PUBLISHED[architecture]
        )
        super().__init__(num_classes, architecture, facts, sampling="shared", weights=weights, recipe=recipe)
        self.frames = frames

    def _build(self) -> nn.Module:
        from torchvision.models import get_model  # takes seconds, which other strategies need not pay

        network: nn.Module = get_model(self.network_name, weights=None, num_classes=self.num_classes)
        return network

    def _scores(self, pixels: Tensor) -> Tensor:
        frames = pixels.transpose(1, 2)
        scores: Tensor = self.network(frames.flatten(0, 1))
        return scores.view(*frames.shape[:2], -1).mean(1)
