import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from benchmark.metrics.arrays import average_precision, mean_average_precisions, ranks
from benchmark.metrics.classification import ClassificationScores
from benchmark.results.ledger import Ledger
from benchmark.results.scores import confusions, decoded_only, metrics
from tests.generators.ledgers import best_rank, draw_clips, draw_labels, ledger_of_clips, make_ledger
from tests.generators.plain_scores import plain_extras

KINDS = [
    {},
    {"ties": True},
    {"ties": True, "several": 0.7, "unlabelled": 0.2, "failed": 0.3},
    {"videos": 9, "classes": 20, "ties": True},  # classes without a positive
    {"failed": 0.0, "groups": 0},
    {"failed": 1.0},
    {"unlabelled": 1.0},
]


def loop_average_precision(scores: list[float], truth: list[bool]) -> float:
    """Mean over the positives of the precision among all videos that score at least as high."""
    precisions = []
    for score, true in zip(scores, truth, strict=True):
        if true:
            above = [other for value, other in zip(scores, truth, strict=True) if value >= score]
            precisions.append(sum(above) / len(above))
    return sum(precisions) / len(precisions) if precisions else float("nan")


def loop_metrics(ledger: Ledger, k: int) -> dict[str, float]:
    """The definitions, video by video, from the rows of the table."""
    rows = [row for row in ledger.table.to_pylist() if row["labels"]]
    classes, clips = len(ledger.info.class_names), ledger.info.protocol.clips_per_video
    clip_hits_found = video_hits = 0
    columns: list[list[float]] = [[] for _ in range(classes)]
    truths: list[list[bool]] = [[] for _ in range(classes)]
    for row in rows:
        for number in range(classes):
            columns[number].append(-1.0 if row["scores"] is None else row["scores"][number])
            truths[number].append(number in row["labels"])
        if row["scores"] is not None:
            best = max(row["scores"][label] for label in row["labels"])
            wrong = [s for number, s in enumerate(row["scores"]) if number not in row["labels"] and s >= best]
            video_hits += len(wrong) < k
            clip_hits_found += sum(rank <= k for rank in row["clip_ranks"])
    if not rows:
        return {}
    areas = [loop_average_precision(column, truth) for column, truth in zip(columns, truths, strict=True)]
    values = {f"clip_hit{k}": clip_hits_found / len(rows) / clips, f"video_hit{k}": video_hits / len(rows)}
    columns_of = np.array(columns).T
    columns_of[[row["scores"] is None for row in rows]] = np.nan
    values |= plain_extras(columns_of, np.array(truths).T)
    present = [area for area in areas if area == area]
    values["map"] = sum(present) / len(present)
    for name, members in ledger.info.groups().items():
        inside = [areas[number] for number in members if areas[number] == areas[number]]
        if inside:
            values[f"map/{name}"] = sum(inside) / len(inside)
    return values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_metrics_follow_their_definitions(kind: dict[str, float], seed: int) -> None:
    ledger = make_ledger(seed, **kind)  # type: ignore[arg-type]
    for part in (ledger, decoded_only(ledger)):
        for k in (1, 2, 5):
            expected, found = loop_metrics(part, k), metrics(part, (k,))
            if not expected:
                assert set(found) == {f"clip_hit{k}", f"video_hit{k}", "map", "balanced_accuracy", "ece"}
                assert np.isnan(list(found.values())).all()
            else:
                assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("unlabelled", [0.0, 0.2])
@pytest.mark.parametrize("failed", [0.0, 0.2])
def test_what_scrolls_by_and_what_counts_are_equal(ties: bool, unlabelled: float, failed: float) -> None:
    labels = draw_labels(4, 60, 7, several=0.4, unlabelled=unlabelled)
    clips = draw_clips(4, labels, 4, ties=ties)
    broken = np.random.default_rng(0).random(60) < failed
    groups = ("A", "B", "A", "C", "B", "A", "C")
    ledger = ledger_of_clips(clips, labels, failed=broken, class_groups=groups)
    scores = ClassificationScores(7, ledger.info.groups())
    shown = np.where(broken[:, None, None], np.nan, clips)
    for first in range(0, 60, 7):
        rows = np.arange(first, min(60, first + 7))
        scores.update(
            torch.from_numpy(shown[rows].reshape(-1, 7)),
            torch.from_numpy(np.repeat(labels[rows], 4, 0)),
            torch.from_numpy(np.repeat(rows, 4)),
        )
    theirs = {name: float(value) for name, value in scores.compute().items()}
    assert theirs.pop("videos") == len(ledger)
    assert metrics(ledger) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties: bool) -> None:
    ledger = make_ledger(videos=200, classes=9, several=0.5, ties=ties, failed=0.2)
    found = average_precision(ledger.scores, ledger.labels)
    below = np.nan_to_num(ledger.scores, nan=-1)
    for number in range(9):
        assert found[number] == pytest.approx(
            average_precision_score(ledger.labels[:, number], below[:, number]), abs=1e-12
        )


