"""What came of a reproduction: Tables 1 and 2, and differences between systems, from whatever cells are finished."""

import dataclasses
import functools
import re
from collections.abc import Sequence

from benchmark.grid.cells import NOT_RUN
from benchmark.leaderboard.claims import Claim, Claims
from benchmark.metrics.descriptors import score_of
from benchmark.pages.tables import UNKNOWN, TextTable
from benchmark.paper.plan import Plan, Table1Cell
from benchmark.paper.rows import ROWS, SINGLE, SLOW, Row
from benchmark.results.class_differences import ClassDifference, class_differences
from benchmark.results.comparison import Comparison, compare
from benchmark.results.ledger import Ledger
from benchmark.results.pooled import pooled, pooled_pair
from benchmark.results.record import Record, Value
from benchmark.results.summary import summarise

CLASSES_EACH_WAY = 10

_METRICS = ("clip_hit1", "video_hit1", "video_hit5")
"""Those of the paper's Table 1."""


@dataclasses.dataclass(frozen=True)
class SystemResult:
    """A system on all its finished cells.

    Args:
        row: The system.
        tests: Record and ledger of each finished cell, by a name such as `fold 1 seed 0`.
        states: Of the cells without one: why.
        of: Number of its cells.
        metrics: Of the videos of all these tests together, with 95% intervals.
    """

    row: Row
    tests: dict[str, tuple[Record, Ledger]]
    states: tuple[str, ...]
    of: int
    metrics: dict[str, Value]

    @property
    def ledgers(self) -> dict[str, Ledger | None]:
        """Ledgers alone."""
        return {name: ledger for name, (_, ledger) in self.tests.items()}


class PaperResults:
    """All that a report says in numbers.

    Args:
        plan: What was asked for.
        claims: The paper's tables.
    """

    def __init__(self, plan: Plan, claims: Sequence[Claims]) -> None:
        self.plan, self.cells, self.claims = plan, plan.table1_cells(), claims
        self.systems = {row.key: self._system(row) for row in ROWS}
        self._claimed = {row.name: row for table in claims if table.source.endswith("Table 1") for row in table.rows}

    def _system(self, row: Row) -> SystemResult:
        cells = [cell for cell in self.cells if cell.row == row]
        read = {test_name(cell): cell.read() for cell in cells}
        tests = {name: held for name, held in read.items() if not isinstance(held, str)}
        states = [held for held in read.values() if isinstance(held, str)]
        metrics: dict[str, Value] = {}
        if tests:
            metrics = summarise(pooled((name, ledger) for name, (_, ledger) in tests.items()))[0]
        return SystemResult(row, tests, tuple(states), len(cells), metrics)

    @property
    def records(self) -> dict[str, Record]:
        """The first finished test of each system, by the system's title."""
        return {
            system.row.title: next(iter(system.tests.values()))[0] for system in self.systems.values() if system.tests
        }

    def claim(self, row: Row) -> Claim | None:
        """What the paper says of a system."""
        return self._claimed.get(row.title)

    def table1(self) -> TextTable:
        """Each system's three numbers, the paper's and ours, in percent."""
        header = ["system"]
        for title in (score_of(name).title for name in _METRICS):
            header += [f"{title}, the paper", f"{title}, ours"]
        header.append("tests")
        rows = []
        for row in ROWS:
            system, claimed, cells = self.systems[row.key], self.claim(row), [row.title]
            for name in _METRICS:
                value = None if claimed is None else claimed.metrics.get(name)
                cells += [_percent(value), self._own(system, name)]
            rows.append((*cells, f"{len(system.tests)} of {system.of}"))
        return TextTable(tuple(header), tuple(rows))

    def _own(self, system: SystemResult, metric: str) -> str:
        if not system.tests:
            return re.split("[:,]", self.hole(system.row))[0]
        value = system.metrics.get(metric)
        if value is None or value.value is None:
            return UNKNOWN
        if value.low is None or value.high is None:
            return _percent(value)
        return f"{_percent(value)} ({100 * value.low:.1f} to {100 * value.high:.1f})"

    def hole(self, row: Row) -> str:
        """Why a system has no number, or no weights."""
        states = self.systems[row.key].states or ("its weights are not there",)
        return next((state for state in states if not state.startswith(NOT_RUN)), states[0])

    @functools.cached_property
    def motion(self) -> tuple[list[ClassDifference], list[ClassDifference]]:
        """Classes with the largest differences of slow fusion and single-frame, both ways."""
        pair = self.pair(SLOW, SINGLE)
        return ([], []) if pair is None else class_differences(*pair, CLASSES_EACH_WAY)

    def table2(self) -> TextTable | None:
        """Classes with the largest differences in average precision; None where a test lacks."""
        better, worse = self.motion
        if not better and not worse:
            return None
        header = ("class", "slow fusion less single-frame", "slow fusion", "single-frame", "videos", "sources", "p")
        return TextTable(header, tuple(_difference(row) for row in [*better, *reversed(worse)]))

    def pair(self, one: str, other: str) -> tuple[Ledger, Ledger] | None:
        """The same videos with two systems, over the cells that both have finished; None without one."""
        return pooled_pair(self.systems[one].ledgers, self.systems[other].ledgers)

    @functools.cache  # noqa: B019  # lives as long as the process that makes one report
    def comparison(self, one: str, other: str) -> Comparison | None:
        """Two systems compared, or None where they share no finished cell."""
        pair = self.pair(one, other)
        return None if pair is None else compare(*pair, map_intervals=False)


def test_name(cell: Table1Cell) -> str:
    """What a cell is called beside others of its system."""
    return f"seed {cell.seed}" if cell.fold is None else f"fold {cell.fold} seed {cell.seed}"


def _difference(row: ClassDifference) -> tuple[str, ...]:
    low, high = row.interval
    interval = "" if low != low else f" ({low:+.3f} to {high:+.3f})"
    return (
        row.name,
        f"{row.difference:+.3f}{interval}",
        f"{row.first:.3f}",
        f"{row.second:.3f}",
        f"{row.videos:,}",
        f"{row.sources:,}",
        UNKNOWN if row.p_value != row.p_value else f"{row.p_value:.2g}",
    )


def _percent(value: Value | None) -> str:
    return UNKNOWN if value is None or value.value is None else f"{100 * value.value:.1f}"
