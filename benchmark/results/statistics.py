"""Intervals and tests that respect where videos come from: clips of one source are not independent.

Letters: V videos, K classes, S source groups (or videos, where sources are unknown), R replicates.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import sparse, stats

REPLICATES = 1000

# Weights of all videos held at once, at 8 bytes each.
_WEIGHTS_AT_ONCE = 8_000_000

# Source groups on which two models differ, up to which every exchange of their results is tried.
_EXCHANGED = 16


def resampled_weights(clusters: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """How often each video is drawn when source groups are drawn with replacement.

    Args:
        clusters: (V,) int64 from 0, number of each video's source group.
        replicates: R.
        seed: Of the draws.

    Yields:
        Blocks of (some replicates, V) float64, R in all; none without videos. Their transpose is contiguous.
    """
    if not len(clusters):
        return
    groups = int(clusters.max()) + 1
    block = max(1, _WEIGHTS_AT_ONCE // len(clusters))
    draws = _draws(groups, replicates, seed)
    for first in range(0, replicates, block):
        count = min(block, replicates - first)
        drawn = np.stack(list(itertools.islice(draws, count)), 1).astype(np.float64)
        yield drawn[clusters].T


def _draws(groups: int, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """How often each source group is drawn, (S,) int64, for each replicate."""
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.bincount(rng.integers(0, groups, groups), minlength=groups)


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle part of bootstrap samples, NaN ones left out; NaN if there are none."""
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return np.nan, np.nan
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share_samples(
    hits: Mapping[str, np.ndarray],
    trials: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Bootstrap samples of shares, all from the same draws, so that differences between them are paired.

    Args:
        hits: For each share (V,), hits of each video.
        trials: For each share (V,), samples of each video.
        clusters: (V,) int64 from 0.
        replicates: R.
        seed: Of the draws.

    Returns:
        (R,) for each share; (0,) without videos.
    """
    if not hits or not len(clusters):
        return {name: np.zeros(0) for name in hits}
    # Only the sums of a source group matter, so that no weights of videos are needed.
    sums = np.stack([np.bincount(clusters, part[name]) for part in (hits, trials) for name in hits], 1)
    sums = sums[np.bincount(clusters) > 0]
    totals = np.stack([drawn @ sums for drawn in _draws(len(sums), replicates, seed)])
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = totals[:, : len(hits)] / totals[:, len(hits) :]
    return dict(zip(hits, shares.T, strict=True))


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


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test from the two counts of videos on which the models disagree.

    It takes videos as independent; where several come from one source, it is too sure of itself.
    """
    trials = only_first + only_second
    return float(stats.binomtest(only_first, trials, 0.5).pvalue) if trials else 1.0


def paired_p_value(differences: np.ndarray, clusters: np.ndarray) -> float:
    """Two-sided p-value that differences of videos are 0 on average, over the sums of their source groups.

    A t-test, or where the models differ on few source groups, the exact test of exchanging the models in each.

    Args:
        differences: (V,) floating point, one model's hit minus the other's.
        clusters: (V,) int64 from 0.

    Returns:
        0 to 1; 1 where the models differ on fewer than two source groups.
    """
    sums = np.bincount(clusters, differences) if len(clusters) else np.zeros(0)
    unequal = sums[sums != 0]
    if len(unequal) <= _EXCHANGED:
        # If the models were equally good, either could have got either's result on a source group.
        totals = np.zeros(1)
        for value in unequal:
            totals = np.concatenate([totals + value, totals - value])
        return float((np.abs(totals) >= abs(unequal.sum()) - 1e-9).mean())
    if (sums == sums[0]).all():
        return float(2.0 ** (1 - len(sums)))
    return float(stats.ttest_1samp(sums, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: comparable with one level for the whole family."""
    order = np.argsort(p_values, kind="stable")
    steps = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values, float)[order] * steps))
    return [float(value) for value in adjusted]
