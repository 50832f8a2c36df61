"""Two models on the same videos: paired differences, their intervals, and tests (Table 2 class by class).

Letters: V videos, K classes, R replicates.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmark.errors import UserError
from benchmark.metrics.arrays import average_precision, ranks
from benchmark.results.influence import Progress, influences_of
from benchmark.results.ledger import Ledger
from benchmark.results.scores import predictions, scores_of, values_of
from benchmark.results.statistics import Paired, mcnemar
from benchmark.wording import counted


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of two models on the same videos, 0 to 1, and the first minus the second with its 95% interval.

    Args:
        first: Of the first model.
        second: Of the second model.
        paired: Its test and intervals, or None where they were not worked out.
    """

    first: float
    second: float
    paired: Paired | None = None

    @property
    def low(self) -> float:
        """Lower end of the interval, -1 to 1, NaN where there is none."""
        return np.nan if self.paired is None else self.paired.interval()[0]

    @property
    def high(self) -> float:
        """Upper end of the interval, -1 to 1, NaN where there is none."""
        return np.nan if self.paired is None else self.paired.interval()[1]

    @property
    def difference(self) -> float:
        """The first minus the second."""
        return self.first - self.second


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models on the labelled videos that both ledgers hold.

    Args:
        videos: V.
        clusters: Number of source groups; V where no video shares its source.
        metrics: Each known score, and `map/<group>`.
        only_first: Videos whose best-scored class is a true one with the first model alone.
        only_second: The same with the second model alone.
        mcnemar_p: McNemar's exact p-value at video level; it takes videos as independent.
        clustered_p: The p-value that respects source groups, below 0.05 just where the interval of `video_hit1` leaves
            out 0.
        average_precision: (2, K) float64 of both models, NaN for a class without a positive.
        positives: (K,) int64, videos of each class.
    """

    videos: int
    clusters: int
    metrics: dict[str, Difference]
    only_first: int
    only_second: int
    mcnemar_p: float
    clustered_p: float
    average_precision: np.ndarray
    positives: np.ndarray


def common_videos(first: Ledger, second: Ledger) -> tuple[Ledger, Ledger]:
    """The rows of both ledgers that are about the same videos, in the same order.

    Raises:
        UserError: If classes differ, no video is common, or labels or source group of a video differ.
    """
    if first.info.class_names != second.info.class_names:
        only = sorted(set(first.info.class_names) ^ set(second.info.class_names))
        what = f"only one of them has {', '.join(only[:5])}" if only else "they are in another order"
        raise UserError(
            f"the ledgers have {len(first.info.class_names)} and {len(second.info.class_names)} classes, and {what}; "
            "compare ledgers of the same classes"
        )
    _, mine, theirs = np.intersect1d(
        np.array(first.video_ids, object), np.array(second.video_ids, object), assume_unique=True, return_indices=True
    )
    if not len(mine):
        raise UserError("the ledgers have no video in common; compare ledgers of the same dataset")
    identical = len(mine) == len(first) == len(second) and (mine == theirs).all()
    if not identical:
        first, second = first.select(mine), second.select(theirs)
    if len(different := np.flatnonzero((first.labels != second.labels).any(1))):
        raise UserError(
            f"{counted(len(different), 'video has', 'videos have')} other labels in one ledger than in the other, "
            f"such as {first.video_ids[different[0]]}; compare ledgers of the same lists"
        )
    one, other = first.table["source_group"].combine_chunks(), second.table["source_group"].combine_chunks()
    if pc.any(pc.not_equal(one, other)).as_py():
        place = pc.index(pc.not_equal(one, other), True).as_py()
        raise UserError(
            f"{first.video_ids[place]} is of source group {one[place]} in one ledger and {other[place]} in the other; "
            "compare ledgers of the same lists"
        )
    place = first.table.schema.get_field_index("source_group")
    known = pa.chunked_array([pc.coalesce(one, other)])
    return dataclasses.replace(first, table=first.table.set_column(place, "source_group", known)), second


def decoded_by_both(first: Ledger, second: Ledger) -> tuple[Ledger, Ledger]:
    """Rows of `common_videos` that failed in neither ledger."""
    rows = np.flatnonzero(first.scored & second.scored)
    return first.select(rows), second.select(rows)


def compare(
    first: Ledger, second: Ledger, *, map_intervals: bool | None = None, progress: Progress = iter
) -> Comparison:
    """Compare two models on the same videos; failed videos count as wrong.

    Args:
        first: Rows as `common_videos` gives them; source groups are taken from here.
        second: The same videos.
        map_intervals: Whether scores that are no shares get intervals too; None means where they take seconds.
        progress: Wraps the loop over blocks of classes.

    Raises:
        UserError: If no video has a label.
    """
    labels = first.labels
    rows = np.flatnonzero(labels.any(1))
    if not len(rows):
        raise UserError("no common video has a label, so there is nothing to compare")
    if len(rows) < len(labels):
        first, second, labels = first.select(rows), second.select(rows), labels[rows]
    clusters, pair, scores = first.clusters(), (first, second), scores_of()
    known = [predictions(ledger) for ledger in pair]
    values = [values_of(scores, part) for part in known]
    influences = [
        influences_of(scores, *part, clusters, map_intervals, progress) for part in zip(known, values, strict=True)
    ]
    areas = np.stack([average_precision(ledger.scores, labels) for ledger in pair])
    correct = [ranks(ledger.scores, labels) == 1 for ledger in pair]
    counts = int((correct[0] & ~correct[1]).sum()), int((correct[1] & ~correct[0]).sum())
    paired = {
        name: Paired.of(values[0][name] - values[1][name], influences[0][name] - influences[1][name])
        for name in values[0]
        if name in values[1] and all(name in part for part in influences)
    }
    return Comparison(
        videos=len(labels),
        clusters=int(clusters.max()) + 1,
        metrics={
            name: Difference(value, values[1].get(name, np.nan), paired.get(name)) for name, value in values[0].items()
        },
        only_first=counts[0],
        only_second=counts[1],
        mcnemar_p=mcnemar(*counts),
        clustered_p=paired["video_hit1"].p_value,
        average_precision=areas,
        positives=labels.sum(0),
    )
