"""Layers that every fusion strategy shares: the convolutional trunk, local response normalisation, the classifier.

Letters: B clips, N images (B clips times T frames), T frames, C channels, H height, W width, K classes, F features.
Everything between the layers is channels-last in memory, which is what the convolution kernels want.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models.normalisation import LocalResponseNorm
from benchmark.models.temporal_conv import TemporalConv

Resolution = Literal["full", "multires", "fovea", "context"]

INPUT_SIDE: dict[Resolution, int] = {"full": 170, "multires": 178, "fovea": 178, "context": 178}
FOVEA_SIDE = 89
TRUNK_SIDE = 7  # every trunk ends in 7x7 at full width x256 (section 3.2)
PIXEL_MEAN = 117.0  # section 3.3


def scaled(channels: int, width: float) -> int:
    """A channel count at a fraction of the paper's width, at least 1."""
    return max(1, round(channels * width))


@dataclasses.dataclass(frozen=True)
class TimeExtents:
    """Frames that each of the first three convolutions sees, and its stride in time (section 3.1).

    Args:
        conv1: Extent and stride of the first convolution.
        conv2: Of the second.
        conv3: Of the third.
    """

    conv1: tuple[int, int] = (1, 1)
    conv2: tuple[int, int] = (1, 1)
    conv3: tuple[int, int] = (1, 1)


