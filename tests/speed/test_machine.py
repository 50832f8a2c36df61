import math

import pytest
import torch

from benchmark.speed import machine
from benchmark.speed.machine import (
    dtype_name,
    machine_facts,
    matmul_peak_gflop_per_second,
    memory_bandwidth_bytes_per_second,
)

CPU = torch.device("cpu")


def test_limits_are_rates() -> None:
    for rate in (
        matmul_peak_gflop_per_second(torch.float32, CPU, side=64),
        memory_bandwidth_bytes_per_second(CPU, copied_bytes=2**16),
    ):
        assert math.isfinite(rate)
        assert rate > 0


def test_a_dtype_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[torch.dtype] = []

    def measure(dtype: torch.dtype, device: torch.device) -> float:
        measured.append(dtype)
        return 1.0

    monkeypatch.setattr(machine, "matmul_peak_gflop_per_second", measure)
    monkeypatch.setattr(machine, "memory_bandwidth_bytes_per_second", lambda device: 2.0)
    facts = machine_facts(CPU, [torch.float32, torch.bfloat16, torch.float32])
    assert measured == [torch.float32, torch.bfloat16]
    assert list(facts.matmul_peak_gflop_per_second) == ["float32", "bfloat16"]
    assert facts.memory_bandwidth_bytes_per_second == 2.0
    assert facts.device == "cpu"
    assert facts.torch_version == torch.__version__
    assert facts.threads == torch.get_num_threads()
    assert f"{facts.cores} cores" in facts.title


def test_names_of_dtypes() -> None:
    assert dtype_name(torch.bfloat16) == "bfloat16"
