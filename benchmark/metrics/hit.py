"""Hit@k: the share of samples with a true label among the k best-scored classes (section 4).

Letters: N samples (clips or videos), K classes.
"""

import torch
from torch import Tensor
from torchmetrics import Metric


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """Rank of the best-scored true label of each sample, ties counted against it.

    The rank is 1 + the number of false labels that score at least as high as the best-scored true label, so constant
    scores do not pass for correct ones.

    Args:
        scores: (N, K) floating point, compared as float32.
        labels: (N, K) multi-hot, non-zero for each true class.

    Returns:
        (N,) int64, 1 to K; K + 1 where a score of the sample is NaN and where the sample has no true label.

    Raises:
        ValueError: If the shapes differ or are not (N, K).
    """
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(
            f"scores are {tuple(scores.shape)} and labels {tuple(labels.shape)}; both must be (samples, classes)"
        )
    classes = scores.shape[1]
    scores, true = scores.float(), labels != 0
    best = scores.masked_fill(~true, -torch.inf).amax(dim=1, keepdim=True)
    rank = 1 + ((scores >= best) & ~true).sum(dim=1)
    return rank.masked_fill(scores.isnan().any(dim=1), classes + 1)


def hit_at_k(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """Share of the labelled samples whose rank is at most k (section 4: Hit@k).

    Args:
        scores: (N, K) floating point, compared as float32.
        labels: (N, K) multi-hot; samples without a true label are left out.
        k: Number of predictions looked at, 1 or more; it may exceed K.

    Returns:
        () float32, 0 to 1, or NaN without a labelled sample.

    Raises:
        ValueError: If the shapes differ or are not (N, K), or k is below 1.
    """
    return _share(*_count(scores, labels, k))


class HitAtK(Metric):
    """Hit@k over all samples of all processes (section 4).

    Args:
        k: Number of predictions looked at, 1 or more; it may exceed K.

    Raises:
        ValueError: If k is below 1.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    samples: Tensor

    def __init__(self, k: int) -> None:
        # A cached value would let one process skip the exchange that another one waits in.
        super().__init__(compute_with_cache=False)
        _require_positive(k)
        self.k = k
        self.add_state("hits", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("samples", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Add samples.

        Args:
            scores: (N, K) floating point, compared as float32.
            labels: (N, K) multi-hot; samples without a true label are left out.

        Raises:
            ValueError: If the shapes differ or are not (N, K).
        """
        hits, samples = _count(scores, labels, self.k)
        # Not in place: a state created under inference mode could not be changed outside it.
        self.hits, self.samples = self.hits + hits, self.samples + samples

    def compute(self) -> Tensor:
        """Share of hits so far, () float32, 0 to 1, or NaN without a labelled sample."""
        return _share(self.hits, self.samples)


def _count(scores: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Hits and labelled samples, both () int64."""
    _require_positive(k)
    rank = ranks(scores, labels)
    # A failed sample has rank K + 1 and is no hit even where k is larger than that.
    hit = rank <= min(k, scores.shape[1])
    labelled = (labels != 0).any(dim=1)
    return (hit & labelled).sum(), labelled.sum()


def _share(hits: Tensor, samples: Tensor) -> Tensor:
    # Divided as Python numbers: float32 would round counts above 2^24 first.
    count = int(samples)
    return torch.tensor(int(hits) / count if count else torch.nan, dtype=torch.float32, device=hits.device)


def _require_positive(k: int) -> None:
    if k < 1:
        raise ValueError(f"k of Hit@k is {k}; it must be 1 or more")
