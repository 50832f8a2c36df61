"""Influence of sources on scores, against loops."""

import numpy as np
import pytest

from benchmark.metrics.descriptors import Predictions
from benchmark.results.influence import (
    MOST_BLOCKS,
    WeightedAveragePrecision,
    average_precision_without,
    blocks_of,
    of_parts_left_out,
    of_share,
)
from tests.generators.ledgers import make_ledger
from tests.results.test_scores import loop_average_precision


def test_influence_on_a_share_is_that_of_leaving_sources_out() -> None:
    rng = np.random.default_rng(0)
    clusters = np.arange(300) // 3
    hits, trials = rng.integers(0, 5, 300), np.full(300, 4)
    found = of_share(hits, trials, clusters * 7 + 3)  # numbers may have gaps
    without = np.array([hits[clusters != n].sum() / trials[clusters != n].sum() for n in range(100)])
    expected = of_parts_left_out(hits.sum() / trials.sum(), without, 300)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-9)
    assert found.videos == expected.videos == 3


def test_a_mean_varies_as_its_influences_say() -> None:
    values = np.random.default_rng(0).normal(size=50)
    found = of_parts_left_out(values.mean(), np.array([np.delete(values, n).mean() for n in range(50)]), 50)
    assert (found.values**2).sum() / 50 / 49 == pytest.approx(values.var(ddof=1) / 50)


def test_many_sources_are_dealt_into_blocks() -> None:
    clusters = np.random.default_rng(0).permutation(np.arange(3000) // 3)
    blocks = blocks_of(clusters)
    assert set(blocks) == set(range(MOST_BLOCKS))
    assert {len(set(blocks[clusters == source])) for source in range(1000)} == {1}
    assert {len(set(clusters[blocks == block])) for block in range(MOST_BLOCKS)} == {5}
    np.testing.assert_array_equal(blocks, blocks_of(clusters))
    np.testing.assert_array_equal(blocks_of(np.array([4, 4, 9])), [0, 0, 1])


@pytest.mark.parametrize("at_once", [8_000_000, 60])
def test_average_precision_without_sources_equals_a_slow_loop(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("benchmark.results.influence._WEIGHTS_AT_ONCE", at_once)
    ledger = make_ledger(videos=25, classes=40, several=0.5, failed=0.2, unlabelled=0, ties=True)
    blocks, groups = blocks_of(ledger.clusters()), ledger.info.groups()
    known = Predictions(ledger.scores, ledger.labels, np.ones((25, 1), np.int32), groups)
    found = average_precision_without(known, blocks)
    below = np.nan_to_num(ledger.scores, nan=-1)
    for block in range(blocks.max() + 1):
        left = blocks != block
        areas = np.array(
            [
                loop_average_precision(below[left, n].tolist(), truth[left].tolist())
                for n, truth in enumerate(ledger.labels.T)
            ]
        )
        assert found["map"][block] == pytest.approx(np.nanmean(areas))
        for name, members in groups.items():
            assert found[f"map/{name}"][block] == pytest.approx(np.nanmean(areas[members]))


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_average_precision_is_that_of_repeated_videos(ties: bool) -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 5, 30) / 8 if ties else rng.random(30)
    scores[[3, 17]] = np.nan
    truth = rng.random(30) < 0.3
    truth[3] = True
    weights = rng.integers(0, 3, (50, 30)).astype(np.float64)
    weights[0] = 1
    found = WeightedAveragePrecision(scores, truth)(weights)
    for row, area in zip(weights.astype(int), found, strict=True):
        column = np.repeat(np.nan_to_num(scores, nan=-1), row).tolist()
        assert area == pytest.approx(loop_average_precision(column, np.repeat(truth, row).tolist()), abs=1e-12)


def test_weighted_average_precision_without_a_positive_is_not_known() -> None:
    area = WeightedAveragePrecision(np.array([0.1, 0.2, 0.3]), np.array([True, False, False]))
    np.testing.assert_array_equal(np.isnan(area(np.array([[0.0, 1, 1], [1.0, 0, 0]]))), [True, False])
