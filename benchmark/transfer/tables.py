"""Tables 3 and 4 from the cells of a transfer grid, beside the paper's numbers; holes stay holes.

A cell is one test: a regime, a fold, a seed.
"""

import csv
import dataclasses
import io
import itertools
from collections.abc import Sequence

import numpy as np

from benchmark.grid.cells import NOT_RUN
from benchmark.leaderboard.claims import Claims
from benchmark.pages.tables import UNKNOWN, TextTable, escape
from benchmark.results.comparison import Comparison, compare
from benchmark.results.ledger import Ledger
from benchmark.results.pooled import pooled_pair
from benchmark.results.record import Record
from benchmark.results.scores import scores_of
from benchmark.results.statistics import holm
from benchmark.transfer.notes import notes
from benchmark.transfer.regimes import REGIMES, Regime
from benchmark.wording import counted

NOT_HELD = "not held"

_TABLE3, _TABLE4 = "Table 3", "Table 4"
_ALL_GROUPS = "All groups"


@dataclasses.dataclass(frozen=True)
class CellResult:
    """What came of one cell.

    Args:
        regime: Which layers were trained.
        fold: Official fold.
        seed: Of training.
        state: `finished`, or why there is no number, in a word or two.
        record: Of the test, if it is finished.
        ledger: Of the test, if it is finished.
        keep_probability: Chosen on validation, or None.
    """

    regime: Regime
    fold: int
    seed: int
    state: str
    record: Record | None = None
    ledger: Ledger | None = None
    keep_probability: float | None = None

    def value(self, metric: str) -> float | None:
        """A metric of the test, or None."""
        held = None if self.record is None else self.record.metrics.get(metric)
        return None if held is None else held.value


@dataclasses.dataclass(frozen=True)
class Mean:
    """A metric of a regime over folds, each the mean of its seeds.

    Args:
        folds: Value of each fold that has one.
        of: Number of folds in the grid.
    """

    folds: dict[int, float]
    of: int

    @property
    def value(self) -> float | None:
        """The mean of the folds that have a value."""
        return float(np.mean(list(self.folds.values()))) if self.folds else None

    @property
    def spread(self) -> float | None:
        """Standard deviation from fold to fold, of a sample; None below two folds."""
        return float(np.std(list(self.folds.values()), ddof=1)) if len(self.folds) > 1 else None


