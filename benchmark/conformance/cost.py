"""What a network costs: parameters, floating-point operations and clips a second."""

import time

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from benchmark.callbacks.record import gflop_per_clip as gflop_computed
from benchmark.callbacks.record import operation_counter
from benchmark.models.video_classifier import VideoClassifier


def parameter_count(network: VideoClassifier) -> int:
    """Numbers that are trained or loaded."""
    return sum(parameter.numel() for parameter in network.parameters())


def gflop_by_shapes(network: VideoClassifier) -> float:
    """Floating-point operations of one view of one clip in units of 10^9, without computing one of them.

    A multiply-add counts as two. The network may lie on the meta device: weights and clip are stood in for by tensors
    that have a shape and no memory.

    Args:
        network: Any architecture whose layers PyTorch can follow by shape.
    """
    side, was_training = int(network.input_side), network.training
    network.eval()
    try:
        with FakeTensorMode(), torch.no_grad(), operation_counter() as counter:
            held = (*network.named_parameters(), *network.named_buffers())
            state = {name: torch.empty(value.shape, dtype=value.dtype, device="cpu") for name, value in held}
            clip = torch.empty(1, len(network.frame_offsets), side, side, 3, dtype=torch.uint8, device="cpu")
            functional_call(network, state, (clip,))
    finally:
        network.train(was_training)
    return float(counter.get_total_flops()) / 1e9


def gflop_per_clip(network: VideoClassifier) -> float:
    """The same, by shapes where PyTorch can follow them, else by running the network on one clip."""
    try:
        return gflop_by_shapes(network)
    except Exception:  # a layer that leaves PyTorch, for NumPy say, has no shape to follow
        return gflop_computed(network)


def clips_per_second(network: VideoClassifier, *, clips: int = 8, seconds: float = 1.0) -> float:
    """Clips a second of the network alone, without gradients, on the device that holds it.

    Args:
        network: The network.
        clips: Clips a batch.
        seconds: Least time to measure, after one batch that is not counted.
    """
    side, device = int(network.input_side), network.device
    batch = moving_clips(clips, len(network.frame_offsets), side).to(device)
    network.eval()
    done = 0
    with torch.no_grad():
        network(batch)
        _wait(device)
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds or not done:
            network(batch)
            _wait(device)
            done += clips
    return done / elapsed if elapsed > 0 else float("inf")


def moving_clips(clips: int, frames: int, side: int) -> Tensor:
    """(B, T, S, S, 3) uint8: a coarse texture that moves by two pixels a frame, as work may depend on what is seen."""
    generator = torch.Generator().manual_seed(0)
    margin = 2 * (frames - 1)
    tiles = torch.randint(0, 256, (clips, 3, (side + margin) // 8 + 1, side // 8 + 1), generator=generator)
    picture = tiles.to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)
    return torch.stack([picture[:, 2 * t : 2 * t + side, :side] for t in range(frames)], 1).contiguous()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
