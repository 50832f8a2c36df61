"""The numbers of a ledger: Hit@k of clips and videos, average precision, confusions (sections 4 and 5).

Written in NumPy, apart from the torchmetrics that scroll by during a run; tests hold the two equal.
Letters: V videos, K classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.results.ledger import Ledger

HIT_KS = (1, 5)


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rank of the best-scored true label of each video, ties counted against it.

    Args:
        scores: (V, K) floating point, NaN where the video failed.
        labels: (V, K) bool, multi-hot.

    Returns:
        (V,) int64, 1 to K; K + 1 where the video failed or has no true label.
    """
    best = np.where(labels, scores, -np.inf).max(1, keepdims=True)
    rank = 1 + ((scores >= best) & ~labels).sum(1)
    rank[np.isnan(scores).any(1) | ~labels.any(1)] = scores.shape[1] + 1
    return np.asarray(rank)


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area under the precision-recall steps of each class, without interpolation; equal scores enter together.

    Args:
        scores: (V, K) floating point; a video with NaN ranks below every other one.
        labels: (V, K) bool, multi-hot.

    Returns:
        (K,) float64, NaN for a class without a positive.
    """
    areas = np.full(scores.shape[1], np.nan)
    for number in range(scores.shape[1]):
        truth = labels[:, number]
        if truth.any():
            column = np.nan_to_num(scores[:, number], nan=-np.inf)
            order = np.argsort(-column, kind="stable")
            ends = np.flatnonzero(np.append(np.diff(column[order]) != 0, True))
            found = np.cumsum(truth[order])[ends]
            areas[number] = (np.diff(found, prepend=0) * found / (ends + 1)).sum() / found[-1]
    return areas


def clip_hits(ledger: Ledger, k: int) -> np.ndarray:
    """Clips of each video that have a true label among the k best-scored classes; (V,) int64, 0 where it failed."""
    hits = np.zeros(len(ledger), np.int64)
    hits[ledger.scored] = (ledger.clip_ranks <= min(k, len(ledger.info.class_names))).sum(1)
    return hits


def decoded_only(ledger: Ledger) -> Ledger:
    """The ledger without the videos that failed."""
    return ledger.select(np.flatnonzero(ledger.scored))


def metrics(ledger: Ledger, ks: Sequence[int] = HIT_KS) -> dict[str, float]:
    """All numbers of a ledger, with failed videos counted as wrong.

    Args:
        ledger: The predictions. Videos without a true label are left out.
        ks: Predictions looked at for Hit@k.

    Returns:
        `clip_hit<k>`, `video_hit<k>`, `map` and `map/<group>` of each group with a positive, from 0 to 1; NaN where no
        video has a label.
    """
    labels = ledger.labels
    labelled = labels.any(1)
    scores, labels = ledger.scores[labelled], labels[labelled]
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
    part = decoded_only(ledger)
    labels, best = part.labels, np.argmax(part.scores, 1) if len(part) else np.zeros(0, np.int64)
    counts = np.zeros((labels.shape[1],) * 2, np.int64)
    correct = labels[np.arange(len(labels)), best]
    np.add.at(counts, (best[correct], best[correct]), 1)
    video, true = np.nonzero(labels & ~correct[:, None])
    np.add.at(counts, (true, best[video]), 1)
    return counts
