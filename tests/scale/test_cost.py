"""The cost of a million videos, against sums by hand."""

import dataclasses
from pathlib import Path
from typing import cast

import pytest

from benchmark.scale.cost import NETWORKS, Inputs, Network, cost_lines, cost_table

ROOT = Path(__file__).resolve().parents[2]


def test_each_part_by_hand() -> None:
    inputs = Inputs(
        videos=1000, alive_share=0.5, source_mb=10, fetches_per_hour=50, addresses=2, prepare_core_seconds=3.6,
        clips_per_video=10, compact_bytes=4 * 10**8, exact_bytes=10**9, compact_clips_per_second=10,
        exact_clips_per_second=20, read_overhead=1.5, pass_clips=36_000, training_clips=72_000, usd_core_hour=2,
        usd_gpu_hour=5, usd_tb_month=3, months=4,
    )  # fmt: skip
    networks = (Network("a", 2.0, gpu_clips_per_second=20, cpu_clips_per_second=2), Network("b", 4.0))
    found = {(line.what, line.on): line for line in cost_lines(inputs, networks)}
    assert [dataclasses.astuple(line)[1:2] + dataclasses.astuple(line)[3:] for line in found.values()] == [
        (pytest.approx(10), pytest.approx(0.005), None),  # 1000 tries at 100 an hour; 500 files of 10 MB
        (pytest.approx(0.5), None, pytest.approx(1)),  # 500 videos of 3.6 s at 2 an hour
        (None, pytest.approx(2), pytest.approx(24)),  # 5000 clips of 0.4 GB, 3 a TB and month, 4 months
        (None, pytest.approx(5), pytest.approx(60)),
        (pytest.approx(1), pytest.approx(21.6), pytest.approx(2)),  # 36,000 clips at 10 a second
        (pytest.approx(0.5), pytest.approx(54), pytest.approx(1)),
        (pytest.approx(1), None, pytest.approx(9)),  # 20 clips a second from 2 cores: 5 + 2 * 2 an hour
        (pytest.approx(10), None, pytest.approx(20)),
        (pytest.approx(2), None, pytest.approx(14)),  # twice the operations, fed by one core
    ]


def test_operations_are_those_of_the_networks() -> None:
    torch = pytest.importorskip("torch")
    from benchmark import models
    from benchmark.cost import gflop_by_shapes
    from benchmark.models.layers import Resolution

    classes = {
        "single_frame": (models.SingleFrame, "full"),
        "multires": (models.SingleFrame, "multires"),
        "early_fusion": (models.EarlyFusion, "full"),
        "late_fusion": (models.LateFusion, "full"),
        "slow_fusion": (models.SlowFusion, "full"),
        "slow_multires": (models.SlowFusion, "multires"),
    }
    assert {network.name for network in NETWORKS} == classes.keys()
    for network in NETWORKS:
        cls, resolution = classes[network.name]
        with torch.device("meta"):
            made = cls(487, resolution=cast(Resolution, resolution), width=1.0)
        assert gflop_by_shapes(made) == pytest.approx(network.gflop, abs=0.006)


def test_the_table_of_the_docs_is_worked_out() -> None:
    assert cost_table(cost_lines(Inputs())) in (ROOT / "docs/cluster.md").read_text("utf-8")
