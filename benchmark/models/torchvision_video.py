"""torchvision's video networks under the suite's protocol.

Frames, means, standard deviations and addresses are those of torchvision's own `*_Weights`: their transforms and the
`frame_rate` and `clip_len` of their documentation (frames a second; a step of 2 or 4 in a video of 30).
"""

from pathlib import Path
from typing import Any, Literal

from torch import nn

from benchmark.errors import UserError
from benchmark.models.library import CROP, LibraryNetwork, NetworkInput, Sampling
from benchmark.models.recipe import Recipe

TorchvisionArchitecture = Literal["r3d_18", "mc3_18", "r2plus1d_18", "s3d", "mvit_v2_s", "swin3d_t"]

_URL = "https://download.pytorch.org/models/"
_KINETICS = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
_SLOWFAST = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _resnet(file: str) -> NetworkInput:
    """The 18-layer networks see 112 of 128 pixels; 176 of 200 shrunk to 112 is the same share at the same scale."""
    return NetworkInput((16, 1), (16, 2), *_KINETICS, f"{_URL}{file}", crop=176, side=112)


NETWORKS: dict[TorchvisionArchitecture, NetworkInput] = {
    "r3d_18": _resnet("r3d_18-b3b3357e.pth"),
    "mc3_18": _resnet("mc3_18-a90a0ba3.pth"),
    "r2plus1d_18": _resnet("r2plus1d_18-91a641e6.pth"),
    "s3d": NetworkInput((16, 1), (128, 2), *_KINETICS, f"{_URL}s3d-d76dad2f.pth"),
    "mvit_v2_s": NetworkInput((16, 1), (16, 4), *_SLOWFAST, f"{_URL}mvit_v2_s-ae3be167.pth"),
    "swin3d_t": NetworkInput((16, 1), (32, 2), *_IMAGENET, f"{_URL}swin3d_t-7615ae03.pth"),
}


class TorchvisionVideo(LibraryNetwork):
    """A video network of torchvision.

    Args:
        num_classes: K.
        architecture: Name of torchvision's builder.
        sampling: `shared` reads 16 consecutive frames, the clip of every strategy; `native` the longer clip of the
            published weights, which is another protocol.
        weights: File of published weights to begin with, or None for random ones.
        recipe: How it is trained.

    Raises:
        UserError: If the architecture is unknown, or the weights do not fit it.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        architecture: TorchvisionArchitecture,
        sampling: Sampling = "shared",
        weights: Path | None = None,
        recipe: Recipe = Recipe(),
    ) -> None:
        if architecture not in NETWORKS:
            raise UserError(f"model.architecture is {architecture!r}; allowed are {', '.join(NETWORKS)}")
        facts = NETWORKS[architecture]
        super().__init__(num_classes, architecture, facts, sampling=sampling, weights=weights, recipe=recipe)

    def _build(self) -> nn.Module:
        from torchvision.models import get_model  # takes seconds, which other strategies need not pay

        network: nn.Module = get_model(self.network_name, weights=None, num_classes=self.num_classes)
        if self.network_name == "s3d":  # its last pooling is made for 224 pixels
            network.avgpool = nn.AvgPool3d((2, CROP // 32, CROP // 32), stride=1)
        if self.network_name == "mvit_v2_s":
            # Its builder fixes 224 pixels. Its positions are relative and interpolated as it runs, so that published
            # weights fit as they are once it knows how many patches there are.
            positions: Any = network.get_submodule("pos_encoding")
            positions.spatial_size = (CROP // 4, CROP // 4)
        return network
