"""Which of the paper's findings hold here, in numbers: most are paired differences, which are judged together."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from benchmark.figures.filters import contrasts, measure
from benchmark.paper.results import PaperResults
from benchmark.paper.rows import CNN_AVERAGE, CONTEXT, EARLY, FOVEA, HISTOGRAMS, MULTIRES, ROWS, SINGLE, SLOW
from benchmark.results.comparison import Comparison
from benchmark.results.statistics import LEAST_SOURCES, LEVEL, holm
from benchmark.transfer.regimes import REGIMES, Regime
from benchmark.transfer.tables import TransferResults

HOW_JUDGED = (
    "Paired findings are judged together: p is corrected for the number of those that can be judged (Holm), and "
    "decides at 5%. The 95% interval beside it is that of the one difference, not corrected. What is seen in filters "
    "is judged one by one, by its interval."
)
"""What a reader must know of the verdicts."""

Verdict = Literal["holds", "the opposite holds", "not told apart", "not run"]

_TITLES = {row.key: row.title for row in ROWS}

_BEST_MEMBER = "best member"

_TABLE1 = (
    ("motion helps, a little", SLOW, SINGLE),
    ("joining time at once is worse than one frame", SINGLE, EARLY),
    ("two streams cost nothing", MULTIRES, SINGLE),
    ("the context says more than the fovea", CONTEXT, FOVEA),
    ("both streams say more than the context", MULTIRES, CONTEXT),
    ("an average is better than its best member", CNN_AVERAGE, _BEST_MEMBER),
    ("networks beat feature histograms", SINGLE, HISTOGRAMS),
)
_TABLE3: tuple[tuple[str, Regime, Regime], ...] = (
    ("pretraining helps", "top3", "scratch"),
    ("the top three layers are better than the top one", "top3", "top"),
    ("the top three layers are better than all", "top3", "all"),
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding of the paper, and what is found here.

    Args:
        said: The finding, in a few words.
        paper: The paper's numbers for it.
        verdict: Whether it holds here.
        ours: Our numbers for it.
    """

    said: str
    paper: str
    verdict: Verdict
    ours: str


@dataclasses.dataclass(frozen=True)
class Pair:
    """Video Hit@1 of two systems on the same videos, 0 to 1.

    Args:
        first: Of the one that the paper found better.
        second: Of the other.
        low: Lower end of the 95% interval of the difference, NaN where there are too few sources for one.
        high: Upper end.
        p_value: Of no difference, two-sided.
    """

    first: float
    second: float
    low: float
    high: float
    p_value: float

    @classmethod
    def of(cls, comparison: Comparison) -> "Pair":
        """From a comparison of the two."""
        hit = comparison.metrics["video_hit1"]
        return cls(hit.first, hit.second, hit.low, hit.high, comparison.clustered_p)

    @property
    def turned(self) -> "Pair":
        """The second in place of the first."""
        return Pair(self.second, self.first, -self.high, -self.low, self.p_value)

    @property
    def is_judged(self) -> bool:
        """Whether there are sources enough."""
        return not math.isnan(self.low)


def findings(results: PaperResults, transfer: TransferResults, streams: Mapping[str, np.ndarray]) -> list[Finding]:
    """All findings of the paper that its tables and Figure 3 state.

    Args:
        results: Of Table 1.
        transfer: Of Tables 3 and 4; of no cells where there is no grid.
        streams: First-layer filters of the multiresolution network; may be empty.
    """
    asked: list[tuple[str, str, Pair | None]] = []
    for said, one, named in _TABLE1:
        other = _best_member(results) if named == _BEST_MEMBER else named
        claims = [results.claim(results.systems[key].row) for key in (one, other)]
        values = [None if c is None or "video_hit1" not in c.metrics else c.metrics["video_hit1"].value for c in claims]
        comparison = results.comparison(one, other)
        words = _in_words((_TITLES[one], _TITLES[other]), values)
        asked.append((said, words, None if comparison is None else Pair.of(comparison)))
    comparisons = transfer.comparisons()
    for said, regime, against in _TABLE3:
        values = [transfer.paper_accuracy(each) for each in (regime, against)]
        words, shown = _in_words((REGIMES[regime], REGIMES[against]), values), None
        if (regime, against) in comparisons:
            shown = Pair.of(comparisons[regime, against])
        elif (against, regime) in comparisons:
            shown = Pair.of(comparisons[against, regime]).turned
        asked.append((said, words, shown))
    return [*_judged(asked), *_filters(streams)]


