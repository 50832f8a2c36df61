"""How well a model does on each class. Letters: V videos, K classes."""

import dataclasses

import numpy as np

from benchmark.metrics.descriptors import hit
from benchmark.results.influence import of_share
from benchmark.results.ledger import Ledger
from benchmark.results.scores import predictions
from benchmark.results.statistics import interval
from benchmark.results.summary import clusters_of


@dataclasses.dataclass(frozen=True)
class ClassShare:
    """Video Hit@1 of the videos of a class.

    Args:
        name: Of the class.
        value: Share of its videos whose best-scored class is a true one, 0 to 1; failed videos count as wrong.
        low: End of the 95% interval over sources; NaN where its videos are of fewer than 11 sources.
        high: The other end.
        videos: That are of the class.
    """

    name: str
    value: float
    low: float
    high: float
    videos: int


def class_shares(ledger: Ledger) -> list[ClassShare]:
    """Each class that has a video, best first."""
    known, clusters = predictions(ledger), clusters_of(ledger)
    found = []
    for number, name in enumerate(ledger.info.class_names):
        rows = np.flatnonzero(known.labels[:, number])
        if not len(rows):
            continue
        counts = hit("video", 1).counts
        hits, trials = counts(known.take(rows))  # type: ignore[misc]  # which Hit@k always has
        value = float(hits.sum() / trials.sum())
        found.append(ClassShare(name, value, *interval(value, of_share(hits, trials, clusters[rows])), len(rows)))
    return sorted(found, key=lambda share: -share.value)
