"""Hit@k against a loop over samples and against top-k accuracy.

Letters: N samples, K classes.
"""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from benchmark.metrics.hit import HitAtK, hit_at_k, ranks


def plain_ranks(scores: np.ndarray, labels: np.ndarray) -> list[int]:
    found = []
    for values, truth in zip(scores.astype(np.float32), labels, strict=True):
        true = [v for v, t in zip(values, truth, strict=True) if t]
        false = [v for v, t in zip(values, truth, strict=True) if not t]
        if np.isnan(values).any() or not true:
            found.append(len(values) + 1)
        else:
            found.append(1 + sum(v >= max(true) for v in false))
    return found


def plain_hit(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    kept = [
        (rank, np.isnan(values).any())
        for rank, values, truth in zip(plain_ranks(scores, labels), scores, labels, strict=True)
        if truth.any()
    ]
    return sum(rank <= k and not failed for rank, failed in kept) / len(kept)


def awkward_samples(samples: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Many ties, several labels, some samples without a label, some failed ones."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (samples, classes)) / 4
    labels = rng.random((samples, classes)) < 0.25
    scores[rng.random((samples, classes)) < 0.02] = np.nan
    return scores, labels


@pytest.mark.parametrize("classes", [1, 3, 12])
def test_ranks_and_hits_equal_a_loop(classes: int) -> None:
    scores, labels = awkward_samples(200, classes, seed=classes)
    tensors = torch.from_numpy(scores), torch.from_numpy(labels)
    assert ranks(*tensors).tolist() == plain_ranks(scores, labels)
    assert ranks(*tensors).dtype == torch.int64
    for k in (1, 2, 5, classes + 1, 100):
        expected = np.float32(plain_hit(scores, labels, k))
        assert hit_at_k(*tensors, k).item() == expected
        metric = HitAtK(k)
        for part, truth in zip(torch.split(tensors[0], 33), torch.split(tensors[1], 33), strict=True):
            metric.update(part, truth)
        assert metric.compute().item() == expected


@pytest.mark.parametrize("k", [1, 5])
def test_single_label_equals_top_k_accuracy(k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    scores = torch.rand(500, 20, generator=generator)
    target = torch.randint(20, (500,), generator=generator)
    reference = MulticlassAccuracy(20, top_k=k, average="micro")(scores, target)
    assert hit_at_k(scores, torch.nn.functional.one_hot(target, 20), k).item() == pytest.approx(float(reference))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_constant_scores_are_no_hits(dtype: torch.dtype) -> None:
    scores, labels = torch.full((6, 8), 0.125, dtype=dtype), torch.eye(8)[:6]
    assert ranks(scores, labels).tolist() == [8] * 6
    assert hit_at_k(scores, labels, 1) == 0
    assert hit_at_k(scores, labels, 7) == 0
    assert hit_at_k(scores, labels, 8) == 1


def test_scores_equal_in_float32_are_ties() -> None:
    scores = torch.tensor([[0.5, 0.5 + 1e-12]], dtype=torch.float64)
    assert ranks(scores, torch.tensor([[0, 1]])).tolist() == [2]


def test_failed_samples_never_hit() -> None:
    scores = torch.tensor([[torch.nan, 0.9], [torch.nan, torch.nan], [0.1, 0.9]])
    labels = torch.tensor([[0, 1], [1, 1], [0, 1]])
    assert ranks(scores, labels).tolist() == [3, 3, 1]
    assert hit_at_k(scores, labels, 1000).item() == np.float32(1 / 3)


def test_samples_without_label_are_left_out() -> None:
    scores, labels = torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([[0, 0], [1, 0]])
    assert hit_at_k(scores, labels, 1) == 1
    assert hit_at_k(scores[:1], labels[:1], 1).isnan()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_seen_is_nan() -> None:
    metric = HitAtK(1)
    assert metric.compute().isnan()
    metric.update(torch.empty(0, 4), torch.empty(0, 4))
    assert metric.compute().isnan()


def test_update_goes_on_after_compute_and_restarts_after_reset() -> None:
    metric, labels = HitAtK(1), torch.eye(4)
    metric.update(labels, labels)
    assert metric.compute() == 1
    metric.update(labels.flip(0), labels)
    assert metric.compute() == 0.5
    metric.reset()
    metric.update(labels.flip(0), labels)
    assert metric.compute() == 0


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_counts_above_float32_are_exact() -> None:
    metric = HitAtK(1)
    metric.hits, metric.samples = torch.tensor(2**24 + 1), torch.tensor(2**25 + 2)
    assert metric.compute() == 0.5


@pytest.mark.parametrize("shape", [(4,), (3, 4), (4, 3)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    labels: Tensor = torch.zeros(shape)
    with pytest.raises(ValueError, match=r"\(4, 4\).*samples, classes"):
        ranks(torch.zeros(4, 4), labels)


def test_k_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="k of Hit@k is 0"):
        HitAtK(0)
    with pytest.raises(ValueError, match="k of Hit@k is -1"):
        hit_at_k(torch.zeros(1, 2), torch.ones(1, 2), -1)
