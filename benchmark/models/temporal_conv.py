"""Convolutions over time and space.

Letters: B clips, T frames, C channels, H height, W width; a prime marks the output.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.cost import is_counting


class TemporalConv(nn.Conv2d):
    """A convolution over `extent` consecutive frames, as a 2-D one over their channels stacked in time order.

    Args:
        channels: Input channels of one frame.
        filters: Output channels.
        kernel: Side of the square kernel in pixels.
        stride: Spatial stride in pixels.
        padding: Zeros added to each border, in pixels.
        extent: Frames that one output sees.
        temporal_stride: Frames between outputs; no padding in time.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        extent: int = 1,
        temporal_stride: int = 1,
    ) -> None:
        super().__init__(channels * extent, filters, kernel, stride, padding)
        self.extent, self.temporal_stride = extent, temporal_stride
        # Otherwise every step converts the layout of the weights and of their gradients.
        self.weight.data = self.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) to (B, T', C', H', W'), both channels-last within each frame."""
        windows = (x.shape[1] - self.extent) // self.temporal_stride + 1
        is_by_blocks = x.device.type == "cuda" and self.stride[0] > 1 and not any(self.padding) and not is_counting()
        filtered = self.by_blocks(x) if is_by_blocks else super().forward(self._stack(x))
        return filtered.view(len(x), windows, *filtered.shape[1:])

    def _stack(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) to (B * T', extent * C, H, W): the frames of each window, side by side."""
        if self.extent == 1 and self.temporal_stride == 1:
            return x.flatten(0, 1)
        windows = x.permute(0, 1, 3, 4, 2).unfold(1, self.extent, self.temporal_stride)  # (B, T', H, W, C, extent)
        return windows.transpose(4, 5).flatten(4).flatten(0, 1).permute(0, 3, 1, 2)

    def by_blocks(self, x: Tensor) -> Tensor:
        """The same without padding, (B, T, C, H, W) to (B * T', C', H', W'), as a convolution of stride 1.

        Blocks of as many pixels as the stride is wide become channels, and the kernel is filled up with zeros to whole
        blocks: 11x11 pixels of 3 channels with a stride of 3 are 4x4 blocks of 27. A GPU's matrix units want many
        channels, in multiples of 8.
        """
        block, (kernel, _) = self.stride[0], self.kernel_size
        padded = -(-kernel // block) * block
        sides = [(side - kernel) // block * block + padded for side in x.shape[3:]]  # what the padded kernels reach
        pixels = x.permute(0, 1, 3, 4, 2)
        pixels = F.pad(pixels, (0, 0, 0, max(0, sides[1] - x.shape[4]), 0, max(0, sides[0] - x.shape[3])))
        pixels = pixels[:, :, : sides[0], : sides[1]]
        blocks = _in_blocks(_in_blocks(pixels, 3, block), 2, block).transpose(3, 4).flatten(4)
        stacked = self._stack(blocks.permute(0, 1, 4, 2, 3))
        more = -stacked.shape[1] % 8
        if more:
            stacked = F.pad(stacked.permute(0, 2, 3, 1), (0, more)).permute(0, 3, 1, 2)
        weight = F.pad(self.weight, (0, padded - kernel, 0, padded - kernel))
        weight = _in_blocks(_in_blocks(_in_blocks(weight, 3, block), 2, block), 1, weight.shape[1] // self.extent)
        # (C', extent, C, H, block, W, block) to (C', H, W, extent, block, block, C)
        weight = F.pad(weight.permute(0, 3, 5, 1, 4, 6, 2).flatten(3), (0, more)).permute(0, 3, 1, 2)
        return F.conv2d(stacked, weight, self.bias)


def _in_blocks(x: Tensor, dim: int, size: int) -> Tensor:
    """One dimension as two: blocks, and places within a block."""
    return x.reshape(*x.shape[:dim], x.shape[dim] // size, size, *x.shape[dim + 1 :])
