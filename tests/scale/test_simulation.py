"""Simulated clusters, against what can be worked out by hand."""

import math

import numpy as np
import pytest

from benchmark.scale.simulation import Cluster, Work, simulate


def test_equal_shards_take_as_long_as_they_take() -> None:
    work = Work(np.array([2.0]), np.array([0.0]), clips=5)
    for workers, shards in ((1, 7), (3, 7), (4, 8)):
        outcome = simulate(work, Cluster(workers, workers, start_seconds=1.0), shards)
        assert outcome.seconds == pytest.approx(1 + 2 * math.ceil(shards / workers))
        assert outcome.busy_seconds == pytest.approx(2 * shards)
        assert outcome.clips == 5 * shards
    assert simulate(work, Cluster(4, 2), 8).seconds == pytest.approx(8)  # half as fast each


def test_a_store_that_is_full_decides() -> None:
    work = Work(np.array([1.0]), np.array([100.0]), clips=1)
    outcome = simulate(work, Cluster(1000, 1000, store_bytes_per_second=50.0), 200)
    assert outcome.seconds == pytest.approx(1 + 200 * 2)


def test_failures_cost_half_a_shard_each_on_average() -> None:
    work = Work(np.array([1.0]), np.array([0.0]), clips=1, failure_share=0.2)
    outcome = simulate(work, Cluster(10, 10), 20_000, seed=1)
    # A shard fails 0.25 times before it is done, and each time has spent half its time.
    assert outcome.failures == pytest.approx(5000, rel=0.05)
    assert outcome.busy_seconds == pytest.approx(20_000 * 1.125, rel=0.01)
    assert outcome.clips == 20_000


def test_the_cost_of_a_clip_is_flat_up_to_a_thousand_workers() -> None:
    rng = np.random.default_rng(0)
    work = Work(rng.lognormal(5, 0.5, 300), np.full(300, 1e9), clips=20_000, failure_share=0.01)
    costs = []
    for workers in (1, 10, 100, 1000):
        cluster = Cluster(workers, workers, start_seconds=30, store_bytes_per_second=1e11)
        costs.append(simulate(work, cluster, 60 * max(workers, 50)).core_seconds_per_clip(cluster))
    assert max(costs) / min(costs) < 1.1
    with_few = Cluster(1000, 1000, start_seconds=30)
    assert simulate(work, with_few, 1001).core_seconds_per_clip(with_few) > 1.3 * costs[0]  # most wait for the last
