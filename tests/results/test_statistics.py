"""Intervals and tests, against other programs, counts by hand and small simulations."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from benchmark.results.influence import of_parts_left_out, of_share
from benchmark.results.statistics import Paired, effective_size, exchange_p_value, holm, interval, mcnemar
from tests.performance.coverage import draw_hits, draw_sources


def share_interval(hits: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    return interval(float(hits.mean()), of_share(hits, np.ones(len(hits)), clusters))


@pytest.mark.parametrize("right", [300, 450, 870])
def test_intervals_of_independent_videos_are_wilsons(right: int) -> None:
    hits = (np.arange(900) < right).astype(float)
    expected = stats.binomtest(right, 900).proportion_ci(method="wilson")
    assert share_interval(hits, np.arange(900)) == pytest.approx((expected.low, expected.high), abs=2e-4)


def test_videos_that_always_agree_are_worth_one() -> None:
    hits = (np.arange(900) // 9 % 3 == 0).astype(float)
    expected = stats.binomtest(34, 100).proportion_ci(method="wilson")
    assert share_interval(hits, np.arange(900) // 9) == pytest.approx((expected.low, expected.high), abs=2e-3)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_is_as_sure_as_the_sources_are_many(value: float) -> None:
    hits, clusters = np.full(480, value), np.arange(480) // 5
    expected = stats.binomtest(int(96 * value), 96).proportion_ci(method="wilson")
    assert share_interval(hits, clusters) == pytest.approx((expected.low, expected.high))
    perfect = of_parts_left_out(value, np.full(96, value), 480)  # any other score
    assert interval(value, perfect) == pytest.approx((expected.low, expected.high))


def test_what_is_not_known_has_no_interval() -> None:
    clusters = np.arange(44) // 4
    hits = np.arange(44) % 3 % 2 * 1.0
    assert not np.isnan(share_interval(hits, clusters)).any()
    assert np.isnan(share_interval(hits[:40], clusters[:40])).all()  # of ten sources
    assert np.isnan(interval(np.nan, of_share(hits, np.ones(44), clusters))).all()
    assert np.isnan(interval(0.5, of_parts_left_out(0.5, np.array([0.4] * 20 + [np.nan]), 60))).all()
    assert math.isnan(effective_size(0.5, of_share(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))))


@pytest.mark.parametrize(("share", "correlation"), [(0.75, 0.5), (0.95, 0.8), (0.99, 0.5)])
def test_intervals_cover(share: float, correlation: float) -> None:
    """Of 400 made test lists of 21 sources; 91% is 3.5 deviations below 95%, which the bootstrap misses."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        clusters = draw_sources(21, rng)
        hits = draw_hits(share, clusters, correlation, rng)[0]
        low, high = share_interval(hits, clusters)
        covered += low <= share <= high
        assert low <= hits.mean() <= high
        assert low < high
    assert covered >= 0.91 * 400


