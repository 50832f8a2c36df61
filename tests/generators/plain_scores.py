"""Balanced accuracy and calibration error, video by video, as a second opinion."""

import math

import numpy as np


def plain_extras(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Scores (V, K), NaN where a video failed, and labels (V, K) bool with a true class in every row."""
    recalls = []
    for number in range(labels.shape[1]):
        right = [is_hit(row, truth) for row, truth in zip(scores, labels, strict=True) if truth[number]]
        if right:
            recalls.append(sum(right) / len(right))
    bins: dict[int, list[float]] = {}
    decoded = [(row, truth) for row, truth in zip(scores, labels, strict=True) if not np.isnan(row).any()]
    for row, truth in decoded:
        best = int(row.argmax())
        place = next(n for n in range(15) if float(row[best]) <= (n + 1) / 15 + 1e-12)
        bins.setdefault(place, []).append(float(truth[best]) - float(row[best]))
    gap = sum(abs(sum(part)) for part in bins.values()) / len(decoded) if decoded else math.nan
    return {"balanced_accuracy": sum(recalls) / len(recalls), "ece": gap}


def is_hit(row: np.ndarray, truth: np.ndarray) -> bool:
    """Whether every false class scores below the best true one."""
    best = max(value for value, true in zip(row, truth, strict=True) if true)
    return not np.isnan(row).any() and all(v < best for v, true in zip(row, truth, strict=True) if not true)
