from collections.abc import Iterable

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmark.metrics.arrays import ranks
from benchmark.metrics.descriptors import MAP, Predictions, hit
from benchmark.results.influence import influences_of, is_quick, of_parts_left_out
from benchmark.results.record import Value
from benchmark.results.scores import decoded_only, metrics, predictions
from benchmark.results.statistics import interval
from benchmark.results.summary import clusters_of, summarise
from tests.generators.ledgers import make_ledger


def test_values_are_the_metrics_and_lie_in_their_intervals() -> None:
    ledger = make_ledger(videos=90, failed=0.2, unlabelled=0.1, ties=True)
    whole, decoded = summarise(ledger, ks=(1, 3))
    assert decoded is not None
    for found, part in ((whole, ledger), (decoded, decoded_only(ledger))):
        expected = metrics(part, (1, 3))
        assert {name: value.value for name, value in found.items()} == expected
        for value in found.values():
            assert value.low is not None
            assert value.value is not None
            assert value.high is not None
            assert value.low < value.value < value.high
    assert set(whole) == {
        *(f"{level}_hit{k}" for level in ("clip", "video") for k in (1, 3)),
        *("map", "map/Group 0", "map/Group 1", "balanced_accuracy", "ece"),
    }
    worse, better = whole["video_hit1"].value, decoded["video_hit1"].value
    assert worse is not None
    assert better is not None
    assert worse < better


def test_without_failures_there_is_one_set_of_numbers() -> None:
    assert summarise(make_ledger(failed=0))[1] is None


@pytest.mark.parametrize("kind", [{"failed": 1.0}, {"unlabelled": 1.0}])
def test_nothing_to_score(kind: dict[str, float]) -> None:
    whole, decoded = summarise(make_ledger(**kind))  # type: ignore[arg-type]
    if "failed" in kind:
        value = whole["video_hit1"]
        assert (value.value, value.low) == (0.0, 0.0)
        assert value.high is not None
        assert 0.05 < value.high < 0.5
        assert decoded is not None
        whole = decoded
    assert set(whole.values()) == {Value(value=None)}


def test_intervals_are_those_of_the_sources_sums() -> None:
    ledger = make_ledger(videos=40, failed=0.2, unlabelled=0.2)
    found = summarise(ledger)[0]["video_hit1"]
    sums: dict[str, list[int]] = {}
    for row in ledger.table.to_pylist():
        if row["labels"]:
            best = max(range(6), key=lambda n, row=row: row["scores"][n]) if row["scores"] else None  # type: ignore[misc]
            held = sums.setdefault(row["source_group"], [0, 0])
            held[0] += best in row["labels"]
            held[1] += 1
    hits, sizes = np.array(list(sums.values()), float).T
    share, number = hits.sum() / sizes.sum(), len(sums)
    ratio = ((hits - share * sizes) ** 2).sum() / sizes.mean() ** 2 / (number - 1) / share / (1 - share)
    weight = min(number, number * min(share, 1 - share) / ratio)
    size = number * (weight + 1) / (weight * ratio + 1)
    expected = binomtest(int(hits.sum()), int(sizes.sum())).proportion_ci(method="wilson")  # of independent videos
    scaled = [(share + 1.959964**2 / 2 / n) / (1 + 1.959964**2 / n) for n in (size, sizes.sum())]
    assert (found.low + found.high) / 2 == pytest.approx(scaled[0])  # type: ignore[operator]
    assert (expected.low + expected.high) / 2 == pytest.approx(scaled[1])  # that the formula is Wilson's


def test_intervals_of_average_precision_are_there_where_they_are_quick_or_asked_for() -> None:
    ledger = make_ledger(videos=60)
    steps: list[int] = []

    def watched(blocks: Iterable[int]) -> Iterable[int]:
        for block in blocks:
            steps.append(block)
            yield block

    assert summarise(ledger, map_intervals=False, progress=watched)[0]["map"].low is None
    assert steps == []
    assert summarise(ledger, progress=watched)[0]["map"].low is not None
    assert steps
    assert is_quick((3783, 101))
    assert not is_quick((200_000, 487))


def test_repeated_sums_are_equal() -> None:
    ledger = make_ledger()
    whole = summarise(ledger)[0]
    assert summarise(ledger)[0] == whole
    shuffled = ledger.select(np.random.default_rng(0).permutation(len(ledger)))
    for name, value in summarise(shuffled)[0].items():
        expected = whole[name]
        assert (value.value, value.low, value.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_hits_are_zero_for_what_failed_and_what_has_no_label_does_not_count() -> None:
    ledger = make_ledger(failed=0.3, unlabelled=0.3)
    labelled = ledger.labels.any(1)
    for level, clips in (("clip", 4), ("video", 1)):
        for k in (1, 100):
            counts = hit(level, k).counts  # type: ignore[arg-type]
            assert counts is not None
            hits, trials = counts(predictions(ledger))
            assert len(hits) == labelled.sum()
            assert (hits[~ledger.scored[labelled]] == 0).all()
            assert set(trials) == {clips}
    np.testing.assert_array_equal(hits, ledger.scored[labelled])


def test_a_score_without_counts_gets_the_interval_of_the_jackknife() -> None:
    ledger = make_ledger(videos=60, failed=0.2)
    known, clusters = predictions(ledger), clusters_of(ledger)
    without = []
    for source in range(clusters.max() + 1):
        recalls = []
        for n in range(known.labels.shape[1]):
            true = [row for row in range(len(known)) if known.labels[row, n] and clusters[row] != source]
            right = sum(ranks(known.scores[[row]], known.labels[[row]])[0] == 1 for row in true)
            recalls.append(right / len(true))
        without.append(np.mean(recalls))
    found = summarise(ledger)[0]["balanced_accuracy"]
    assert found.value is not None
    expected = interval(found.value, of_parts_left_out(found.value, np.array(without), len(known)))
    assert (found.low, found.high) == pytest.approx(expected)


def test_an_average_precision_is_in_its_interval_where_there_are_many_classes() -> None:
    """Drawing sources with replacement puts copies of a video beside it, which lifts average precision."""
    rng = np.random.default_rng(0)
    true, clusters = np.repeat(np.arange(30), 35), np.arange(30 * 35) // 5
    odds = np.exp(
        0.8 * rng.normal(size=(210, 30))[clusters] + 0.6 * rng.normal(size=(1050, 30)) + 0.3 * np.eye(30)[true]
    )
    known = Predictions(odds / odds.sum(1, keepdims=True), np.eye(30, dtype=bool)[true], np.ones((1050, 1), np.int32))
    value = MAP.values(known)["map"]
    low, high = interval(value, influences_of([MAP], known, {"map": value}, clusters)["map"])
    assert low < value < high
    assert 0.3 < (value - low) / (high - low) < 0.7
    twice = MAP.values(known.take(np.concatenate([np.arange(1050), np.arange(1050)])))["map"]
    assert twice == pytest.approx(value)


@pytest.mark.parametrize("sources", [10, 11])
def test_few_sources_give_no_interval(sources: int) -> None:
    ledger = make_ledger(videos=3 * sources, videos_per_source=3, unlabelled=0, failed=0)
    assert clusters_of(ledger).max() + 1 == sources
    for value in summarise(ledger)[0].values():
        assert (value.low is None) == (sources == 10)
