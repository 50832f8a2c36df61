"""How much each source of videos moves a score: what intervals and tests are made of.

Clips cut from one source video are not independent, so that a source counts as a whole. Letters: V videos, K classes,
S sources (or blocks of sources where there are many).
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from scipy import sparse

from benchmark.metrics.arrays import mean_average_precisions
from benchmark.metrics.descriptors import MAP, Predictions, Score

MOST_BLOCKS = 200
"""Parts that are left out in turn for scores that are no shares; more sources than that are dealt into so many."""

# Video-class-block triples up to which scores that are no shares are worked out without being asked.
_QUICK = 1_000_000_000

# Weights of all videos held at once, at 8 bytes each.
_WEIGHTS_AT_ONCE = 8_000_000

# Classes that share one pass over the blocks; bounds the memory at about 12 bytes times V times this number.
_CLASSES_AT_ONCE = 32

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Wraps the loop over blocks of classes, as a progress bar does."""


@dataclasses.dataclass(frozen=True)
class Influence:
    """What each source adds to a score, so that the score's variance is that of the mean of `values`.

    Args:
        values: (S,) float64 with sum 0; NaN where the score cannot be had without a source.
        weights: (S,) float64 with mean 1, share of each source in the score.
        videos: Mean number of videos of a source.
    """

    values: np.ndarray
    weights: np.ndarray
    videos: float

    def __len__(self) -> int:
        return len(self.values)

    def __sub__(self, other: "Influence") -> "Influence":
        """Of the difference of two scores on the same videos."""
        return Influence(self.values - other.values, self.weights, self.videos)


def of_share(hits: np.ndarray, trials: np.ndarray, clusters: np.ndarray) -> Influence:
    """Influence on a share, or on a difference of shares.

    Args:
        hits: (V,) hits of each video, or one model's less the other's.
        trials: (V,) samples of each video.
        clusters: (V,) int64 from 0, number of each video's source; numbers may be left out.
    """
    held = np.bincount(clusters) > 0
    sums, totals = (np.bincount(clusters, part)[held].astype(np.float64) for part in (hits, trials))
    if not totals.sum():
        return Influence(np.full(len(sums), np.nan), np.ones(len(sums)), len(hits) / max(1, len(sums)))
    share, weights = sums.sum() / totals.sum(), totals / totals.mean()
    return Influence(sums / totals.mean() - share * weights, weights, len(hits) / len(sums))


def of_parts_left_out(value: float, without: np.ndarray, videos: int) -> Influence:
    """Influence on any score, from its values without each source (the jackknife's).

    Args:
        value: Of all videos.
        without: (S,) without each source; NaN where the score cannot be had then.
        videos: V.
    """
    parts = len(without)
    moved = (parts - 1) * (value - without)
    return Influence(moved - moved.mean(), np.ones(parts), videos / parts)


def blocks_of(clusters: np.ndarray, most: int = MOST_BLOCKS) -> np.ndarray:
    """(V,) int64 from 0: the part in which each video is left out, its source or, of very many, some sources together.

    Args:
        clusters: (V,) int64 from 0.
        most: Number of parts.
    """
    sources, number = np.unique(clusters, return_inverse=True)
    if len(sources) <= most:
        return np.asarray(number)
    dealt = np.random.default_rng(0).permutation(len(sources)) % most
    return np.asarray(dealt[number])


def is_quick(shape: tuple[int, ...]) -> bool:
    """Whether intervals for average precision and the like of labels (V, K) take seconds."""
    return math.prod(shape) * MOST_BLOCKS <= _QUICK


def influences_of(
    scores: Sequence[Score],
    known: Predictions,
    values: Mapping[str, float],
    clusters: np.ndarray,
    every_score: bool | None = None,
    progress: Progress = iter,
) -> dict[str, Influence]:
    """Influence of the sources on each score, by name.

    Args:
        scores: Which.
        known: Of V videos.
        values: The scores.
        clusters: (V,) int64 from 0.
        every_score: Whether to work out scores that are no shares too; None means where they take seconds.
        progress: Wraps the loop over blocks of classes.
    """
    found = {score.name: of_share(*score.counts(known), clusters) for score in scores if score.counts is not None}
    if is_quick(known.labels.shape) if every_score is None else every_score:
        blocks, without = blocks_of(clusters), dict[str, np.ndarray]()
        for score in scores:
            if score == MAP:
                without |= average_precision_without(known, blocks, progress)
            elif score.counts is None:
                without |= _without(score, known, blocks)
        found |= {n: of_parts_left_out(values[n], part, len(known)) for n, part in without.items() if n in values}
    return found


