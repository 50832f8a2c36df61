"""pytorchvideo's model zoo under the suite's protocol.

Frames, steps and addresses are those of its model zoo (`FRAMES x STEP` in the names of its files), mean 0.45 and
standard deviation 0.225 those of the transforms beside it. X3D-L is left out: its 312 pixels are more than a frame has.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.models.library import CROP, LibraryNetwork, NetworkInput, Sampling
from benchmark.models.recipe import Recipe

PytorchvideoArchitecture = Literal[
    "x3d_xs",
    "x3d_s",
    "x3d_m",
    "slow_r50",
    "slowfast_r50",
    "r2plus1d_r50",
    "csn_r101",
    "i3d_r50",
    "c2d_r50",
    "mvit_base_16x4",
]

ALPHA = 4
"""Frames of SlowFast's fast pathway for one of the slow pathway."""


def _zoo(shared: tuple[int, int], native: tuple[int, int], file: str) -> NetworkInput:
    address = f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{file}.pyth"
    return NetworkInput(shared, native, (0.45, 0.45, 0.45), (0.225, 0.225, 0.225), address)


NETWORKS: dict[PytorchvideoArchitecture, NetworkInput] = {
    "x3d_xs": _zoo((4, 4), (4, 12), "X3D_XS"),
    "x3d_s": _zoo((13, 1), (13, 6), "X3D_S"),
    "x3d_m": _zoo((16, 1), (16, 5), "X3D_M"),
    "slow_r50": _zoo((8, 2), (8, 8), "SLOW_8x8_R50"),
    "slowfast_r50": _zoo((16, 1), (32, 2), "SLOWFAST_8x8_R50"),  # the fast pathway's; a quarter of them is slow
    "r2plus1d_r50": _zoo((16, 1), (16, 4), "R2PLUS1D_16x4_R50"),
    "csn_r101": _zoo((16, 1), (32, 2), "CSN_32x2_R101"),
    "i3d_r50": _zoo((8, 2), (8, 8), "I3D_8x8_R50"),
    "c2d_r50": _zoo((8, 2), (8, 8), "C2D_8x8_R50"),
    "mvit_base_16x4": _zoo((16, 1), (16, 4), "MVIT_B_16x4"),
}


class PytorchvideoVideo(LibraryNetwork):
    """A network of pytorchvideo's model zoo.

    Args:
        num_classes: K.
        architecture: Name of pytorchvideo's builder.
        sampling: `shared` reads frames of the 16-frame clip; `native` those of the published weights, over a longer
            clip, which is another protocol.
        weights: File of published weights to begin with, or None for random ones.
        recipe: How it is trained.

    Raises:
        UserError: If the architecture is unknown, pytorchvideo is missing, or the weights do not fit it.
    """

    optional_library = "pytorchvideo"

    def __init__(
        self,
        num_classes: int,
        *,
        architecture: PytorchvideoArchitecture,
        sampling: Sampling = "shared",
        weights: Path | None = None,
        recipe: Recipe = Recipe(),
    ) -> None:
        if architecture not in NETWORKS:
            raise UserError(f"model.architecture is {architecture!r}; allowed are {', '.join(NETWORKS)}")
        facts = NETWORKS[architecture]
        super().__init__(num_classes, architecture, facts, sampling=sampling, weights=weights, recipe=recipe)

    def _build(self) -> nn.Module:
        require_extra("pytorchvideo", f"{type(self).__name__} {self.network_name}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it is the last release, and uses what torch will drop
            from pytorchvideo.models import hub
        options: dict[str, Any]
        if self.network_name.startswith("x3d"):  # the builders in `hub` fix the size of the picture
            from pytorchvideo.models.x3d import create_x3d as builder

            options = {"input_clip_length": len(self.frame_offsets), "input_crop_size": CROP}
        else:
            builder = getattr(hub, self.network_name)
            options = {}
        return _call(builder, self.network_name, self.num_classes, options)

    def _scores(self, pixels: Tensor) -> Tensor:
        if self.network_name != "slowfast_r50":
            return super()._scores(pixels)
        frames = pixels.shape[2]
        # The spacing that the published weights were trained with: the first and the last frame are both slow ones.
        slow = torch.linspace(0, frames - 1, frames // ALPHA, device=pixels.device).long()
        logits: Tensor = self.network([pixels.index_select(2, slow), pixels])
        return logits


def _call(builder: Callable[..., nn.Module], name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
    """Build a network that ends in logits, whatever the number of frames and pixels."""
    if name == "mvit_base_16x4":
        return builder(head_num_classes=num_classes, spatial_size=CROP)
    options |= {"model_num_class": num_classes, "head_activation": None}  # three of them end in a softmax otherwise
    if not name.startswith("x3d"):
        options["head_pool"] = nn.AdaptiveAvgPool3d  # the builders' own pooling is made for 224 pixels
    if name == "slowfast_r50":
        options["head_output_size"] = (1, 1, 1)
    return builder(**options)
