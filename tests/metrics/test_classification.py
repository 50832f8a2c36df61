"""All scores of a run against plain loops, in one process.

Letters: B clips, V videos, K classes.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.metrics import Predictions, Score, descriptors
from benchmark.metrics.classification import ClassificationScores
from tests.generators.plain_scores import plain_extras

GROUPS = {"sports": [0, 1, 2], "music": [3, 4, 5], "nobody": [6]}


def run_of(videos: int, classes: int, seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batches of whole videos with 1 to 5 clips each, their clips mixed; class 6 has no positive."""
    rng = np.random.default_rng(seed)
    batches = []
    for part in np.array_split(rng.permutation(videos), max(videos // 6, 1)):
        rows = rng.permutation(np.repeat(part, rng.integers(1, 6, len(part))))
        truth = {row: rng.random(classes) < 0.3 for row in part}
        labels = np.array([truth[row] for row in rows])
        labels[:, 6:7] = False
        probabilities = rng.integers(0, 6, (len(rows), classes)) / 8
        probabilities[rng.random(len(rows)) < 0.05, 0] = np.nan
        batches.append((torch.tensor(probabilities).float(), torch.tensor(labels).float(), torch.tensor(rows)))
    return batches


def plain_hit(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    hits = []
    positive: np.ndarray = labels > 0
    for values, truth in zip(scores, positive, strict=True):
        if truth.any():
            beaten = (values[~truth] >= values[truth].max()).sum()
            hits.append(bool(beaten < k and not np.isnan(values).any()))
    return float(np.mean(hits))


def plain_ap(values: np.ndarray, truth: np.ndarray) -> float:
    """Each positive contributes the precision among all videos that score at least as high."""
    values = np.nan_to_num(values, nan=-1.0)
    return float(np.mean([truth[values >= own].mean() for own in values[truth]])) if truth.any() else np.nan


def plain_scores(batches: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    probabilities, labels, rows = (np.concatenate([b[i].numpy() for b in batches]) for i in range(3))
    videos = sorted(set(rows.tolist()))
    means = np.array([probabilities[rows == row].mean(axis=0, dtype=np.float64) for row in videos]).astype(np.float32)
    truth = np.array([labels[rows == row][0] for row in videos])
    kept = (truth > 0).any(axis=1)
    failed = np.isnan(means).any(axis=1)
    ranked = np.where(np.expand_dims(failed, 1), np.nan, means)[kept]
    positive: np.ndarray = truth[kept] > 0
    ap = np.array([plain_ap(ranked[:, c], positive[:, c]) for c in range(means.shape[1])])
    expected = {
        "clip_hit1": plain_hit(probabilities, labels, 1),
        "clip_hit5": plain_hit(probabilities, labels, 5),
        "video_hit1": plain_hit(means, truth, 1),
        "video_hit5": plain_hit(means, truth, 5),
        "map": float(np.nanmean(ap)),
        "videos": float(len(videos)),
        **plain_extras(ranked, positive),
    }
    for name, members in GROUPS.items():
        if not np.isnan(ap[members]).all():
            expected[f"map/{name}"] = float(np.nanmean(ap[members]))
    return expected


def values_of(metric: ClassificationScores) -> dict[str, float]:
    values = metric.compute()
    assert all(value.shape == () and value.dtype == torch.float32 for value in values.values())
    return {name: value.item() for name, value in values.items()}


def test_equals_plain_loops_and_restarts_after_reset() -> None:
    metric = ClassificationScores(8, GROUPS)
    for seed in (0, 1):
        batches = run_of(40, 8, seed)
        for batch in batches:
            metric.update(*batch)
        values = values_of(metric)
        assert "map/nobody" not in values
        assert values == pytest.approx(plain_scores(batches), rel=1e-6)
        assert values_of(metric) == values
        metric.reset()


def test_fewer_classes_than_five() -> None:
    metric = ClassificationScores(2, {})
    metric.update(torch.tensor([[0.9, 0.1], [torch.nan, 0.5]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.arange(2))
    assert values_of(metric) == {
        "clip_hit1": 0.0,
        "clip_hit5": 0.5,
        "video_hit1": 0.0,
        "video_hit5": 0.5,
        "map": 1.0,
        "balanced_accuracy": 0.0,
        "ece": pytest.approx(0.9),  # of the one decoded video
        "videos": 2.0,
    }


def test_videos_with_unknown_labels_only_count() -> None:
    known = torch.tensor([[0.6, 0.4], [0.3, 0.7]]), torch.eye(2), torch.tensor([4, 9])
    metric = ClassificationScores(2, {})
    metric.update(*known)
    alone = values_of(metric)
    metric.update(torch.tensor([[0.99, 0.98]]), torch.zeros(1, 2), torch.tensor([5]))
    assert values_of(metric) == {**alone, "videos": 3.0}


def test_half_precision_default_dtype_costs_nothing() -> None:
    batches = run_of(40, 8, seed=2)
    expected = ClassificationScores(8, GROUPS)
    torch.set_default_dtype(torch.bfloat16)
    try:
        metric = ClassificationScores(8, GROUPS).to(torch.bfloat16)
        for batch in batches:
            metric.update(*batch)
        values = values_of(metric)
    finally:
        torch.set_default_dtype(torch.float32)
    for batch in batches:
        expected.update(*batch)
    assert values == values_of(expected)


def test_inference_mode_and_ordinary_mode_mix() -> None:
    batches = run_of(12, 8, seed=3)
    metric = ClassificationScores(8, GROUPS)
    for number, batch in enumerate(batches):
        with torch.inference_mode(mode=number % 2 == 0):
            metric.update(*batch)
    assert values_of(metric) == pytest.approx(plain_scores(batches), rel=1e-6)
    with torch.inference_mode():
        metric.reset()
    metric.update(*batches[0])
    assert metric.compute()["videos"] == len(set(batches[0][2].tolist()))


def test_states_are_no_part_of_a_checkpoint() -> None:
    metric = ClassificationScores(8, GROUPS)
    metric.update(*run_of(6, 8, seed=4)[0])
    assert not metric.state_dict()


def test_unknown_class_in_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="'sports' holds the classes"):
        ClassificationScores(2, GROUPS)


def first_clip(known: Predictions) -> float:
    return float((known.clip_ranks[:, 0] == 1).mean())


def all_clips(known: Predictions) -> tuple[np.ndarray, np.ndarray]:
    ranked: np.ndarray = known.clip_ranks <= 8  # 9 is of a clip that is not there, or failed
    return ((known.clip_ranks == 1) & ranked).sum(1), ranked.sum(1)


def test_scores_that_are_added_see_the_ranks_of_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    for score in (Score("first", "first", "first", first_clip), Score("every", "every", "every", counts=all_clips)):
        monkeypatch.setitem(descriptors._KNOWN, score.name, score)
    metric, batches = ClassificationScores(8, GROUPS), run_of(40, 8, seed=5)
    for _ in range(2):
        for batch in batches:
            metric.update(*batch)
        values = values_of(metric)
        metric.reset()
    first, every = dict[int, bool](), list[bool]()
    for probabilities, labels, rows in batches:
        for said, truth, row in zip(probabilities.numpy(), labels.numpy() > 0, rows.tolist(), strict=True):
            if truth.any():
                is_read = not np.isnan(said).any()
                right = bool(is_read and said[truth].max() > said[~truth].max(initial=-1))
                first.setdefault(row, right)
                every += [right] if is_read else []
    assert values["first"] == pytest.approx(np.mean(list(first.values())), abs=1e-6)
    assert values["every"] == pytest.approx(np.mean(every), abs=1e-6)
    assert 0 < values["first"] < 1


def test_whole_videos_have_no_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def noted(known: Predictions) -> float:
        seen.append(known.clip_ranks.shape)
        return 0.5

    monkeypatch.setitem(descriptors._KNOWN, "width", Score("width", "width", "width", noted))
    metric = ClassificationScores(2, {}, has_clips=False)
    metric.update(torch.tensor([[0.6, 0.4], [0.3, 0.7]]), torch.eye(2), torch.tensor([4, 9]))
    assert values_of(metric)["width"] == 0.5
    assert seen == [(2, 0)]
