"""Metrics of a ledger with their intervals, as a record holds them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from benchmark.metrics.arrays import mean_average_precisions
from benchmark.metrics.descriptors import HIT_KS, MAP, Predictions, Score
from benchmark.results.ledger import Ledger
from benchmark.results.record import Value
from benchmark.results.scores import decoded_only, predictions, scores_of, values_of
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
        map_intervals: Whether scores that are no shares get intervals too; None means where they take seconds.
        ks: Predictions looked at for Hit@k.
        progress: Wraps the loop over blocks of classes.

    Returns:
        The numbers with failed videos counted as wrong, and those without failed videos, or None if none failed.
    """
    whole = _summarise(ledger, map_intervals, ks, progress)
    part = decoded_only(ledger)
    return whole, None if len(part) == len(ledger) else _summarise(part, map_intervals, ks, progress)


def _summarise(ledger: Ledger, map_intervals: bool | None, ks: Sequence[int], progress: Progress) -> dict[str, Value]:
    known, scores = predictions(ledger), scores_of(ks)
    values = values_of(scores, known)
    if not len(known):
        return {name: Value.of(value) for name, value in values.items()}
    samples = samples_of(scores, known, clusters_of(ledger), map_intervals, progress)
    return {
        name: Value.of(value, *interval(samples[name])) if name in samples else Value.of(value)
        for name, value in values.items()
    }


def clusters_of(ledger: Ledger) -> np.ndarray:
    """(V,) int64 from 0: source groups of the labelled videos, as `predictions` orders them."""
    return np.asarray(np.unique(ledger.clusters()[ledger.labels.any(1)], return_inverse=True)[1])


def samples_of(
    scores: Sequence[Score],
    known: Predictions,
    clusters: np.ndarray,
    map_intervals: bool | None = None,
    progress: Progress = iter,
) -> dict[str, np.ndarray]:
    """Bootstrap samples of scores by name, (R,) each, all from the same draws of source groups.

    Args:
        scores: Which.
        known: Of V videos.
        clusters: (V,) int64 from 0.
        map_intervals: Whether scores that are no shares get samples too; None means where they take seconds.
        progress: Wraps the loop over blocks of classes.
    """
    shares = {score.name: score.counts(known) for score in scores if score.counts is not None}
    hits, trials = ({name: parts[side] for name, parts in shares.items()} for side in (0, 1))
    samples = share_samples(hits, trials, clusters)
    if is_quick(known.labels.shape) if map_intervals is None else map_intervals:
        for score in scores:
            if score == MAP:
                samples |= map_samples(known.scores, known.labels, clusters, known.groups, progress)
            elif score.counts is None:
                samples |= _resampled(score, known, clusters)
    return samples


def _resampled(score: Score, known: Predictions, clusters: np.ndarray) -> dict[str, np.ndarray]:
    """Samples of any score, worked out from the videos of each draw."""
    drawn = [
        score.values(known.take(np.repeat(np.arange(len(known)), row.astype(np.int64))))
        for weights in resampled_weights(clusters, REPLICATES, seed=0)
        for row in weights
    ]
    names = {name for values in drawn for name in values}
    return {name: np.array([values.get(name, np.nan) for values in drawn]) for name in names}


def is_quick(shape: tuple[int, ...]) -> bool:
    """Whether intervals for average precision and the like of labels (V, K) take seconds."""
    return math.prod(shape) * REPLICATES <= _QUICK


def map_samples(
    scores: np.ndarray,
    labels: np.ndarray,
    clusters: np.ndarray,
    groups: Mapping[str, Sequence[int]],
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