def _best_member(results: PaperResults) -> str:
    """Key of the member of the average that is best here; that of the paper until all are finished."""
    average = results.systems[CNN_AVERAGE].row
    members = [results.systems[key] for key in average.members]
    if any(len(system.tests) < system.of for system in members):
        return SLOW
    return max(members, key=lambda system: system.metrics["video_hit1"].value or 0.0).row.key


def _in_words(pair: tuple[str, str], paper: Sequence[float | None]) -> str:
    """The paper's numbers of two systems."""
    return ", ".join(
        title if value is None else f"{title} {100 * value:.1f}%" for title, value in zip(pair, paper, strict=True)
    )


def _judged(asked: Sequence[tuple[str, str, Pair | None]]) -> list[Finding]:
    """Paired findings, each with its title and the paper's numbers; p-values are Holm's over those that are judged."""
    family = [pair.p_value for _, _, pair in asked if pair is not None and pair.is_judged]
    adjusted = iter(holm(family))
    found = []
    for said, words, pair in asked:
        if pair is None:
            found.append(Finding(said, words, "not run", ""))
            continue
        difference = pair.first - pair.second
        ours = f"{100 * pair.first:.1f}% and {100 * pair.second:.1f}%, a difference of {100 * difference:+.1f} points"
        if not pair.is_judged:
            found.append(Finding(said, words, "not told apart", f"{ours}; fewer than {LEAST_SOURCES} sources"))
            continue
        p_value = next(adjusted)
        verdict: Verdict = "not told apart"
        if p_value < LEVEL:
            verdict = "holds" if difference > 0 else "the opposite holds"
        interval = f"{100 * pair.low:+.1f} to {100 * pair.high:+.1f}"
        found.append(
            Finding(said, words, verdict, f"{ours} ({interval}; p {p_value:.2g}, corrected for {len(family)})")
        )
    return found


def _filters(streams: Mapping[str, np.ndarray]) -> list[Finding]:
    """What the paper sees in its filters, measured."""
    known = {"context", "fovea"} <= set(streams)
    stated = {name: measure(filters) for name, filters in streams.items()}
    differences = contrasts(streams["context"], streams["fovea"]) if known else {}
    found = []
    for said, name, sign, form in (
        ("the context stream learns more colour", "colour_share", 1, "{:.1%}"),
        ("the fovea stream learns higher frequencies", "frequency", -1, "{:.4f} cycles a pixel"),
    ):
        if not known:
            found.append(Finding(said, "seen in Figure 3", "not run", ""))
            continue
        low, high = sorted(sign * value for value in differences[name][1:])
        values = [form.format(getattr(stated[stream], name)) for stream in ("context", "fovea")]
        shown = ", ".join(form.replace("{:", "{:+").format(sign * end) for end in (low, high)[::sign])
        ours = f"context {values[0]}, fovea {values[1]}; difference over filters {shown.replace(', ', ' to ')}"
        verdict: Verdict = "holds" if low > 0 else "the opposite holds" if high < 0 else "not told apart"
        found.append(Finding(said, "seen in Figure 3", verdict, ours))
    return found


def paragraph(found: Sequence[Finding]) -> str:
    """All findings in one paragraph."""
    if all(finding.verdict == "not run" for finding in found):
        return "Nothing that the paper found can be compared yet."
    parts = []
    for verdict, begins in (
        ("holds", "Held up here"),
        ("the opposite holds", "The opposite was found of"),
        ("not told apart", "Not told apart, which does not mean equal"),
    ):
        chosen = [f"{finding.said} ({finding.ours})" for finding in found if finding.verdict == verdict]
        if chosen:
            parts.append(f"{begins}: {'; '.join(chosen)}.")
    if missing := [finding.said for finding in found if finding.verdict == "not run"]:
        parts.append(f"Not run: {'; '.join(missing)}.")
    parts.append(HOW_JUDGED)
    return " ".join(parts)
