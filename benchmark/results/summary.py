"""Metrics of a ledger with their intervals, as a record holds them."""

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.descriptors import HIT_KS
from benchmark.results.influence import Progress, influences_of
from benchmark.results.ledger import Ledger
from benchmark.results.record import Value
from benchmark.results.scores import decoded_only, predictions, scores_of, values_of
from benchmark.results.statistics import interval


def summarise(
    ledger: Ledger, *, map_intervals: bool | None = None, ks: Sequence[int] = HIT_KS, progress: Progress = iter
) -> tuple[dict[str, Value], dict[str, Value] | None]:
    """All numbers of a ledger with 95% intervals over source groups, or over videos without them.

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
    found = influences_of(scores, known, values, clusters_of(ledger), map_intervals, progress)
    return {
        name: Value.of(value, *interval(value, found[name])) if name in found else Value.of(value)
        for name, value in values.items()
    }


def clusters_of(ledger: Ledger) -> np.ndarray:
    """(V,) int64 from 0: source groups of the labelled videos, as `predictions` orders them."""
    return np.asarray(np.unique(ledger.clusters()[ledger.labels.any(1)], return_inverse=True)[1])
