"""Whether class probabilities are as often right as they say, and what is best chosen on validation predictions.

Letters: V videos (or clips), K classes, M systems.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from benchmark.errors import UserError

_STEPS = 1_000


@dataclasses.dataclass(frozen=True)
class Bin:
    """Predictions of about one confidence.

    Args:
        low: Confidence above which they are, 0 to 1.
        high: Confidence up to which they are.
        count: How many.
        confidence: Mean probability of the best-scored class.
        accuracy: Share of which that class is a true one.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def brier(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of the class probabilities from the truth, 0 to 2 (Brier 1950).

    Several true labels of a video share 1.

    Args:
        scores: (V, K) floating point, without NaN.
        labels: (V, K) bool, with a true class in every row.
    """
    truth = labels / labels.sum(1, keepdims=True)
    return float(((scores - truth) ** 2).sum(1).mean())


def reliability(scores: np.ndarray, labels: np.ndarray, bins: int = 10) -> list[Bin]:
    """The best-scored class by its probability, in bins of equal width; empty ones are left out.

    Args:
        scores: (V, K) floating point, without NaN.
        labels: (V, K) bool.
        bins: How many.
    """
    confidence, correct = scores.max(1).astype(np.float64), labels[np.arange(len(labels)), scores.argmax(1)]
    place = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(np.int64)
    return [
        Bin(
            number / bins,
            (number + 1) / bins,
            int(held.sum()),
            float(confidence[held].mean()),
            float(correct[held].mean()),
        )
        for number in range(bins)
        if (held := place == number).any()
    ]


def best_weights(scores: Sequence[np.ndarray], labels: np.ndarray) -> list[float]:
    """Weights of systems, 0 to 1 with sum 1, whose mean gives the true classes the largest likelihood.

    The likelihood of a mixture has one maximum, to which each step comes closer (Dempster et al. 1977).

    Args:
        scores: (V, K) class probabilities of each of M systems.
        labels: (V, K) bool; videos without a true label are left out.

    Raises:
        UserError: If no video has a label.
    """
    labelled = labels.any(1)
    if not labelled.any():
        raise UserError("weights cannot be chosen on validation videos of which none has a label")
    truth = labels[labelled] / labels[labelled].sum(1, keepdims=True)
    # (V, M): what each system gives to the true classes
    given = np.stack([(part[labelled] * truth).sum(1) for part in scores], 1).astype(np.float64)
    given = np.maximum(given, np.finfo(np.float32).tiny)
    weights = np.full(len(scores), 1 / len(scores))
    for _ in range(_STEPS):
        shares = given * weights
        weights = (shares / shares.sum(1, keepdims=True)).mean(0)
    return [float(weight) for weight in weights / weights.sum()]
