"""What a network costs: parameters, floating-point operations and clips a second, wherever its weights are.

Letters: B clips, T frames, S side of the input in pixels.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


def parameter_count(network: nn.Module) -> int:
    """Numbers that are trained or loaded."""
    return sum(parameter.numel() for parameter in network.parameters())


def gflop_per_clip(network: nn.Module) -> float:
    """Floating-point operations of one view of one clip in units of 10^9; a multiply-add counts as two.

    They are counted by shapes where PyTorch can follow the network, else by running it on one clip where its weights
    are.

    Args:
        network: Any architecture; it is left as it was.
    """
    try:
        return gflop_by_shapes(network)
    except Exception:  # a layer that leaves PyTorch, for NumPy say, has no shape to follow
        return gflop_computed(network)


def gflop_by_shapes(network: nn.Module) -> float:
    """The same without computing one of them, and so without a word of the device.

    The network may be on the meta device: weights and clip are replaced by tensors that have a shape and no
    memory.

    Args:
        network: Any architecture whose layers PyTorch can follow by shape.
    """
    held = (*network.named_parameters(), *network.named_buffers())
    with _evaluated(network), FakeTensorMode(), torch.no_grad(), operation_counter() as counter:
        state = {name: torch.empty(value.shape, dtype=value.dtype, device="cpu") for name, value in held}
        functional_call(network, state, (_empty_clip(network, torch.device("cpu")),))
    return float(counter.get_total_flops()) / 1e9


def gflop_computed(network: nn.Module) -> float:
    """The same by running the network on one clip."""
    with _evaluated(network), torch.no_grad(), operation_counter() as counter:
        network(_empty_clip(network, device_of(network)))
    return float(counter.get_total_flops()) / 1e9


def device_of(network: nn.Module) -> torch.device:
    """Where the weights are, which in a hook of Lightning's may not be where the module says that it is."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _empty_clip(network: Any, device: torch.device) -> Tensor:
    """(1, T, S, S, 3) uint8."""
    side = int(network.input_side)
    return torch.zeros(1, len(network.frame_offsets), side, side, 3, dtype=torch.uint8, device=device)


@contextlib.contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    """Evaluation without autocast, after which each module is as before.

    In training mode the empty clip would enter the statistics of batch normalisation. What a layer keeps for its next
    clip, as a mask, must not be one that was made for this one.
    """
    before = [(module, dict(vars(module))) for module in network.modules()]
    network.eval()
    try:
        with contextlib.ExitStack() as plain:
            for device in {"cpu", device_of(network).type} - {"meta"}:
                plain.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)


_counters = 0


def is_counting() -> bool:
    """Whether operations are being counted, for which layers compute as they are written and not as is fastest."""
    return _counters > 0


@contextlib.contextmanager
def operation_counter() -> Iterator[FlopCounterMode]:
    """PyTorch's counter, which also counts the matrix products within fused recurrent layers, forward and backward."""
    global _counters
    aten = torch.ops.aten
    mapping = {
        aten.mkldnn_rnn_layer: _layer_operations,
        aten.mkldnn_rnn_layer_backward: _twice(_layer_operations),
        aten._cudnn_rnn: _cudnn_operations,
        aten._cudnn_rnn_backward: _twice(_cudnn_operations),
    }
    _counters += 1
    try:
        with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
            yield counter
    finally:
        _counters -= 1


def _twice(forward: Callable[..., int]) -> Callable[..., int]:
    """Of backward, whose first arguments are forward's: a product becomes one for the input and one for the weights."""
    return lambda *shapes, **options: 2 * forward(*shapes, **options)


def _layer_operations(steps: torch.Size, of_input: torch.Size, of_state: torch.Size, *_: Any, **__: Any) -> int:
    """Of a recurrent layer on the processor, from shapes: steps (T, B, F), and the matrices of all gates."""
    return 2 * steps[0] * steps[1] * (of_input.numel() + of_state.numel())


def _cudnn_operations(steps: torch.Size, weights: list[torch.Size], *_: Any, **__: Any) -> int:
    """Of all recurrent layers on a GPU, from shapes: each matrix meets a vector in each step of each clip."""
    return 2 * steps[0] * steps[1] * sum(shape.numel() for shape in weights if len(shape) == 2)


def clips_per_second(network: nn.Module, *, clips: int = 8, seconds: float = 1.0) -> float:
    """Clips a second of the network alone, without gradients, on the device that holds it.

    Args:
        network: Any architecture; it is left in evaluation mode.
        clips: Clips a batch.
        seconds: Least time to measure, after one batch that is not counted.
    """
    described: Any = network
    device = device_of(network)
    batch = moving_clips(clips, len(described.frame_offsets), int(described.input_side)).to(device)
    network.eval()
    done = 0
    with torch.no_grad():
        network(batch)
        wait_for(device)
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds or not done:
            network(batch)
            wait_for(device)
            done += clips
    return done / elapsed if elapsed > 0 else float("inf")


def moving_clips(clips: int, frames: int, side: int) -> Tensor:
    """(B, T, S, S, 3) uint8: a coarse texture that moves by two pixels a frame, as work may depend on what is seen."""
    generator = torch.Generator().manual_seed(0)
    margin = 2 * (frames - 1)
    tiles = torch.randint(0, 256, (clips, 3, (side + margin) // 8 + 1, side // 8 + 1), generator=generator)
    picture = tiles.to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)
    return torch.stack([picture[:, 2 * t : 2 * t + side, :side] for t in range(frames)], 1).contiguous()


def wait_for(device: torch.device) -> None:
    """Let a GPU finish, which works while the host goes on."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
