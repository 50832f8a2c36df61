"""Boards over folds: a configuration that was tested on every fold, with any number of seeds, is one row.

Letters: V videos of all folds, S sources.
"""

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.changes import leaves
from benchmark.errors import UserError
from benchmark.leaderboard.board import Spread
from benchmark.leaderboard.entries import Entry
from benchmark.metrics.arrays import ranks
from benchmark.metrics.descriptors import says_nothing
from benchmark.results.influence import of_share
from benchmark.results.record import METHOD, Value
from benchmark.results.statistics import Paired, exchange_p_value, interval

# What differs between the folds and seeds of one configuration: which they are, what was chosen on the fold's own
# validation videos, where files are, and what changes no score.
_OF_A_RUN = {
    "seed_everything", "data.fold", "data.seed", "transfer.keep_probability",
    "data.root", "data.store", "data.lists", "data.class_groups", "data.num_workers", "data.multiprocessing_context",
    "data.cache", "data.cache_gb", "data.cache_dir", "run_dir", "ckpt_path", "entry_name", "verbose",
    "checkpoint.minutes", "trainer.default_root_dir",
}  # fmt: skip
_PARTS_OF_A_RUN = ("trainer.logger", "trainer.callbacks", "trainer.enable_", "predict.", "sample.", "wandb.")


def configuration_of(entry: Entry) -> str:
    """What the runs of one configuration share: its name, network and options, whatever the fold and the seed."""
    record = entry.record
    held = leaves(record.config)
    # What was not set, or was not there yet, is the same.
    kept = {
        name: value
        for name, value in held.items()
        if value is not None and name not in _OF_A_RUN and not name.startswith(_PARTS_OF_A_RUN)
    }
    return json.dumps([record.name, record.model.class_path, kept], sort_keys=True, default=str)


def classes_of(entry: Entry) -> int | None:
    """K of an entry; None where its ledger is not at hand and it was tested on all classes of its dataset."""
    if entry.ledger is not None:
        return len(entry.ledger.info.class_names)
    subset = entry.record.dataset.classes
    return None if subset is None else len(subset)


def shown_values(entry: Entry, values: Mapping[str, Value]) -> dict[str, Value]:
    """Values of an entry that say something, without intervals of an older method, which nobody can check."""
    known, classes = entry.record.intervals == METHOD, classes_of(entry)
    kept = {name: held for name, held in values.items() if not says_nothing(name, classes)}
    return kept if known else {name: Value(value=held.value) for name, held in kept.items()}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """All runs of a configuration on the folds of a board.

    Args:
        runs: Entries of each fold, one a seed.
    """

    runs: Mapping[int, Sequence[Entry]]

    @property
    def entries(self) -> list[Entry]:
        """Every run."""
        return [entry for fold in sorted(self.runs) for entry in self.runs[fold]]

    @property
    def num_classes(self) -> int | None:
        """K, where a run says it."""
        return next((known for entry in self.entries if (known := classes_of(entry)) is not None), None)

    @property
    def can_rank(self) -> bool:
        """Whether every run has its ledger, and none saw test videos."""
        return all(e.ledger is not None and e.record.checkpoint.provenance != "contaminated" for e in self.entries)

    def hits(self) -> dict[tuple[int, str], tuple[float, str]]:
        """By fold and video: share of the seeds that are right on it, and its source.

        A source that is tested on in two folds, as no official list has it, counts as one.
        """
        found: dict[tuple[int, str], tuple[float, str]] = {}
        for fold, runs in self.runs.items():
            right: dict[str, list[float]] = defaultdict(list)
            sources: dict[str, str] = {}
            for ledger in (run.ledger for run in runs):
                if ledger is None:
                    raise ValueError("a run without its ledger cannot be pooled")
                rows = np.flatnonzero(ledger.labels.any(1))
                hit = ranks(ledger.scores[rows], ledger.labels[rows]) == 1
                groups, names = ledger.table["source_group"].to_pylist(), ledger.video_ids
                for row, is_right in zip(rows.tolist(), hit.tolist(), strict=True):
                    right[names[row]].append(float(is_right))
                    sources[names[row]] = groups[row] if groups[row] is not None else f"video\0{names[row]}"
            for name, shares in right.items():
                if len(shares) == len(runs):
                    found[fold, name] = float(np.mean(shares)), sources[name]
            _require_fold(found, fold, runs)
        return found

    def mean(self, name: str, *, decoded: bool = False) -> float | None:
        """A score's mean over folds of its mean over seeds; None where a run lacks it."""
        folds = []
        for runs in self.runs.values():
            records = [run.record for run in runs]
            held = [(r.decoded_only or r.metrics) if decoded else r.metrics for r in records]
            values = [metrics[name].value if name in metrics else None for metrics in held]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None
            folds.append(float(np.mean(known)))
        return float(np.mean(folds))

    def metrics(self, *, decoded: bool = False) -> dict[str, Value]:
        """Means of every score that all runs have; video Hit@1 with its interval over the sources of all folds."""
        first = self.entries[0].record.metrics
        held = [name for name in first if all(name in entry.record.metrics for entry in self.entries)]
        names = [name for name in held if not says_nothing(name, self.num_classes)]
        found = {name: Value(value=self.mean(name, decoded=decoded)) for name in names}
        if self.can_rank and not decoded:
            weighted, clusters = _weighted(self.hits())
            value = min(1.0, float(weighted.mean()))
            low, high = interval(value, of_share(weighted, np.ones(len(weighted)), clusters))
            found["video_hit1"] = Value.of(value, low, high)
        return found

    def spread(self) -> Spread:
        """Standard deviations of video Hit@1 between folds, and what of it seeds, sources and folds explain.

        A run is taken as the sum of its configuration's mean, its fold, the choice of the fold's sources, and its seed.
        """
        by_fold = [[e.record.metrics["video_hit1"].value or 0.0 for e in runs] for runs in self.runs.values()]
        several = [values for values in by_fold if len(values) > 1]
        freedom = sum(len(values) - 1 for values in several)
        seed = sum(float(np.var(values)) * len(values) for values in several) / freedom if freedom else math.nan
        means = [float(np.mean(values)) for values in by_fold]
        between = float(np.var(means, ddof=1)) if len(means) > 1 else math.nan
        source = self._source_variance()
        of_seeds = 0.0 if math.isnan(seed) else seed * float(np.mean([1 / len(values) for values in by_fold]))
        fold = math.nan if math.isnan(source) else max(0.0, between - source - of_seeds)
        return Spread(*(None if math.isnan(part) else math.sqrt(part) for part in (between, seed, fold, source)))

    def _source_variance(self) -> float:
        """Mean over folds of the variance of video Hit@1 that comes of which sources the fold has."""
        if not self.can_rank:
            return math.nan
        hits, found = self.hits(), []
        for fold in self.runs:
            part = {key: value for key, value in hits.items() if key[0] == fold}
            weighted, clusters = _weighted(part)
            values = of_share(weighted, np.ones(len(weighted)), clusters).values
            found.append(float((values**2).sum()) / len(values) / max(len(values) - 1, 1))
        return float(np.mean(found))


