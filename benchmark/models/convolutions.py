"""Convolutions that the processor's library, oneDNN, trains wrongly in bfloat16."""

import functools
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
    112 or 160 pixels: a fit hangs, dies or goes on with other values. Where strides leave an output one pixel wide,
    the forward pass without gradients leaves it unwritten. There 3-D convolutions compute in float32.

    Modules of torch's classes, and of classes below them, are reached; `F.conv3d` and transposed kernels are not.

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
            module._conv_forward = functools.partial(_in_float32, module._conv_forward)  # type: ignore[method-assign]


def _in_float32(convolve: Any, pixels: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a convolution gives, in the type that it would have, by float32 where bfloat16 would be wrong."""
    has_autocast = torch.is_autocast_enabled("cpu") and pixels.dtype != torch.float64
    low = torch.get_autocast_dtype("cpu") if has_autocast else pixels.dtype
    # What torch refuses is left to it.
    is_low = low == torch.bfloat16 and (has_autocast or weight.dtype == low) and pixels.device.type == "cpu"
    if not is_low or not (_is_trained(weight, bias) or _is_one_wide(convolve.__self__, pixels)):
        result: Tensor = convolve(pixels, weight, bias)
        return result
    with torch.autocast("cpu", enabled=False):
        return convolve(pixels.float(), weight.float(), None if bias is None else bias.float()).to(low)  # type: ignore[no-any-return]


def _is_trained(*parts: Tensor | None) -> bool:
    """Whether the gradient of weights or bias will be asked for; oneDNN makes both in one call."""
    return torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in parts)


def _is_one_wide(convolution: Any, pixels: Tensor) -> bool:
    """Whether a stride leaves an output one pixel wide."""
    stride, extent = convolution.stride[2], convolution.dilation[2] * (convolution.kernel_size[2] - 1) + 1
    if stride == 1:
        return False
    padding = 0 if isinstance(convolution.padding, str) else convolution.padding[2]
    return bool(pixels.shape[-1] + 2 * padding < extent + stride)


def _pad_if_small(convolution: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    # The module hands "zeros" to the library and pads by itself for everything else; "constant" are zeros too.
    convolution.padding_mode = "zeros"
    pixels: Tensor = inputs[0] if inputs else named["input"]
    # An exported network keeps its free sizes: they are compared only where weights are trained on the processor.
    if _is_trained(convolution.weight, convolution.bias) and pixels.device.type == "cpu":
        extents = [d * (k - 1) + 1 for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]
        if any(size < extent for size, extent in zip(pixels.shape[-len(extents) :], extents, strict=True)):
            convolution.padding_mode = "constant"