def test_average_precision_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.8, 0.1], [0.1, 0.1], [np.nan, np.nan]], np.float32)
    labels = np.array([[1, 0], [1, 0], [0, 0], [1, 0], [1, 0]], bool)
    first, second = average_precision(scores, labels)
    assert first == pytest.approx((1 / 1 + 2 / 3 + 3 / 4 + 4 / 5) / 4)
    assert np.isnan(second)


def test_failed_videos_enter_together() -> None:
    scores = np.full((4, 1), np.nan, np.float32)
    assert average_precision(scores, np.array([[1], [0], [0], [0]], bool)) == pytest.approx([0.25])
    assert average_precision(scores, np.array([[0], [0], [0], [1]], bool)) == pytest.approx([0.25])


def test_many_classes_are_worked_out_like_few() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.random((50, 75)).astype(np.float32), rng.random((50, 75)) < 0.1
    one_by_one = [average_precision(scores[:, [n]], labels[:, [n]])[0] for n in range(75)]
    np.testing.assert_array_equal(average_precision(scores, labels), one_by_one)


def test_ranks_by_loop_and_by_hand() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (300, 6)).astype(np.float32)
    labels = rng.random((300, 6)) < 0.3
    assert ranks(scores, labels).tolist() == [best_rank(s, t) for s, t in zip(scores, labels, strict=True)]
    constant, one = np.full((1, 5), 0.2, np.float32), np.eye(5, dtype=bool)[:1]
    assert ranks(constant, one).tolist() == [5]  # a constant must not pass for correct
    assert ranks(constant * np.nan, one).tolist() == [6]
    assert ranks(constant, ~np.ones((1, 5), bool)).tolist() == [6]
    assert ranks(constant, np.ones((1, 5), bool)).tolist() == [1]
    assert ranks(np.zeros((0, 5), np.float32), np.zeros((0, 5), bool)).tolist() == []


def test_many_videos_are_ranked_like_few() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random((40_000, 3)).astype(np.float32), rng.random((40_000, 3)) < 0.3
    pieces = [ranks(s, t) for s, t in zip(np.split(scores, 100), np.split(labels, 100), strict=True)]
    np.testing.assert_array_equal(ranks(scores, labels), np.concatenate(pieces))


def test_k_beyond_the_classes_is_no_hit_for_the_unlabelled_or_failed() -> None:
    ledger = make_ledger(classes=3, unlabelled=0.3, failed=0.3)
    found = metrics(ledger, (50,))
    decoded = ledger.scored[ledger.labels.any(1)].mean()
    assert found["video_hit50"] == found["clip_hit50"] == decoded < 1


def test_decoded_only_leaves_out_what_failed() -> None:
    ledger = make_ledger(failed=0.3)
    part = decoded_only(ledger)
    assert part.failures() == {}
    assert set(part.video_ids) == set(ledger.video_ids) - set(ledger.failures())
    whole = make_ledger(failed=0)
    assert decoded_only(whole) is whole


def test_means_leave_out_classes_without_positive() -> None:
    means = mean_average_precisions(np.array([0.5, np.nan, 1.0, np.nan]), {"A": [0, 1], "B": [1, 3], "C": [2]})
    assert means == {"map": 0.75, "map/A": 0.5, "map/C": 1.0}
    assert np.isnan(mean_average_precisions(np.full(2, np.nan), {"A": [0]})["map"])


def test_confusions_by_loop() -> None:
    ledger = make_ledger(videos=80, several=0.5, skill=0.5)
    expected = np.zeros((6, 6), int)
    for row in ledger.table.to_pylist():
        if row["scores"] is None:
            continue
        said = max(range(6), key=lambda number, row=row: row["scores"][number])  # type: ignore[misc]
        if said in row["labels"]:
            expected[said, said] += 1
        else:
            for label in row["labels"]:
                expected[label, said] += 1
    np.testing.assert_array_equal(confusions(ledger), expected)
    assert expected.sum() > np.trace(expected) > 0
