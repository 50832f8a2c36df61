"""Convolutions that the processor's library, oneDNN, trains wrongly in bfloat16."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def work_around_onednn(network: nn.Module) -> None:
    """Let the convolutions of a network be trained on the processor as its weights are anywhere else.

    Where the input is smaller than the kernel, oneDNN leaves part of the gradients of weights and bias unwritten in
    bfloat16, and whatever the memory held before is then trained on: with a 3x3x3 kernel over two frames, where most
    3-D networks of 16-frame clips end. For some shapes it even aborts the process. Everything is right where the
    padding is part of the input, so such convolutions pad it themselves.

    On processors with AMX the backward pass of 3-D kernels writes beyond its memory for some sizes, such as pictures of
    160 pixels: a fit hangs, dies or goes on with other values. There 3-D convolutions train in float32.

    Args:
        network: Its convolutions are changed in place; a second time changes nothing.
    """
    for module in network.modules():
        padded = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.padding_mode in {"zeros", "constant"}
        if padded and _pad_if_small not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_pad_if_small, with_kwargs=True)
        is_changed = "_conv_forward" in vars(module)
        if isinstance(module, nn.Conv3d) and torch.cpu._is_amx_tile_supported() and not is_changed:
            # Of the instance, as libraries have classes of their own below this one.
            module._conv_forward = functools.partial(_train_in_float32, module._conv_forward)  # type: ignore[method-assign]


def _train_in_float32(
    convolve: Callable[[Tensor, Tensor, Tensor | None], Tensor], pixels: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """What a convolution gives, in the type that it would have, by float32 where it is trained in bfloat16."""
    low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else pixels.dtype
    is_trained = torch.is_grad_enabled() and weight.requires_grad and pixels.device.type == "cpu"
    if low != torch.bfloat16 or not is_trained:
        return convolve(pixels, weight, bias)
    with torch.autocast("cpu", enabled=False):
        return convolve(pixels.float(), weight.float(), None if bias is None else bias.float()).to(low)


def _pad_if_small(convolution: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    # The module hands "zeros" to the library and pads by itself for everything else; "constant" are zeros too.
    convolution.padding_mode = "zeros"
    pixels: Tensor = inputs[0] if inputs else named["input"]
    # An exported network keeps its free sizes: they are compared only where weights are trained on the processor.
    if torch.is_grad_enabled() and convolution.weight.requires_grad and pixels.device.type == "cpu":
        extents = [d * (k - 1) + 1 for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]
        if any(size < extent for size, extent in zip(pixels.shape[-len(extents) :], extents, strict=True)):
            convolution.padding_mode = "constant"
