"""Intervals and tests that respect where videos come from: clips of one source are not independent.

docs/statistics.md says how they were chosen, with their simulated coverage and error rates. Letters: V videos, S
sources.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from benchmark.results.influence import Influence, of_share

LEAST_SOURCES = 11
"""With fewer sources no interval is given: what they have in common cannot be told from so few."""

LEVEL = 0.05
"""Error rate of one test, and of the 95% intervals."""

# Sources on which two models differ, up to which every exchange of their results is tried.
_EXCHANGED = 16

POWER = 0.8
"""Probability with which a detectable difference is detected."""


def interval(value: float, influence: Influence, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a score from 0 to 1, for the number of independent videos that its sources are worth.

    Args:
        value: The score.
        influence: Of its sources.
        level: Share of intervals that may miss the truth.

    Returns:
        Its ends, between which the value always is; NaN with fewer than 11 sources, or without a value.
    """
    size, normal = effective_size(value, influence), stats.norm.isf(level / 2)
    if math.isnan(size):
        return np.nan, np.nan
    square = normal**2 / size
    middle = (value + square / 2) / (1 + square)
    half = math.sqrt(square * value * (1 - value) + square**2 / 4) / (1 + square)
    return float(max(0.0, min(value, middle - half))), float(min(1.0, max(value, middle + half)))


def effective_size(value: float, influence: Influence) -> float:
    """Number of independent videos of which a score would vary as much as it does.

    A source counts as one video until the data say otherwise, and they say the more, the more they hold of what is
    rare: right or wrong videos. So a score of 0 or 1 is that of as many videos as there are sources.

    Returns:
        NaN with fewer than 11 sources, or without a value.
    """
    sources = len(influence)
    if sources < LEAST_SOURCES or math.isnan(value) or np.isnan(influence.values).any():
        return math.nan
    variance, rare = value * (1 - value), min(value, 1 - value)
    ratio = float((influence.values**2).sum()) / (sources - 1) / variance if variance > 0 else 0.0
    weight = min(sources, sources * rare / ratio) if ratio > 0 else 0.0
    return sources * (weight + 1) / (weight * ratio + 1)


@dataclasses.dataclass(frozen=True)
class Paired:
    """A difference of two scores on the same videos, and the one statistic of which its test and intervals are made.

    The statistic of a supposed difference d is S (difference - d) / sqrt(spread + S (difference - d)^2), to be compared
    with the normal distribution. Its square root is that of the sources' squared sums, where two sources more count on
    which the models differ, once each way; that brings the test to the exact one of exchanging the models in each
    source where they differ on few, and keeps the interval from closing where they never do.

    Args:
        difference: The first less the second, -1 to 1.
        spread: Sum of squares of what the sources add to it, with two sources more.
        sources: S.
    """

    difference: float
    spread: float
    sources: int

    @classmethod
    def of(cls, difference: float, influence: Influence) -> "Paired":
        """From what each source adds to the difference."""
        sums = influence.values + difference * influence.weights
        differing = int((np.abs(sums) > 1e-12).sum())
        # Of a source on which two models would differ: the usual square, and where there is none that of one video.
        typical = (float((sums**2).sum()) + 1 / influence.videos) / (differing + 1)
        return cls(difference, float((influence.values**2).sum()) + 2 * typical, len(influence))

    @classmethod
    def of_hits(cls, differences: np.ndarray, clusters: np.ndarray) -> "Paired":
        """From one model's hits less the other's, (V,), and the videos' sources, (V,) int64 from 0."""
        if not len(differences):
            return cls(math.nan, math.nan, 0)
        return cls.of(float(np.mean(differences)), of_share(differences, np.ones(len(differences)), clusters))

    @property
    def is_known(self) -> bool:
        """Whether there are sources enough for an interval."""
        return self.sources >= LEAST_SOURCES and not math.isnan(self.spread)

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference; below 0.05 just where the 95% interval leaves out 0; 1 where none is known."""
        return 1.0 if math.isnan(self.spread) else float(2 * stats.norm.sf(abs(self._statistic(0.0))))

    def _statistic(self, supposed: float) -> float:
        away = self.difference - supposed
        return self.sources * away / math.sqrt(self.spread + self.sources * away**2)

    def half_width(self, level: float = LEVEL) -> float:
        """Of the interval; NaN with fewer than 11 sources, infinite where no difference can be told at the level."""
        if not self.is_known:
            return math.nan
        square = float(stats.norm.isf(level / 2)) ** 2
        room = self.sources * (self.sources - square)
        return math.sqrt(square * self.spread / room) if room > 0 else math.inf

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """All differences that the test at the level does not refuse; NaN with fewer than 11 sources."""
        half = self.half_width(level)
        if math.isnan(half):
            return np.nan, np.nan
        return max(-1.0, self.difference - half), min(1.0, self.difference + half)

    def detectable(self, level: float = LEVEL, power: float = POWER) -> float:
        """The true difference that would be told from none with the power, where sources vary as here, up to 1."""
        half, normal = self.half_width(level), float(stats.norm.isf(level / 2))
        return math.nan if math.isnan(half) else min(1.0, half * (normal + float(stats.norm.ppf(power))) / normal)

    def equivalence(self, margin: float) -> float:
        """P-value of a difference of `margin` or more either way (two one-sided tests).

        It is below 0.05 just where the 90% interval is within the margin; 1 with fewer than 11 sources.
        """
        if not self.is_known:
            return 1.0
        return float(max(stats.norm.sf(self._statistic(-margin)), stats.norm.cdf(self._statistic(margin))))


def exchange_p_value(differences: np.ndarray, clusters: np.ndarray) -> float:
    """Two-sided p-value of exchanging two models in each source, exact where they differ on few.

    Were the models equally good, either could have got either's result on a source. Far below 5% it refuses more than
    the statistic of `Paired`, to which it falls back where they differ on more than 16 sources.

    Args:
        differences: (V,) one model's hits less the other's.
        clusters: (V,) int64 from 0.
    """
    sums = np.bincount(clusters, differences) if len(clusters) else np.zeros(0)
    unequal = sums[sums != 0]
    if len(unequal) > _EXCHANGED:
        return Paired.of_hits(differences, clusters).p_value
    totals = np.zeros(1)
    for value in unequal:
        totals = np.concatenate([totals + value, totals - value])
    return float((np.abs(totals) >= abs(unequal.sum()) - 1e-9).mean())


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test from the two counts of videos on which the models disagree.

    It takes videos as independent; where several come from one source, it is too sure of itself.
    """
    trials = only_first + only_second
    return float(stats.binomtest(only_first, trials, 0.5).pvalue) if trials else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: comparable with one level for the whole family."""
    order = np.argsort(p_values, kind="stable")
    steps = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values, float)[order] * steps))
    return [float(value) for value in adjusted]
