"""Ranks and average precision of NumPy arrays, apart from the torchmetrics of a run; tests hold the two equal.

Letters: V videos, K classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

# Bounds of the copies made of a large dataset's scores.
_ROWS_AT_ONCE = 16_384
_CLASSES_AT_ONCE = 32


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rank of the best-scored true label of each video, ties counted against it.

    Args:
        scores: (V, K) floating point, NaN where the video failed.
        labels: (V, K) bool, multi-hot.

    Returns:
        (V,) int64, 1 to K; K + 1 where the video failed or has no true label.
    """
    rank = np.full(len(scores), scores.shape[1] + 1, np.int64)
    for first in range(0, len(scores), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        part, true = scores[rows], labels[rows]
        best = np.where(true, part, -np.inf).max(1, keepdims=True)
        valid = true.any(1) & ~np.isnan(part).any(1)
        rank[rows][valid] = 1 + ((part >= best) & ~true).sum(1)[valid]
    return rank


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area under the precision-recall steps of each class, without interpolation; equal scores enter together.

    Args:
        scores: (V, K) floating point; a video with NaN ranks below every other one.
        labels: (V, K) bool, multi-hot.

    Returns:
        (K,) float64, NaN for a class without a positive.
    """
    areas = np.full(scores.shape[1], np.nan)
    for first in range(0, scores.shape[1], _CLASSES_AT_ONCE):
        columns = np.array(scores[:, first : first + _CLASSES_AT_ONCE].T, order="C")  # a copy in any case
        columns[np.isnan(columns)] = -np.inf
        for number, column in enumerate(columns, first):
            # Precision changes the area only where a positive enters, at the scores of the positives.
            true = np.sort(column[labels[:, number]])
            if len(true):
                found = len(true) - np.searchsorted(true, true)
                seen = len(column) - np.searchsorted(np.sort(column), true)
                areas[number] = (found / seen).mean()
    return areas


def mean_average_precisions(ap: np.ndarray, groups: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """`map` over the classes with a positive, and `map/<group>` of each group that has one.

    Args:
        ap: (K,) floating point, NaN for a class without a positive.
        groups: Class numbers of each group.
    """
    parts = {"map": ap, **{f"map/{name}": ap[list(members)] for name, members in groups.items()}}
    means = {name: float(part[~np.isnan(part)].mean()) for name, part in parts.items() if (~np.isnan(part)).any()}
    return {"map": np.nan, **means}