def _without(score: Score, known: Predictions, blocks: np.ndarray) -> dict[str, np.ndarray]:
    """Values of any score without each block, (S,) by name."""
    left = [score.values(known.take(np.flatnonzero(blocks != block))) for block in range(int(blocks.max()) + 1)]
    names = {name for values in left for name in values}
    return {name: np.array([values.get(name, np.nan) for values in left]) for name in names}


def average_precision_without(
    known: Predictions, blocks: np.ndarray, progress: Progress = iter
) -> dict[str, np.ndarray]:
    """`map` and `map/<group>` without each block, (S,) by name; NaN where no class of the group is left.

    Args:
        known: Of V videos.
        blocks: (V,) int64 from 0.
        progress: Wraps the loop over blocks of classes.
    """
    areas = class_areas_without(known, blocks, np.flatnonzero(known.labels.any(0)), progress)
    means = [mean_average_precisions(row, known.groups) for row in areas]
    names = {name for mean in means for name in mean}
    return {name: np.array([mean.get(name, np.nan) for mean in means]) for name in names}


def class_areas_without(
    known: Predictions, blocks: np.ndarray, numbers: np.ndarray, progress: Progress = iter
) -> np.ndarray:
    """Average precision of classes without each block, (S, K) float64; NaN where none of its positives is left.

    Args:
        known: Of V videos.
        blocks: (V,) int64 from 0.
        numbers: Of the classes that are worked out; the others stay NaN.
        progress: Wraps the loop over blocks of classes.
    """
    parts = int(blocks.max()) + 1
    areas = np.full((parts, known.labels.shape[1]), np.nan)
    at_once = max(1, _WEIGHTS_AT_ONCE // len(blocks))
    for first in progress(range(0, len(numbers), _CLASSES_AT_ONCE)):
        some_numbers = numbers[first : first + _CLASSES_AT_ONCE]
        classes = [WeightedAveragePrecision(known.scores[:, n], known.labels[:, n]) for n in some_numbers]
        for start in range(0, parts, at_once):
            some = np.arange(start, min(start + at_once, parts))
            weights = (blocks[:, None] != some).astype(np.float64).T
            for number, area in zip(some_numbers, classes, strict=True):
                areas[some, number] = area(weights)
    return areas


class WeightedAveragePrecision:
    """Average precision of one class under many weightings of the videos.

    Args:
        scores: (V,) floating point, NaN where the video failed.
        truth: (V,) bool.
    """

    def __init__(self, scores: np.ndarray, truth: np.ndarray) -> None:
        column = np.where(np.isnan(scores), -np.inf, scores)
        # Precision changes the area only at the scores of positives: videos between two of them count together.
        thresholds = np.unique(column[truth])
        step = np.searchsorted(thresholds, column, side="right") - 1
        self._seen = _step_sums(step, step >= 0, len(thresholds))
        self._found = _step_sums(step, truth, len(thresholds))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Areas (R,) for weights (R, V), quickest if their transpose is contiguous; NaN where no positive has any."""
        gained = self._found @ weights.T
        found = gained[::-1].cumsum(0)[::-1]
        seen = (self._seen @ weights.T)[::-1].cumsum(0)[::-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(seen > 0, found / seen, 0)
            return np.asarray((gained * precision).sum(0) / gained.sum(0))


def _step_sums(step: np.ndarray, chosen: np.ndarray, steps: int) -> sparse.csr_array:
    """Matrix (steps, V) that adds up the chosen videos of each step."""
    videos = np.flatnonzero(chosen)
    return sparse.csr_array((np.ones(len(videos)), (step[videos], videos)), shape=(steps, len(step)))
