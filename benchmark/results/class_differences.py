"""Classes on which two models differ most, with intervals (Table 2), and the classes that one model confuses.

Letters: V videos, K classes, S sources (or blocks of sources where there are many).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from benchmark.metrics.arrays import average_precision
from benchmark.results.influence import blocks_of, class_areas_without, of_parts_left_out
from benchmark.results.ledger import Ledger
from benchmark.results.scores import confusions, predictions
from benchmark.results.statistics import Paired

LEAST_SOURCES_OF_CLASS = 6
"""With fewer no interval is given; docs/statistics.md has the coverage with as many."""


@dataclasses.dataclass(frozen=True)
class ClassDifference:
    """Average precision of a class with two models on the same videos.

    Args:
        name: Of the class.
        first: Of the first model, 0 to 1.
        second: Of the second model.
        videos: That are of the class.
        sources: Of these videos.
        paired: Test and interval of the difference.
        classes: K, among which the class was chosen for its difference.
    """

    name: str
    first: float
    second: float
    videos: int
    sources: int
    paired: Paired
    classes: int

    @property
    def difference(self) -> float:
        """The first minus the second."""
        return self.first - self.second

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95%, for this class alone; NaN where its videos are of too few sources."""
        return (np.nan, np.nan) if self.sources < LEAST_SOURCES_OF_CLASS else self.paired.interval()

    @property
    def p_value(self) -> float:
        """Corrected for having been chosen among all classes (Bonferroni); NaN where there is no interval."""
        if np.isnan(self.interval[0]):
            return np.nan
        return min(1.0, self.classes * self.paired.p_value)


def class_differences(first: Ledger, second: Ledger, most: int) -> tuple[list[ClassDifference], list[ClassDifference]]:
    """Classes with the largest difference for the first model, and for the second, largest first.

    Args:
        first: Rows as `common_videos` gives them; source groups are taken from here.
        second: The same videos.
        most: Classes each way.
    """
    labelled = np.flatnonzero(first.labels.any(1))
    pair = first.select(labelled), second.select(labelled)
    known = [predictions(ledger) for ledger in pair]
    labels, clusters = known[0].labels, pair[0].clusters()
    areas = np.stack([average_precision(part.scores, labels) for part in known])
    gains = areas[0] - areas[1]
    order = [int(n) for n in np.argsort(-gains, kind="stable") if not np.isnan(gains[n])]
    better = [n for n in order if gains[n] > 0][:most]
    worse = [n for n in order[::-1] if gains[n] < 0][:most]
    chosen = np.array([*better, *worse], np.int64)
    blocks = blocks_of(clusters)
    without = [class_areas_without(part, blocks, chosen) for part in known]

    def difference(number: int) -> ClassDifference:
        influences = [
            of_parts_left_out(area[number], part[:, number], len(labels))
            for area, part in zip(areas, without, strict=True)
        ]
        return ClassDifference(
            name=pair[0].info.class_names[number],
            first=float(areas[0, number]),
            second=float(areas[1, number]),
            videos=int(labels[:, number].sum()),
            sources=len(np.unique(clusters[labels[:, number]])),
            paired=Paired.of(float(gains[number]), influences[0] - influences[1]),
            classes=len(order),
        )

    return [difference(n) for n in better], [difference(n) for n in worse]


def confused_pairs(ledger: Ledger, most: int) -> list[tuple[str, str, int, int]]:
    """The pairs of classes most often taken for each other, most frequent first.

    Returns:
        Both names, videos of the first class called the second, and videos of the second called the first.
    """
    counts, names = confusions(ledger), ledger.info.class_names
    both = np.triu(counts + counts.T, 1)
    first, second = np.nonzero(both)
    order: Sequence[int] = np.argsort(-both[first, second], kind="stable")[:most].tolist()
    found = []
    for place in order:
        one, other = int(first[place]), int(second[place])
        if counts[other, one] > counts[one, other]:
            one, other = other, one
        found.append((names[one], names[other], int(counts[one, other]), int(counts[other, one])))
    return found
