"""Metrics of a ledger with their intervals, as a record holds them."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmark.results.ledger import Ledger
from benchmark.results.record import Value
from benchmark.results.scores import HIT_KS, clip_hits, decoded_only, mean_average_precisions, metrics, ranks
from benchmark.results.statistics import (
    REPLICATES,
    WeightedAveragePrecision,
    interval,
    resampled_weights,
    share_samples,
)

# Video-class-replicate triples up to which intervals for average precision are worked out without being asked.
_QUICK = 1_000_000_000

# Classes that share one pass over the replicates; bounds the memory at about 12 bytes times V times this number.
_CLASSES_AT_ONCE = 32

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Wraps the loop over blocks of classes, as a progress bar does."""


def summarise(
    ledger: Ledger, *, map_intervals: bool | None = None, ks: Sequence[int] = HIT_KS, progress: Progress = iter
) -> tuple[dict[str, Value], dict[str, Value] | None]:
    """All numbers of a ledger with 95% bootstrap intervals over source groups, or over videos without them.

    Args:
        ledger: The predictions.
        map_intervals: Whether average precision gets intervals too; None means where they take seconds.
        ks: Predictions looked at for Hit@k.
        progress: Wraps the loop over blocks of classes.

    Returns:
        The numbers with failed videos counted as wrong, and those without failed videos, or None if none failed.
    """
    whole = _summarise(ledger, map_intervals, ks, progress)
    part = decoded_only(ledger)
    return whole, None if len(part) == len(ledger) else _summarise(part, map_intervals, ks, progress)


def _summarise(ledger: Ledger, map_intervals: bool | None, ks: Sequence[int], progress: Progress) -> dict[str, Value]:
    values = metrics(ledger, ks)
    labels = ledger.labels
    rows = np.flatnonzero(labels.any(1))
    if not len(rows):
        return {name: Value.of(value) for name, value in values.items()}
    hits, trials = hit_counts(ledger, ks)
    clusters = np.unique(ledger.clusters()[rows], return_inverse=True)[1]
    samples = share_samples({n: h[rows] for n, h in hits.items()}, {n: t[rows] for n, t in trials.items()}, clusters)
    if map_intervals is None:
        map_intervals = is_quick((len(rows), labels.shape[1]))
    if map_intervals:
        samples |= map_samples(ledger.scores[rows], labels[rows], clusters, ledger.info.groups(), progress)
    return {
        name: Value.of(value, *interval(samples[name])) if name in samples else Value.of(value)
        for name, value in values.items()
    }


def is_quick(shape: tuple[int, ...]) -> bool:
    """Whether intervals for average precision of labels (V, K) take seconds."""
    return math.prod(shape) * REPLICATES <= _QUICK


def hit_counts(ledger: Ledger, ks: Sequence[int] = HIT_KS) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Hits and samples of each video, (V,) each, for `clip_hit<k>` and `video_hit<k>`."""
    labels = ledger.labels
    rank, labelled, classes = ranks(ledger.scores, labels), labels.any(1), labels.shape[1]
    hits = {f"clip_hit{k}": clip_hits(ledger, k) * labelled for k in ks}
    hits |= {f"video_hit{k}": ((rank <= min(k, classes)) & labelled).astype(np.int64) for k in ks}
    clips = ledger.info.protocol.clips_per_video
    trials = {name: np.asarray(labelled * (clips if name.startswith("clip") else 1)) for name in hits}
    return hits, trials


def map_samples(
    scores: np.ndarray,
    labels: np.ndarray,
    clusters: np.ndarray,
    groups: dict[str, list[int]],
    progress: Progress = iter,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Bootstrap samples of `map` and `map/<group>`, (R,) each, from the same draws as `share_samples`.

    Args:
        scores: (V, K) floating point, NaN where the video failed.
        labels: (V, K) bool.
        clusters: (V,) int64 from 0.
        groups: Class numbers of each group.
        progress: Wraps the loop over blocks of classes.
        replicates: R.
        seed: Of the draws.
    """
    areas = np.full((replicates, labels.shape[1]), np.nan)
    present = np.flatnonzero(labels.any(0))
    for first in progress(range(0, len(present), _CLASSES_AT_ONCE)):
        numbers = present[first : first + _CLASSES_AT_ONCE]
        classes = [WeightedAveragePrecision(scores[:, number], labels[:, number]) for number in numbers]
        done = 0
        for weights in resampled_weights(clusters, replicates, seed):
            for number, area in zip(numbers, classes, strict=True):
                areas[done : done + len(weights), number] = area(weights)
            done += len(weights)
    means = [mean_average_precisions(row, groups) for row in areas]
    names = {name for mean in means for name in mean}
    return {name: np.array([mean.get(name, np.nan) for mean in means]) for name in names}