def configurations(entries: Sequence[Entry]) -> Iterator[tuple[tuple[int, ...], list[Configuration]]]:
    """Folds and configurations of each board over folds that entries make; those that lack a fold are left out.

    The folds are the most that a configuration has, two at least.
    """
    together: dict[Any, dict[str, dict[int, list[Entry]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for entry in entries:
        identity, protocol = entry.record.board
        if identity.fold is not None:
            of = dataclasses.replace(identity, fold=None), protocol
            together[of][configuration_of(entry)][identity.fold].append(entry)
    for held in together.values():
        folds = max((frozenset(runs) for runs in held.values()), key=lambda some: (len(some), sorted(some)))
        if len(folds) > 1:
            yield tuple(sorted(folds)), [Configuration(dict(runs)) for runs in held.values() if folds <= set(runs)]


def compare_configurations(first: Configuration, second: Configuration) -> tuple[Paired, float]:
    """The difference of the means of folds on the videos of both, and the p-value that it is none."""
    one, other = first.hits(), second.hits()
    pairs = {key: (one[key][0] - other[key][0], source) for key, (_, source) in one.items() if key in other}
    for fold in first.runs:
        _require_fold(pairs, fold, [first.entries[0], second.entries[0]])
    weighted, clusters = _weighted(pairs)
    return Paired.of_hits(weighted, clusters), exchange_p_value(weighted, clusters)


def _require_fold(values: Mapping[tuple[int, str], object], fold: int, runs: Sequence[Entry]) -> None:
    if not any(held == fold for held, _ in values):
        names = " and ".join(run.entry_id for run in runs)
        raise UserError(f"{names} cannot be on one board: they have no labelled video of fold {fold} in common")


def _weighted(values: Mapping[tuple[int, str], tuple[float, str]]) -> tuple[np.ndarray, np.ndarray]:
    """(V,) values, weighted so that their mean is the mean of folds, and (V,) int64 numbers of their sources."""
    keys = sorted(values)
    folds = np.array([fold for fold, _ in keys], np.int64)
    names, counts = np.unique(folds, return_counts=True)
    weights = len(keys) / len(names) / counts[np.searchsorted(names, folds)]
    clusters = np.unique([values[key][1] for key in keys], return_inverse=True)[1]
    return np.array([values[key][0] for key in keys]) * weights, clusters.astype(np.int64)
