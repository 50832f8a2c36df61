import itertools
import math

import numpy as np
import pytest

from benchmark.results.statistics import (
    WeightedAveragePrecision,
    holm,
    interval,
    mcnemar,
    paired_p_value,
    resampled_weights,
    share_samples,
)
from tests.results.test_scores import loop_average_precision


def weights_of(clusters: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    return np.concatenate(list(resampled_weights(clusters, replicates, seed)))


def test_source_groups_are_drawn_whole() -> None:
    clusters = np.array([0, 1, 1, 2, 2, 2])
    weights = weights_of(clusters, 500, seed=3)
    assert weights.shape == (500, 6)
    np.testing.assert_array_equal(weights[:, 1], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(1), 3)  # three source groups are drawn, with replacement
    assert {tuple(row) for row in weights[:, [0, 1, 3]]} == {
        drawn for drawn in itertools.product(range(4), repeat=3) if sum(drawn) == 3
    }
    np.testing.assert_array_equal(weights, weights_of(clusters, 500, seed=3))
    assert (weights != weights_of(clusters, 500, seed=4)).any()


def test_blocks_do_not_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = np.arange(10) // 2
    whole = weights_of(clusters, 25, 0)
    monkeypatch.setattr("benchmark.results.statistics._WEIGHTS_AT_ONCE", 40)
    assert [len(block) for block in resampled_weights(clusters, 25, 0)] == [4, 4, 4, 4, 4, 4, 1]
    np.testing.assert_array_equal(weights_of(clusters, 25, 0), whole)


def test_nothing_to_draw_from() -> None:
    assert list(resampled_weights(np.zeros(0, np.int64), 10, 0)) == []
    empty = np.zeros(0, np.int64)
    assert len(share_samples({"a": empty}, {"a": empty}, empty)["a"]) == 0
    assert share_samples({}, {}, np.arange(3)) == {}


def test_share_samples_equal_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 9, 40)
    hits, trials = rng.integers(0, 4, 40), np.full(40, 4)
    other, others = rng.integers(0, 2, 40), rng.integers(0, 2, 40) + 1
    found = share_samples({"a": hits, "b": other}, {"a": trials, "b": others}, clusters, replicates=60, seed=5)
    number = np.unique(clusters, return_inverse=True)[1]
    for replicate, weights in enumerate(weights_of(number, 60, 5)):
        sums = [0.0, 0.0, 0.0, 0.0]
        for video, weight in enumerate(weights):
            for _ in range(int(weight)):
                for place, values in enumerate((hits, trials, other, others)):
                    sums[place] += values[video]
        assert found["a"][replicate] == pytest.approx(sums[0] / sums[1])
        assert found["b"][replicate] == pytest.approx(sums[2] / sums[3])


def test_numbers_of_source_groups_may_have_gaps() -> None:
    rng = np.random.default_rng(0)
    hits, clusters = rng.integers(0, 2, 50), rng.integers(0, 10, 50)
    dense = share_samples({"a": hits}, {"a": np.ones(50)}, clusters, replicates=20)
    gaps = share_samples({"a": hits}, {"a": np.ones(50)}, clusters * 7 + 3, replicates=20)
    np.testing.assert_array_equal(dense["a"], gaps["a"])


def test_intervals_of_independent_videos_are_the_binomials() -> None:
    videos, share = 900, 0.3
    hits = (np.arange(videos) < share * videos).astype(int)
    samples = share_samples({"a": hits}, {"a": np.ones(videos)}, np.arange(videos), replicates=4000)["a"]
    deviation = math.sqrt(share * (1 - share) / videos)
    assert samples.mean() == pytest.approx(share, abs=4 * deviation / math.sqrt(4000))
    assert samples.std() == pytest.approx(deviation, rel=0.05)
    low, high = interval(samples)
    assert (low, high) == pytest.approx((share - 1.96 * deviation, share + 1.96 * deviation), abs=0.15 * deviation)


def test_intervals_are_wider_where_clips_of_a_source_agree() -> None:
    videos, size = 900, 9
    clusters = np.arange(videos) // size
    hits = (clusters % 3 == 0).astype(int)
    trials = np.ones(videos)
    naive = share_samples({"a": hits}, {"a": trials}, np.arange(videos), replicates=4000)["a"]
    whole = share_samples({"a": hits}, {"a": trials}, clusters, replicates=4000)["a"]
    # Nine videos that always agree are worth one: the deviation is that of a ninth of the videos.
    assert whole.std() / naive.std() == pytest.approx(math.sqrt(size), rel=0.06)


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 300)
    second = first.copy()
    second[:10] = 1 - second[:10]
    ones = np.ones(300)
    samples = share_samples({"a": first, "b": second}, {"a": ones, "b": ones}, np.arange(300))
    assert (samples["a"] - samples["b"]).std() < samples["a"].std() / 2
    same = share_samples({"a": first, "b": first}, {"a": ones, "b": ones}, np.arange(300))
    np.testing.assert_array_equal(same["a"], same["b"])


def test_interval_leaves_out_what_is_not_known() -> None:
    samples = np.append(np.arange(101) / 100, [np.nan] * 5)
    assert interval(samples) == pytest.approx((0.025, 0.975))
    assert interval(samples, 0.5) == pytest.approx((0.25, 0.75))
    assert np.isnan(interval(np.full(3, np.nan))).all()
    assert np.isnan(interval(np.zeros(0))).all()


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
    assert paired_p_value(differences, clusters) == pytest.approx(expected)
    assert expected == 0.25


def test_without_sources_few_differences_give_mcnemars_test() -> None:
    for one, other in ((3, 0), (6, 1), (8, 8), (2, 9)):
        differences = np.array([1.0] * one + [-1.0] * other + [0.0] * 50)
        assert paired_p_value(differences, np.arange(len(differences))) == pytest.approx(mcnemar(one, other))


def test_many_source_groups_are_tested_by_their_sums() -> None:
    rng = np.random.default_rng(0)
    clusters = np.arange(400) // 4
    differences = rng.choice([-1.0, 0.0, 1.0], 400, p=[0.2, 0.5, 0.3])
    sums = differences.reshape(100, 4).sum(1)
    t = sums.mean() / (sums.std(ddof=1) / 10)
    normal = math.erfc(abs(t) / math.sqrt(2))
    assert paired_p_value(differences, clusters) == pytest.approx(normal, abs=0.01)


def test_a_p_value_respects_sources() -> None:
    differences, clusters = np.ones(40), np.arange(40) // 20
    assert paired_p_value(differences, np.arange(40)) == pytest.approx(2.0**-39)
    assert paired_p_value(differences, clusters) == 0.5  # two sources that agree prove little
    assert paired_p_value(differences, np.zeros(40, np.int64)) == 1.0
    assert paired_p_value(np.zeros(40), clusters) == 1.0
    assert paired_p_value(np.zeros(0), np.zeros(0, np.int64)) == 1.0


def test_p_values_are_uniform_where_models_are_equal() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        by_source = rng.choice([-1.0, 0.0, 1.0], 60)
        found.append(paired_p_value(np.repeat(by_source, 5), np.arange(300) // 5))
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(np.array(found) < 0.5) == pytest.approx(0.5, abs=0.1)


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, and none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
