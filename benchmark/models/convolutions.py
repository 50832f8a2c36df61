"""Convolutions whose input is smaller than their kernel, which the processor's library trains wrongly."""

from typing import Any

import torch
from torch import Tensor, nn


def pad_small_inputs(network: nn.Module) -> None:
    """Let convolutions pad their input themselves on the processor where it is smaller than the kernel.

    oneDNN leaves part of the gradient of the weights unwritten there in bfloat16, and whatever the memory held before
    is then trained on: with a 3x3x3 kernel over two frames, where most 3-D networks of 16-frame clips end. Its outputs
    and the gradient of the input are right, and so is everything where the padding is part of the input.

    Args:
        network: Its convolutions with zero padding are changed in place; a second time changes nothing.
    """
    for module in network.modules():
        padded = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.padding_mode in {"zeros", "constant"}
        if padded and _pad_if_small not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_pad_if_small)


def _pad_if_small(convolution: Any, inputs: tuple[Tensor, ...]) -> None:
    # The module hands "zeros" to the library and pads by itself for everything else; "constant" are zeros too.
    pixels = inputs[0]
    extents = [d * (k - 1) + 1 for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]
    small = any(size < extent for size, extent in zip(pixels.shape[-len(extents) :], extents, strict=True))
    trained = torch.is_grad_enabled() and pixels.device.type == "cpu"
    convolution.padding_mode = "constant" if small and trained else "zeros"