class TransferResults:
    """All cells of a grid, and what the paper says.

    Args:
        cells: In the order of the grid.
        claims: The paper's tables, of which 3 and 4 are looked for.
    """

    def __init__(self, cells: Sequence[CellResult], claims: Sequence[Claims]) -> None:
        self.cells = tuple(cells)
        self.regimes = tuple(dict.fromkeys(cell.regime for cell in cells))
        self.folds = tuple(sorted({cell.fold for cell in cells}))
        self.seeds = tuple(sorted({cell.seed for cell in cells}))
        self._claims = {n: c for c in claims for n in (_TABLE3, _TABLE4) if c.source.endswith(n)}

    def mean(self, regime: Regime, metric: str) -> Mean:
        """A metric of a regime, fold by fold."""
        values: dict[int, list[float]] = {}
        for cell in self.cells:
            if cell.regime == regime and (value := cell.value(metric)) is not None:
                values.setdefault(cell.fold, []).append(value)
        return Mean({fold: float(np.mean(held)) for fold, held in sorted(values.items())}, len(self.folds))

    def paper(self, table: str, regime: Regime, metric: str) -> float | None:
        """What the paper says, 0 to 1."""
        rows = self._claims[table].rows if table in self._claims else ()
        held = next((row.metrics.get(metric) for row in rows if row.name.endswith(REGIMES[regime])), None)
        return None if held is None else held.value

    def paper_accuracy(self, regime: Regime) -> float | None:
        """The paper's 3-fold accuracy, 0 to 1."""
        return self.paper(_TABLE3, regime, "video_hit1")

    @property
    def is_papers_data(self) -> bool:
        """Whether the finished cells are of the dataset of the paper's tables."""
        theirs = {claims.dataset.partition(",")[0] for claims in self._claims.values()}
        ours = {cell.record.dataset.name for cell in self.cells if cell.record is not None}
        return bool(ours) and ours <= theirs

    def held_groups(self) -> dict[str, int]:
        """Number of classes of each group in the data, as the first finished cell says."""
        ledger = next((cell.ledger for cell in self.cells if cell.ledger is not None), None)
        return {} if ledger is None else {name: len(members) for name, members in ledger.info.groups().items()}

    def groups(self) -> list[str]:
        """The paper's groups, then those that only the data has."""
        rows = self._claims[_TABLE4].rows if _TABLE4 in self._claims else ()
        named = dict.fromkeys(name.removeprefix("map/") for row in rows for name in row.metrics if name != "map")
        return [*named, *(name for name in self.held_groups() if name not in named)]

    def table3(self) -> TextTable:
        """Accuracy in percent, fold by fold, and the mean of the folds with its spread."""
        header = ["training", *(f"fold {fold}" for fold in self.folds), "mean of folds", "spread", "kept", "the paper"]
        rows = []
        for regime in self.regimes:
            mean = self.mean(regime, "video_hit1")
            kept = sorted({c.keep_probability for c in self.cells if c.regime == regime and c.keep_probability})
            rows.append(
                (
                    REGIMES[regime],
                    *(self._fold(regime, fold) for fold in self.folds),
                    _percent(mean.value) + _of(mean),
                    _percent(mean.spread),
                    ", ".join(f"{keep:g}" for keep in kept) or UNKNOWN,
                    _percent(self.paper_accuracy(regime)),
                )
            )
        known = {REGIMES[regime] for regime in REGIMES}
        for claim in self._claims[_TABLE3].rows if _TABLE3 in self._claims else ():
            if not any(claim.name.endswith(words) for words in known):
                value = claim.metrics.get("video_hit1")
                blank = [UNKNOWN] * (len(header) - 2)
                rows.append((claim.name, *blank, _percent(None if value is None else value.value)))
        return TextTable(tuple(header), tuple(rows))

    def hole(self, regime: Regime, fold: int | None = None) -> str:
        """Why a regime, or a fold of it, has no number."""
        states = [cell.state for cell in self.cells if cell.regime == regime and fold in {None, cell.fold}]
        return next((state for state in states if state != NOT_RUN), NOT_RUN)

    def _fold(self, regime: Regime, fold: int) -> str:
        cells = [cell for cell in self.cells if (cell.regime, cell.fold) == (regime, fold)]
        values = [value for cell in cells if (value := cell.value("video_hit1")) is not None]
        if not values:
            return self.hole(regime, fold)
        some = f" ({len(values)} of {len(self.seeds)} seeds)" if len(values) < len(self.seeds) else ""
        return _percent(float(np.mean(values))) + some

    def table4(self) -> TextTable:
        """Mean average precision by group, mean of the folds and spread; a group without a class is not held."""
        held, finished = self.held_groups(), any(cell.record is not None for cell in self.cells)
        header = ["group", "classes"]
        for regime in self.regimes:
            header += [REGIMES[regime], "the paper"]
        rows = []
        for group in [*self.groups(), _ALL_GROUPS]:
            is_all = group == _ALL_GROUPS
            count = sum(held.values()) if is_all else held.get(group, 0)
            row = [group, str(count) if finished else UNKNOWN]
            for regime in self.regimes:
                name = "map" if is_all else f"map/{group}"
                mean = self.mean(regime, name)
                if mean.value is not None:
                    spread = "" if mean.spread is None else f" ± {mean.spread:.3f}"
                    text = f"{mean.value:.3f}{spread}{_of(mean)}"
                elif finished and not is_all and not count:
                    text = NOT_HELD
                else:
                    text = NOT_HELD if self._is_tested(regime) else self.hole(regime)
                claimed = self.paper(_TABLE4, regime, name)
                row += [text, UNKNOWN if claimed is None else f"{claimed:.2f}"]
            rows.append(tuple(row))
        return TextTable(tuple(header), tuple(rows))

    def _is_tested(self, regime: Regime) -> bool:
        return any(cell.regime == regime and cell.record is not None for cell in self.cells)

    def comparisons(self) -> dict[tuple[Regime, Regime], Comparison]:
        """Each pair of regimes on the test videos of all folds and seeds that both have scored."""
        found = {}
        for one, other in itertools.combinations(self.regimes, 2):
            tests = [
                {f"fold {cell.fold} seed {cell.seed}": cell.ledger for cell in self.cells if cell.regime == regime}
                for regime in (one, other)
            ]
            if (pair := pooled_pair(*tests)) is not None:
                found[one, other] = compare(*pair, map_intervals=False)
        return found

    def table_of_comparisons(self) -> TextTable | None:
        """Paired differences in video Hit@1 with 95% intervals and Holm-corrected p-values; None without a pair."""
        found = self.comparisons()
        if not found:
            return None
        adjusted = holm([comparison.clustered_p for comparison in found.values()])
        rows = []
        for ((one, other), comparison), p_value in zip(found.items(), adjusted, strict=True):
            hit = comparison.metrics["video_hit1"]
            rows.append(
                (
                    f"{REGIMES[one]} less {REGIMES[other]}",
                    f"{100 * hit.difference:+.1f}{_interval(hit.low, hit.high)}",
                    f"{comparison.only_first:,}",
                    f"{comparison.only_second:,}",
                    f"{comparison.videos:,}",
                    f"{comparison.clusters:,}",
                    f"{p_value:.3g}",
                    "yes" if p_value < 0.05 else "no",
                )
            )
        header = (
            "video Hit@1",
            "points (95% interval)",
            "only first",
            "only second",
            "videos",
            "sources",
            "p",
            "at 5%",
        )
        return TextTable(header, tuple(rows))

    def notes(self) -> list[str]:
        """What a reader must know to read the tables rightly."""
        records = [cell.record for cell in self.cells if cell.record is not None]
        return notes(records, len(self.cells), has_claims=bool(self._claims))

    def markdown(self) -> str:
        """Everything as Markdown."""
        parts = ["# Transfer", *map(escape, self.notes()), "## Table 3: accuracy in percent (video Hit@1)"]
        parts += [self.table3().markdown(), "## Table 4: mean average precision by group", self.table4().markdown()]
        if (pairs := self.table_of_comparisons()) is not None:
            parts += ["## Paired comparisons of the regimes", pairs.markdown()]
        return "\n\n".join(parts) + "\n"

    def comma_separated(self) -> str:
        """One line a value: of each cell, and of the mean over folds; empty where there is none, with the reason."""
        metrics = [*(score.name for score in scores_of()), *(f"map/{group}" for group in self.groups())]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        header = ["regime", "fold", "seed", "metric", "value", "low", "high", "spread", "paper", "keep_probability"]
        writer.writerow([*header, "state"])
        held = self.held_groups()
        for cell, metric in itertools.product(self.cells, metrics):
            value = None if cell.record is None else cell.record.metrics.get(metric)
            numbers = (None, None, None) if value is None else (value.value, value.low, value.high)
            state = cell.state
            if cell.record is not None and value is None and metric.removeprefix("map/") not in held:
                state = NOT_HELD
            keep = cell.keep_probability
            writer.writerow([cell.regime, cell.fold, cell.seed, metric, *numbers, None, None, keep, state])
        for regime, metric in itertools.product(self.regimes, metrics):
            mean = self.mean(regime, metric)
            table = _TABLE3 if metric == "video_hit1" else _TABLE4
            row = [regime, "mean", "mean", metric, mean.value, None, None, mean.spread]
            lacks = mean.value is None and self._is_tested(regime) and metric.removeprefix("map/") not in held
            state = NOT_HELD if lacks else f"{len(mean.folds)} of {counted(mean.of, 'fold')}"
            writer.writerow([*row, self.paper(table, regime, metric), None, state])
        return text.getvalue()


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.1f}"


def _of(mean: Mean) -> str:
    return "" if not mean.folds or len(mean.folds) == mean.of else f" ({len(mean.folds)} of {mean.of} folds)"


def _interval(low: float, high: float) -> str:
    """Of a difference, in points; nothing where there are too few sources for one."""
    return "" if np.isnan(low) or np.isnan(high) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
