"""Local response normalisation, by what each kind of device does fastest.

Letters: N images, C channels, H height, W width.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from benchmark.cost import is_counting


class LocalResponseNorm(nn.Module):
    """Normalises each activation by its neighbours in channel order, after Krizhevsky et al. (2012).

    b = a / (k + alpha * sum of a^2 over `size` neighbouring channels) ^ beta. `alpha` is not divided by `size`, unlike
    in `torch.nn.functional.local_response_norm`.

    The sum over the window is a 1x1 convolution with a band matrix on the processor, where convolutions are fast and
    pooling over channels is not, and a pooling over channels on a GPU, where that convolution takes most of a test.
    A compiler is given the bare formula, which it fuses with what comes before.

    Args:
        channels: C.
        pixel_scale: What pixels were divided by; `alpha` is multiplied by its square, which makes this the same
            function as on raw pixels up to the scale of the next layer's weights.
        size: Channels in the window, odd.
        alpha: Weight of the sum.
        beta: Exponent.
        k: Added constant.
    """

    band: Tensor

    def __init__(
        self,
        channels: int,
        *,
        pixel_scale: float = 1.0,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.5,
        k: float = 2.0,
    ) -> None:
        super().__init__()
        distance = (torch.arange(channels)[:, None] - torch.arange(channels)[None]).abs()
        self.register_buffer("band", (distance <= size // 2).float()[:, :, None, None], persistent=False)
        self.size, self.alpha, self.beta, self.k = size, alpha * pixel_scale**2, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) floating point, to the same shape and dtype."""
        if torch.compiler.is_compiling():
            return self._formula(x)
        with torch.autocast(x.device.type, enabled=False):
            is_by_band = x.device.type != "cuda" or is_counting()
            band = self.band.to(x.dtype) * self.alpha if is_by_band else None
            normalised: Tensor = _Normalised.apply(x, self, band)
        return normalised

    def window(self, squares: Tensor, band: Tensor | None, offset: float) -> Tensor:
        """Offset + alpha * sum over neighbouring channels, of (N, C, H, W) to the same."""
        if band is not None:
            return F.conv2d(squares, band, squares.new_full((len(band),), offset))
        images, channels, height, width = squares.shape
        rows = squares.permute(0, 2, 3, 1).reshape(images * height * width, 1, channels)
        means = F.avg_pool1d(rows, self.size, 1, self.size // 2)  # zeros beyond the ends count as neighbours
        summed = means.view(images, height, width, channels).permute(0, 3, 1, 2)
        return summed.mul_(self.alpha * self.size).add_(offset)

    def _formula(self, x: Tensor) -> Tensor:
        reach, channels = self.size // 2, x.shape[1]
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        squares = F.pad(precise.square(), (0, 0, 0, 0, reach, reach))
        summed = functools.reduce(torch.add, (squares[:, d : d + channels] for d in range(self.size)))
        scale = self.k + self.alpha * summed
        return (x * (scale.rsqrt() if self.beta == 0.5 else scale.pow(-self.beta))).to(x.dtype)


class _Normalised(torch.autograd.Function):
    """y = x * (k + window(x^2)) ^ -beta, with a backward pass that keeps only x and the power."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: LocalResponseNorm, band: Tensor | None) -> Tensor:
        power = norm.window(x * x, band, norm.k).pow_(-norm.beta)
        ctx.save_for_backward(x, power)
        ctx.norm, ctx.band = norm, band
        return x * power

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x, power), norm = ctx.saved_tensors, ctx.norm
        inner = (grad * x).mul_(power.pow(1 + 1 / norm.beta))
        return torch.addcmul(grad * power, x, norm.window(inner, ctx.band, 0.0), value=-2 * norm.beta), None, None
