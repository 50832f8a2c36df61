"""Convolutions whose input is smaller than their kernel, which the processor's library trains wrongly."""

from typing import Any

import torch
from torch import Tensor, nn


def pad_small_inputs(network: nn.Module) -> None:
    """Let convolutions pad their input themselves on the processor where it is smaller than the kernel.

    oneDNN leaves part of the gradients of weights and bias unwritten there in bfloat16, and whatever the memory held
    before is then trained on: with a 3x3x3 kernel over two frames, where most 3-D networks of 16-frame clips end. For
    some shapes it even aborts the process. Everything is right where the padding is part of the input.

    Args:
        network: Its convolutions with zero padding are changed in place; a second time changes nothing.
    """
    for module in network.modules():
        padded = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.padding_mode in {"zeros", "constant"}
        if padded and _pad_if_small not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_pad_if_small, with_kwargs=True)


def _pad_if_small(convolution: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    # The module hands "zeros" to the library and pads by itself for everything else; "constant" are zeros too.
    convolution.padding_mode = "zeros"
    pixels: Tensor = inputs[0] if inputs else named["input"]
    # An exported network keeps its free sizes: they are compared only where weights are trained on the processor.
    if torch.is_grad_enabled() and convolution.weight.requires_grad and pixels.device.type == "cpu":
        extents = [d * (k - 1) + 1 for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]
        if any(size < extent for size, extent in zip(pixels.shape[-len(extents) :], extents, strict=True)):
            convolution.padding_mode = "constant"
