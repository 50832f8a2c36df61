"""Average precision against a loop over thresholds and against torchmetrics.

Letters: V videos, K classes.
"""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multilabel_average_precision

from benchmark.metrics.average_precision import (
    MeanAveragePrecision,
    average_precision,
    group_mean_average_precision,
    mean_average_precision,
)


def plain_average_precision(scores: np.ndarray, labels: np.ndarray) -> list[float]:
    """Steps through the distinct scores of each class, failed videos last and together."""
    scores = scores.astype(np.float32)
    failed = np.isnan(scores).any(axis=1)
    areas = []
    for values, truth in zip(scores.T, labels.T.astype(bool), strict=True):
        if not truth.any():
            areas.append(math.nan)
            continue
        area, found = 0.0, 0
        selections = [~failed & (values >= t) for t in sorted(set(values[~failed]), reverse=True)]
        for selected in [*selections, np.ones_like(failed)]:
            correct = int((selected & truth).sum())
            area += (correct - found) / truth.sum() * (correct / selected.sum() if correct else 0)
            found = correct
        areas.append(area)
    return areas


def awkward_videos(videos: int, classes: int, seed: int, *, failures: bool) -> tuple[np.ndarray, np.ndarray]:
    """Many ties, several labels, classes without a positive."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 9, (videos, classes)) / 8
    labels = rng.random((videos, classes)) < 0.2
    labels[:, ::5] = False
    if failures:
        scores[rng.random((videos, classes)) < 0.03] = np.nan
        scores[3] = np.nan
    return scores, labels


@pytest.mark.parametrize("failures", [False, True])
@pytest.mark.parametrize(("videos", "classes"), [(1, 2), (40, 7), (150, 70)])
def test_equals_a_loop(videos: int, classes: int, failures: bool) -> None:
    scores, labels = awkward_videos(max(videos, 4), classes, seed=videos, failures=failures)
    ap = average_precision(torch.from_numpy(scores), torch.from_numpy(labels))
    assert ap.dtype == torch.float64
    np.testing.assert_allclose(ap.numpy(), plain_average_precision(scores, labels), rtol=1e-12)


@pytest.mark.parametrize("levels", [4, 1_000_000])
def test_equals_torchmetrics(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(levels, (300, 80), generator=generator) / levels
    labels = (torch.rand(300, 80, generator=generator) < 0.1).long()
    reference = multilabel_average_precision(scores, labels, num_labels=80, average="none", thresholds=None)
    np.testing.assert_allclose(average_precision(scores, labels).numpy(), reference.numpy(), atol=1e-6)


def test_by_hand() -> None:
    # Class 0: true, false, true -> 1/2 (1/1 + 2/3). Class 1: all equal -> the share of positives. Class 2: nobody.
    scores = torch.tensor([[0.9, 0.5, 0.1], [0.8, 0.5, 0.2], [0.7, 0.5, 0.3]])
    labels = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0]])
    ap = average_precision(scores, labels)
    assert ap[:2].tolist() == pytest.approx([5 / 6, 1 / 3])
    assert ap[2].isnan()
    assert mean_average_precision(ap).item() == pytest.approx((5 / 6 + 1 / 3) / 2)


def test_order_of_videos_does_not_matter() -> None:
    scores, labels = (torch.from_numpy(a) for a in awkward_videos(60, 6, seed=0, failures=True))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        average_precision(scores, labels),
        average_precision(scores[order], labels[order]),
        rtol=0,
        atol=0,
        equal_nan=True,
    )


def test_failed_videos_rank_below_the_lowest_score() -> None:
    scores = torch.tensor([[-torch.inf, 0.0], [torch.nan, 1.0], [-torch.inf, 0.5]])
    labels = torch.tensor([[0, 0], [1, 1], [0, 0]])
    assert average_precision(scores, labels).tolist() == pytest.approx([1 / 3, 1 / 3])


def test_no_videos_and_no_positives_are_nan() -> None:
    assert average_precision(torch.empty(0, 3), torch.empty(0, 3)).isnan().tolist() == [True] * 3
    ap = average_precision(torch.rand(4, 3), torch.zeros(4, 3))
    assert mean_average_precision(ap).isnan()


def test_groups_average_their_classes_with_positives() -> None:
    ap = torch.tensor([0.5, math.nan, 1.0, math.nan], dtype=torch.float64)
    groups = {"sports": [0, 1, 2], "music": [1, 3], "one": [2], "empty": []}
    means = group_mean_average_precision(ap, groups)
    assert {name: mean.item() for name, mean in means.items()} == {"sports": 0.75, "one": 1.0}


def test_metric_equals_function_over_batches() -> None:
    scores, labels = (torch.from_numpy(a) for a in awkward_videos(50, 6, seed=1, failures=True))
    groups = {"a": [0, 1, 2], "b": [3, 4], "none": [0, 5]}
    metric = MeanAveragePrecision(6, groups)
    ap = average_precision(scores, labels)
    expected = {"map": mean_average_precision(ap), "map/a": ap[[1, 2]].mean(), "map/b": ap[[3, 4]].mean()}
    for _ in range(2):
        for part, truth in zip(torch.split(scores, 7), torch.split(labels, 7), strict=True):
            metric.update(part, truth)
        assert metric.compute() == expected
        metric.reset()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_metric_without_videos_is_nan() -> None:
    values = MeanAveragePrecision(3, {"a": [0]}).compute()
    assert list(values) == ["map"]
    assert values["map"].isnan()


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(3, 3\)"):
        average_precision(torch.zeros(4, 3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"'sports' holds the classes \[-1, 3\]; allowed are 0 to 2"):
        MeanAveragePrecision(3, {"sports": [-1, 0, 3]})
    with pytest.raises(ValueError, match=r"\(2, 4\).*\(videos, 3\)"):
        MeanAveragePrecision(3, {}).update(torch.zeros(2, 4), torch.zeros(2, 4))
