"""What the machine can do at best: matrix products and copies, measured rather than looked up."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence

import torch

from benchmark.cost import wait_for
from benchmark.runs.code import library_versions
from benchmark.runs.facts import hardware_facts
from benchmark.speed.report import Machine

_REPEATS = 5
_ENOUGH_SECONDS = 10.0  # a product in a dtype that the processor only emulates takes far longer than one in its own


def matmul_peak_gflop_per_second(dtype: torch.dtype, device: torch.device, *, side: int | None = None) -> float:
    """Median rate of several products of two square matrices; a multiply-add counts as two.

    Args:
        dtype: Of the matrices.
        device: Where they lie.
        side: Rows and columns; 4096 on the processor and 8192 on a GPU by default.
    """
    side = side or (8192 if device.type == "cuda" else 4096)
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    with torch.no_grad():
        seconds = _median_seconds(lambda: torch.mm(left, right, out=out), device)
    return 2 * side**3 / seconds / 1e9


def memory_bandwidth_bytes_per_second(device: torch.device, *, copied_bytes: int | None = None) -> float:
    """Bytes read plus bytes written in a second of copying more than any cache holds.

    Args:
        device: Whose memory.
        copied_bytes: Size of the copy; 0.25 GiB on the processor and 1 GiB on a GPU by default.
    """
    copied_bytes = copied_bytes or (2**30 if device.type == "cuda" else 2**28)
    source = torch.ones(copied_bytes // 4, dtype=torch.float32, device=device)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / _median_seconds(lambda: target.copy_(source), device)


def _median_seconds(work: Callable[[], object], device: torch.device) -> float:
    seconds: list[float] = []
    begun = time.perf_counter()
    for number in range(_REPEATS + 1):
        wait_for(device)
        start = time.perf_counter()
        work()
        wait_for(device)
        if number:  # the first pays for page faults and for the choice of a kernel
            seconds.append(time.perf_counter() - start)
        if seconds and time.perf_counter() - begun > _ENOUGH_SECONDS:
            break
    return max(statistics.median(seconds), 1e-9)


def machine_facts(device: torch.device, dtypes: Sequence[torch.dtype]) -> Machine:
    """The machine with its measured limits.

    Args:
        device: That trains.
        dtypes: Of the matrix products to measure; equal ones once.
    """
    hardware = hardware_facts(1, device)
    return Machine(
        processor=hardware.processor,
        cores=hardware.cores,
        threads=torch.get_num_threads(),
        device=hardware.gpu or device.type,
        torch_version=torch.__version__,
        libraries={**library_versions(), "system": platform.platform()},
        matmul_peak_gflop_per_second={
            dtype_name(dtype): matmul_peak_gflop_per_second(dtype, device) for dtype in dict.fromkeys(dtypes)
        },
        memory_bandwidth_bytes_per_second=memory_bandwidth_bytes_per_second(device),
    )


def dtype_name(dtype: torch.dtype) -> str:
    """`float32` of `torch.float32`."""
    return str(dtype).removeprefix("torch.")
