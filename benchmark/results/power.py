"""How many sources of test videos a comparison needs to show a difference of video Hit@1, before it is made."""

import dataclasses
from collections.abc import Callable

import numpy as np

from benchmark.results.statistics import LEAST_SOURCES, LEVEL, POWER, Paired

MOST_SOURCES = 10_000_000


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """How two models differ on videos that come in sources.

    Args:
        share: Of the videos, on which just one of the two is right, more than 0 and up to 1.
        videos_per_source: 1 or more.
        dependence: Correlation of the difference between two videos of one source, 0 to 1.
    """

    share: float
    videos_per_source: float
    dependence: float

    @classmethod
    def of_hits(cls, differences: np.ndarray, clusters: np.ndarray) -> "Disagreement":
        """As two models differ, from one's hits less the other's, (V,), and the videos' sources, (V,) int64 from 0."""
        sums, sizes = np.bincount(clusters, differences), np.bincount(clusters)
        sums, sizes = sums[sizes > 0], sizes[sizes > 0].astype(np.float64)
        squares, pairs = float((differences**2).sum()), float((sizes * (sizes - 1)).sum())
        together = (float((sums**2).sum()) - squares) / pairs if pairs else 0.0
        share = squares / len(differences)
        dependence = min(1.0, max(0.0, together / share)) if share else 0.0
        return cls(share, float((sizes**2).sum() / sizes.sum()) if pairs else 1.0, dependence)

    def expected(self, difference: float, sources: int) -> Paired:
        """What a comparison on so many sources would look like, were the true difference this one."""
        together = 1 + (self.videos_per_source - 1) * self.dependence
        square = self.share * together / self.videos_per_source
        differing = min(1.0, self.share * self.videos_per_source / together)
        spread = sources * max(0.0, square - difference**2) + 2 * square / differing
        return Paired(difference, spread, sources)


def sources_to_detect(models: Disagreement, difference: float, power: float = POWER) -> int:
    """Sources with which a true difference of video Hit@1, 0 to 1, is told from none at 5% with the power."""
    return _fewest(lambda sources: models.expected(difference, sources).detectable(LEVEL, power) <= difference)


def sources_to_equate(models: Disagreement, margin: float, power: float = POWER) -> int:
    """Sources with which two models without a difference are shown to be the same within a margin, 0 to 1, at 5%."""
    # The interval must be within the margin on both sides, so that half of what may fail is left to each.
    each = 1 - (1 - power) / 2
    return _fewest(lambda sources: models.expected(0.0, sources).detectable(2 * LEVEL, each) <= margin)


def _fewest(suffices: Callable[[int], bool]) -> int:
    """The smallest number of sources that suffices, up to ten millions."""
    low, high = LEAST_SOURCES - 1, LEAST_SOURCES
    while not suffices(high):
        low, high = high, 2 * high
        if high > MOST_SOURCES:
            return MOST_SOURCES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
