"""The numbers of a ledger: Hit@k of clips and videos, average precision, confusions (sections 4 and 5).

Written in NumPy, apart from the torchmetrics that scroll by during a run; tests hold the two equal.
Letters: V videos, K classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.results.ledger import Ledger

HIT_KS = (1, 5)

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


def clip_hits(ledger: Ledger, k: int) -> np.ndarray:
    """Clips of each video that have a true label among the k best-scored classes; (V,) int64, 0 where it failed."""
    hits = np.zeros(len(ledger), np.int64)
    hits[ledger.scored] = (ledger.clip_ranks <= min(k, len(ledger.info.class_names))).sum(1)
    return hits


def decoded_only(ledger: Ledger) -> Ledger:
    """The ledger without the videos that failed."""
    scored = ledger.scored
    return ledger if scored.all() else ledger.select(np.flatnonzero(scored))


def metrics(ledger: Ledger, ks: Sequence[int] = HIT_KS) -> dict[str, float]:
    """All numbers of a ledger, with failed videos counted as wrong.

    Args:
        ledger: The predictions. Videos without a true label are left out.
        ks: Predictions looked at for Hit@k.

    Returns:
        `clip_hit<k>`, `video_hit<k>`, `map` and `map/<group>` of each group with a positive, from 0 to 1; NaN where no
        video has a label.
    """
    scores, labels = ledger.scores, ledger.labels
    labelled = labels.any(1)
    if not labelled.all():
        scores, labels = scores[labelled], labels[labelled]
    rank, classes = ranks(scores, labels), scores.shape[1]
    clips = len(labels) * ledger.info.protocol.clips_per_video
    values = {
        **{f"clip_hit{k}": float(clip_hits(ledger, k)[labelled].sum() / clips) if clips else np.nan for k in ks},
        **{f"video_hit{k}": float((rank <= min(k, classes)).mean()) if clips else np.nan for k in ks},
    }
    return {**values, **mean_average_precisions(average_precision(scores, labels), ledger.info.groups())}


def mean_average_precisions(ap: np.ndarray, groups: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """`map` over the classes with a positive, and `map/<group>` of each group that has one.

    Args:
        ap: (K,) floating point, NaN for a class without a positive.
        groups: Class numbers of each group.
    """
    parts = {"map": ap, **{f"map/{name}": ap[list(members)] for name, members in groups.items()}}
    means = {name: float(part[~np.isnan(part)].mean()) for name, part in parts.items() if (~np.isnan(part)).any()}
    return {"map": np.nan, **means}


def confusions(ledger: Ledger) -> np.ndarray:
    """(K, K) int64: decoded videos of a class (row) whose best-scored class is another or the same one (column).

    A video with several true labels counts as correct if the best-scored class is among them, and else in the row of
    each.
    """
    rows = np.flatnonzero(ledger.scored)
    labels, best = ledger.labels[rows], np.zeros(len(rows), np.int64)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        best[part] = ledger.scores[rows[part]].argmax(1)
    counts = np.zeros((labels.shape[1],) * 2, np.int64)
    correct = labels[np.arange(len(labels)), best]
    np.add.at(counts, (best[correct], best[correct]), 1)
    video, true = np.nonzero(labels & ~correct[:, None])
    np.add.at(counts, (true, best[video]), 1)
    return counts