class Trunk(nn.Module):
    """The convolutional part of the network, C(96,11,3)-N-P-C(256,5,1)-N-P-C(384,3,1)-C(384,3,1)-C(256,3,1)-P.

    Section 3.2's single-frame trunk; borders as in README: the first convolution unpadded, the others same-padded,
    pooling rounded up, so that 170 and 89 pixels both end in 7x7.

    Args:
        width: Fraction of the paper's channel counts.
        pixel_scale: What pixels were divided by.
        last_pool: Whether the last pooling layer is there; without it 89 pixels end in 7x7, with it 170 do.
        time: Temporal extents of the first three convolutions.
    """

    def __init__(
        self,
        *,
        width: float,
        pixel_scale: float,
        last_pool: bool,
        time: TimeExtents = TimeExtents(),
    ) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (scaled(channels, width) for channels in (96, 256, 384, 384, 256))
        self.conv1 = TemporalConv(3, c1, 11, stride=3, extent=time.conv1[0], temporal_stride=time.conv1[1])
        self.norm1 = LocalResponseNorm(c1, pixel_scale=pixel_scale)
        self.conv2 = TemporalConv(c1, c2, 5, padding=2, extent=time.conv2[0], temporal_stride=time.conv2[1])
        self.norm2 = LocalResponseNorm(c2, pixel_scale=pixel_scale)
        self.conv3 = TemporalConv(c2, c3, 3, padding=1, extent=time.conv3[0], temporal_stride=time.conv3[1])
        self.conv4 = TemporalConv(c3, c4, 3, padding=1)
        self.conv5 = TemporalConv(c4, c5, 3, padding=1)
        self.relu = nn.ReLU()  # in place, on views, its backward pass would change the layout of the gradient
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.last_pool = last_pool
        self.features = c5 * TRUNK_SIDE**2

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 3, S, S) normalised pixels to (B, T', F), F = 7 * 7 * C in the order height, width, channel."""
        frames = self.conv1(x)
        frames = self._per_frame(frames, self.relu, self.norm1, self.pool)
        frames = self.conv2(frames)
        frames = self._per_frame(frames, self.relu, self.norm2, self.pool)
        frames = self._per_frame(self.conv3(frames), self.relu)
        frames = self._per_frame(self.conv4(frames), self.relu)
        frames = self._per_frame(self.conv5(frames), self.relu, *([self.pool] if self.last_pool else []))
        return frames.permute(0, 1, 3, 4, 2).flatten(2)

    @staticmethod
    def _per_frame(x: Tensor, *layers: nn.Module) -> Tensor:
        """Apply 2-D layers to (B, T, C, H, W)."""
        flat = x.flatten(0, 1)
        for layer in layers:
            flat = layer(flat)
        return flat.view(*x.shape[:2], *flat.shape[1:])


class Streams(nn.Module):
    """One trunk for the full frame, or a context and a fovea trunk that share nothing (section 3.2).

    Args:
        resolution: `full` takes 170x170. The others take 178x178: `context` sees it halved to 89x89, `fovea` its
            centre 89x89 at full detail, `multires` both.
        width: Fraction of the paper's channel counts.
        pixel_scale: What pixels are divided by after 117 is subtracted.
        time: Temporal extents of the first three convolutions.

    Raises:
        UserError: If resolution, width or pixel scale are not allowed.
    """

    def __init__(
        self,
        resolution: Resolution,
        *,
        width: float,
        pixel_scale: float,
        time: TimeExtents = TimeExtents(),
    ) -> None:
        super().__init__()
        if resolution not in INPUT_SIDE:
            raise UserError(f"model.resolution is {resolution!r}; allowed are {', '.join(INPUT_SIDE)}")
        if not (0 < width <= 4 and math.isfinite(pixel_scale) and pixel_scale > 0):
            raise UserError(
                f"model.width is {width} and model.pixel_scale is {pixel_scale}; width must be above 0 and at most 4, "
                "pixel_scale above 0"
            )
        names = ("context", "fovea") if resolution == "multires" else (resolution,)
        self.resolution, self.pixel_scale = resolution, pixel_scale
        self.trunks = nn.ModuleDict(
            {
                name: Trunk(width=width, pixel_scale=pixel_scale, last_pool=resolution == "full", time=time)
                for name in names
            }
        )
        self.features = sum(trunk.features for trunk in self._trunks().values())

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB to (B, T', F): features of both streams side by side."""
        device = clips.device.type
        weights = next(self.parameters()).dtype  # other than float32 in Lightning's `64-true` and `bf16-true`
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weights
        trunks = self._trunks().items()
        return torch.cat([trunk(self._seen(clips, name, dtype).permute(0, 1, 4, 2, 3)) for name, trunk in trunks], -1)

    def _seen(self, clips: Tensor, stream: str, dtype: torch.dtype) -> Tensor:
        """What a stream sees of (B, T, S, S, 3) uint8, normalised in this dtype."""
        if stream == "context":  # summed as whole numbers: pooling in low precision takes several times as long
            rows = clips[:, :, 0::2].to(torch.int16) + clips[:, :, 1::2]
            sums = rows[..., 0::2, :] + rows[..., 1::2, :]
            exact = sums.to(torch.promote_types(dtype, torch.float32))
            return exact.sub_(4 * PIXEL_MEAN).div_(4 * self.pixel_scale).to(dtype)
        if stream == "fovea":
            edge = (clips.shape[2] - FOVEA_SIDE) // 2
            clips = clips[:, :, edge : edge + FOVEA_SIDE, edge : edge + FOVEA_SIDE]
        # Every uint8 value and its difference to the mean are exact in bfloat16, so autocast may begin here.
        return clips.to(dtype, memory_format=torch.contiguous_format).sub_(PIXEL_MEAN).div_(self.pixel_scale)

    def _trunks(self) -> dict[str, Trunk]:
        return dict(self.trunks.items())  # type: ignore[arg-type]


class Classifier(nn.Sequential):
    """FC(4096)-FC(4096)-FC(K), each hidden layer after dropout as in Krizhevsky et al. (2012).

    Args:
        features: F.
        num_classes: K.
        width: Fraction of the paper's 4096 units.
        dropout: Chance of dropping a feature in training, 0 to 1.

    Raises:
        UserError: If dropout is not from 0 to below 1.
    """

    def __init__(self, features: int, num_classes: int, *, width: float, dropout: float) -> None:
        if not 0 <= dropout < 1:
            raise UserError(f"model.dropout is {dropout}; it is a chance from 0 to below 1")
        hidden = scaled(4096, width)
        super().__init__(
            nn.Dropout(dropout),
            nn.Linear(features, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of the three fully connected layers, bottom to top."""
        return [list(layer.parameters()) for layer in self if isinstance(layer, nn.Linear)]


def initialise(modules: Sequence[nn.Module]) -> None:
    """Weights that keep the variance of ReLU activations (He et al. 2015), zero biases, a small last layer."""
    layers = [layer for module in modules for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=0.01)