def differing(plus: int, minus: int, same: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """One video a source."""
    differences = np.array([1.0] * plus + [-1.0] * minus + [0.0] * same)
    return differences, np.arange(len(differences))


@pytest.mark.parametrize("plus", range(14))
@pytest.mark.parametrize("minus", range(4))
def test_at_five_percent_few_differences_are_told_apart_as_by_the_exact_test(plus: int, minus: int) -> None:
    if plus + minus > 13:
        return
    differences, clusters = differing(plus, minus)
    assert (Paired.of_hits(differences, clusters).p_value < 0.05) == (mcnemar(plus, minus) < 0.05)


def test_many_differences_are_tested_as_by_the_t_test() -> None:
    rng = np.random.default_rng(0)
    differences = rng.choice([-1.0, 0.0, 1.0], 1600, p=[0.25, 0.5, 0.25])
    clusters = np.arange(1600) // 4
    expected = stats.ttest_1samp(differences.reshape(400, 4).sum(1), 0).pvalue
    assert Paired.of_hits(differences, clusters).p_value == pytest.approx(expected, abs=0.01)


def test_the_interval_holds_what_the_test_does_not_refuse() -> None:
    found = Paired.of_hits(*differing(12, 4))
    for level in (0.05, 0.1, 0.002):
        low, high = found.interval(level)
        for end in (low, high):
            shifted = Paired(found.difference - end, found.spread, found.sources)
            assert shifted.p_value == pytest.approx(level)
        assert low < found.difference < high


def test_models_that_never_differ_may_differ_a_little() -> None:
    low, high = Paired.of_hits(*differing(0, 0, 100)).interval()
    assert low == -high
    # None of 100 differs: by the binomial, up to 3.6% may.
    assert 0.02 < high < stats.binomtest(0, 100).proportion_ci().high + 0.01


def test_ten_sources_give_no_interval_and_no_equivalence() -> None:
    few, enough = (Paired.of_hits(np.zeros(4 * n), np.arange(4 * n) // 4) for n in (10, 11))
    assert np.isnan(few.interval()).all()
    assert few.equivalence(0.9) == 1.0
    assert not np.isnan(enough.interval()).any()
    nothing = Paired.of_hits(np.zeros(0), np.zeros(0, np.int64))
    assert nothing.p_value == 1.0
    assert np.isnan(nothing.interval()).all()
    assert np.isnan(nothing.detectable())


def test_equivalence_is_a_90_percent_interval_within_the_margin() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        found = Paired.of_hits(rng.choice([-1.0, 0.0, 1.0], 400, p=[0.05, 0.88, 0.07]), np.arange(400) // 4)
        low, high = found.interval(0.1)
        seen.add(same := -0.05 < low <= high < 0.05)
        assert (found.equivalence(0.05) < 0.05) == same
    assert seen == {False, True}


def test_error_rates_and_power_are_what_they_are_said_to_be() -> None:
    """Equal models, models at the edge of the margin, and models that differ by what is detectable; 400 of each."""
    rng = np.random.default_rng(0)
    told, same, detected = 0, 0, 0
    for _ in range(400):
        clusters = draw_sources(60, rng)
        first, second = draw_hits(0.75, clusters, 0.5, rng, 2, 0.5)
        found = Paired.of_hits(first - second, clusters)
        told += found.p_value < 0.05
        shares = np.array([0.8, 0.65])
        first, second = draw_hits(shares, clusters, 0.5, rng, 2, 0.5)
        same += Paired.of_hits(first - second, clusters).equivalence(0.15) < 0.05
        shares = np.array([0.75 + found.detectable() / 2, 0.75 - found.detectable() / 2])
        first, second = draw_hits(shares, clusters, 0.5, rng, 2, 0.5)
        detected += Paired.of_hits(first - second, clusters).p_value < 0.05
    assert told < 0.09 * 400
    assert same < 0.09 * 400
    assert 0.7 * 400 < detected < 0.9 * 400


def test_mcnemar_by_hand() -> None:
    # Of 8 discordant videos, 1 or fewer, or 7 or more, fall to one side: 2 (1 + 8) / 256.
    assert mcnemar(1, 7) == pytest.approx(18 / 256)
    assert mcnemar(7, 1) == pytest.approx(18 / 256)
    assert mcnemar(0, 10) == pytest.approx(2 / 1024)
    assert mcnemar(5, 5) == mcnemar(0, 0) == 1.0
    for one, other in itertools.product(range(7), repeat=2):
        if trials := one + other:
            tail = sum(math.comb(trials, n) for n in range(min(one, other) + 1)) / 2**trials
            assert mcnemar(one, other) == pytest.approx(min(1, 2 * tail))


def test_few_source_groups_are_exchanged_one_by_one() -> None:
    differences = np.array([1, 1, -1, 1, 0, 1, 1, 0.0])
    clusters = np.array([0, 0, 1, 1, 2, 3, 4, 5])
    sums = [2, 0, 0, 1, 1, 0]
    totals = [
        sum(s * value for s, value in zip(signs, sums, strict=True)) for signs in itertools.product([1, -1], repeat=6)
    ]
    expected = sum(abs(total) >= 4 for total in totals) / len(totals)
    assert exchange_p_value(differences, clusters) == pytest.approx(expected)
    assert expected == 0.25


def test_without_sources_few_differences_give_mcnemars_test() -> None:
    for one, other in ((3, 0), (6, 1), (8, 8), (2, 9)):
        differences = np.array([1.0] * one + [-1.0] * other + [0.0] * 50)
        assert exchange_p_value(differences, np.arange(len(differences))) == pytest.approx(mcnemar(one, other))


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, and none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
