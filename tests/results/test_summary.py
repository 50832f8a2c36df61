from collections.abc import Iterable

import numpy as np
import pytest

from benchmark.metrics.arrays import ranks
from benchmark.metrics.descriptors import hit
from benchmark.results.record import Value
from benchmark.results.scores import decoded_only, metrics, predictions
from benchmark.results.statistics import interval, resampled_weights
from benchmark.results.summary import clusters_of, is_quick, map_samples, summarise
from tests.generators.ledgers import make_ledger
from tests.results.test_scores import loop_average_precision


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
        assert whole["video_hit1"] == Value(value=0.0, low=0.0, high=0.0)
        assert decoded is not None
        whole = decoded
    assert set(whole.values()) == {Value(value=None)}


def test_intervals_follow_the_draws() -> None:
    ledger = make_ledger(videos=40, failed=0.2, unlabelled=0.2)
    found = summarise(ledger)[0]["video_hit1"]
    rows = [row for row in ledger.table.to_pylist() if row["labels"]]
    sources = sorted({row["source_group"] for row in rows})
    correct = []
    for row in rows:
        best = max(range(6), key=lambda n, row=row: row["scores"][n]) if row["scores"] else None  # type: ignore[misc]
        correct.append(best in row["labels"])
    clusters = np.array([sources.index(row["source_group"]) for row in rows])
    samples = [
        sum(w * c for w, c in zip(weights, correct, strict=True)) / sum(weights)
        for block in resampled_weights(clusters, 1000, 0)
        for weights in block.tolist()
    ]
    assert (found.low, found.high) == pytest.approx(interval(np.array(samples)))


def test_mean_average_precision_samples_equal_a_slow_loop() -> None:
    ledger = make_ledger(videos=25, classes=40, several=0.5, failed=0.2, ties=True)
    clusters = np.unique(ledger.clusters(), return_inverse=True)[1]
    groups = ledger.info.groups()
    found = map_samples(ledger.scores, ledger.labels, clusters, groups, replicates=12, seed=9)
    below = np.nan_to_num(ledger.scores, nan=-1)
    weights = np.concatenate(list(resampled_weights(clusters, 12, 9))).astype(int)
    for replicate, row in enumerate(weights):
        areas = np.array(
            [
                loop_average_precision(np.repeat(below[:, n], row).tolist(), np.repeat(truth, row).tolist())
                for n, truth in enumerate(ledger.labels.T)
            ]
        )
        assert found["map"][replicate] == pytest.approx(np.nanmean(areas))
        for name, members in groups.items():
            assert found[f"map/{name}"][replicate] == pytest.approx(np.nanmean(areas[members]))


def test_intervals_of_average_precision_are_there_where_they_are_quick_or_asked_for() -> None:
    ledger = make_ledger(videos=30)
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


def test_a_score_without_counts_gets_the_interval_of_its_resampled_videos() -> None:
    ledger = make_ledger(videos=40, failed=0.2)
    known, clusters = predictions(ledger), clusters_of(ledger)
    found = summarise(ledger)[0]["balanced_accuracy"]
    samples = []
    for weights in np.concatenate(list(resampled_weights(clusters, 1000, 0))).astype(int):
        recalls = []
        for n in range(known.labels.shape[1]):
            true = [(row, w) for row, w in enumerate(weights) if known.labels[row, n] and w]
            right = sum(w for row, w in true if ranks(known.scores[[row]], known.labels[[row]])[0] == 1)
            if true:
                recalls.append(right / sum(w for _, w in true))
        samples.append(np.mean(recalls))
    assert (found.low, found.high) == pytest.approx(interval(np.array(samples)))
