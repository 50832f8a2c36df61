"""Intervals and tests that respect where videos come from: clips of one source are not independent.

Letters: V videos, K classes, S source groups (or videos, where sources are unknown), R replicates.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

REPLICATES = 1000

# Weights of all videos held at once, at 8 bytes each.
_WEIGHTS_AT_ONCE = 8_000_000


def resampled_weights(clusters: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """How often each video is drawn when source groups are drawn with replacement.

    Args:
        clusters: (V,) int64 from 0, number of each video's source group.
        replicates: R.
        seed: Of the draws.

    Yields:
        Blocks of (some replicates, V) float64, R in all.
    """
    rng = np.random.default_rng(seed)
    groups = int(clusters.max()) + 1 if len(clusters) else 0
    block = max(1, _WEIGHTS_AT_ONCE // max(1, len(clusters)))
    for first in range(0, replicates, block):
        count = min(block, replicates - first)
        drawn = [np.bincount(rng.integers(0, groups, groups), minlength=groups) for _ in range(count)]
        yield np.stack(drawn)[:, clusters].astype(np.float64)


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
        (R,) for each share.
    """
    # Only the sums of a source group matter, so a million videos of few sources cost little.
    sums = {name: np.bincount(clusters, hits[name]) for name in hits}
    totals = {name: np.bincount(clusters, trials[name]) for name in hits}
    groups = np.arange(len(next(iter(sums.values())))) if sums else np.zeros(0, np.int64)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in hits}
    for weights in resampled_weights(groups, replicates, seed):
        for name, found in parts.items():
            with np.errstate(invalid="ignore", divide="ignore"):
                found.append((weights @ sums[name]) / (weights @ totals[name]))
    return {name: np.concatenate(found) if found else np.zeros(0) for name, found in parts.items()}


class WeightedAveragePrecision:
    """Average precision of one class under many weightings of the videos.

    Args:
        scores: (V,) floating point, NaN where the video failed.
        truth: (V,) bool.
    """

    def __init__(self, scores: np.ndarray, truth: np.ndarray) -> None:
        column = np.nan_to_num(scores, nan=-np.inf)
        self.order = np.argsort(-column, kind="stable")
        self.ends = np.flatnonzero(np.append(np.diff(column[self.order]) != 0, True))
        self.truth = truth[self.order]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Areas (R,) for weights (R, V); NaN where no positive has weight."""
        ordered = weights[:, self.order]
        seen = np.cumsum(ordered, 1)[:, self.ends]
        found = np.cumsum(ordered * self.truth, 1)[:, self.ends]
        gained = np.diff(found, prepend=0, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(seen > 0, found / seen, 0)
            return np.asarray((gained * precision).sum(1) / found[:, -1])


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test from the two counts of videos on which the models disagree.

    It takes videos as independent; where several come from one source, it is too sure of itself.
    """
    trials = only_first + only_second
    return float(stats.binomtest(only_first, trials, 0.5).pvalue) if trials else 1.0


def paired_p_value(differences: np.ndarray, clusters: np.ndarray) -> float:
    """Two-sided p-value that differences of videos are 0 on average: a t-test over the sums of their source groups.

    Args:
        differences: (V,) floating point, one model's hit minus the other's.
        clusters: (V,) int64 from 0.

    Returns:
        0 to 1; 1 where there are fewer than two source groups, or no differences at all.
    """
    sums = np.bincount(clusters, differences)
    if len(sums) < 2 or not sums.any():
        return 1.0
    if (sums == sums[0]).all():
        return 0.0
    return float(stats.ttest_1samp(sums, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: comparable with one level for the whole family."""
    order = np.argsort(p_values, kind="stable")
    steps = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values, float)[order] * steps))
    return [float(value) for value in adjusted]
