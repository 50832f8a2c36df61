"""Which of the paper's findings hold here, in numbers: each a paired difference with its interval."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from benchmark.figures.filters import contrasts, measure
from benchmark.paper.results import PaperResults
from benchmark.paper.rows import CNN_AVERAGE, CONTEXT, EARLY, FOVEA, HISTOGRAMS, MULTIRES, ROWS, SINGLE, SLOW
from benchmark.results.statistics import LEAST_SOURCES
from benchmark.transfer.regimes import REGIMES, Regime
from benchmark.transfer.tables import TransferResults

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


def findings(results: PaperResults, transfer: TransferResults, streams: Mapping[str, np.ndarray]) -> list[Finding]:
    """All findings of the paper that its tables and Figure 3 state.

    Args:
        results: Of Table 1.
        transfer: Of Tables 3 and 4; of no cells where there is no grid.
        streams: First-layer filters of the multiresolution network; may be empty.
    """
    found = []
    for said, one, named in _TABLE1:
        other = _best_member(results) if named == _BEST_MEMBER else named
        claims = [results.claim(results.systems[key].row) for key in (one, other)]
        values = [None if c is None or "video_hit1" not in c.metrics else c.metrics["video_hit1"].value for c in claims]
        comparison = results.comparison(one, other)
        hit = None if comparison is None else comparison.metrics["video_hit1"]
        pair = (_TITLES[one], _TITLES[other])
        shown = None if hit is None else (hit.first, hit.second, hit.low, hit.high)
        found.append(_finding(said, pair, values, shown))
    comparisons = transfer.comparisons()
    for said, regime, against in _TABLE3:
        values = [transfer.paper_accuracy(each) for each in (regime, against)]
        pair = (REGIMES[regime], REGIMES[against])
        key, sign = ((regime, against), 1) if (regime, against) in comparisons else ((against, regime), -1)
        shown = None
        if key in comparisons:
            hit = comparisons[key].metrics["video_hit1"]
            ends = (hit.low, hit.high) if sign > 0 else (-hit.high, -hit.low)
            shown = (*((hit.first, hit.second) if sign > 0 else (hit.second, hit.first)), *ends)
        found.append(_finding(said, pair, values, shown))
    return [*found, *_filters(streams)]


def _best_member(results: PaperResults) -> str:
    """Key of the member of the average that is best here; that of the paper until all are finished."""
    average = results.systems[CNN_AVERAGE].row
    members = [results.systems[key] for key in average.members]
    if any(len(system.tests) < system.of for system in members):
        return SLOW
    return max(members, key=lambda system: system.metrics["video_hit1"].value or 0.0).row.key


def _finding(
    said: str,
    pair: tuple[str, str],
    paper: Sequence[float | None],
    ours: tuple[float, float, float, float] | None,
) -> Finding:
    words = ", ".join(
        title if value is None else f"{title} {100 * value:.1f}%" for title, value in zip(pair, paper, strict=True)
    )
    if ours is None:
        return Finding(said, words, "not run", "")
    first, second, low, high = ours
    difference = f"{100 * first:.1f}% and {100 * second:.1f}%, a difference of {100 * (first - second):+.1f} points"
    if math.isnan(low):
        return Finding(said, words, "not told apart", f"{difference}; fewer than {LEAST_SOURCES} sources")
    return Finding(said, words, _verdict(low, high), f"{difference} ({100 * low:+.1f} to {100 * high:+.1f})")


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
        found.append(Finding(said, "seen in Figure 3", _verdict(low, high), ours))
    return found


def _verdict(low: float, high: float) -> Verdict:
    """From the interval of a difference that the paper found to be positive."""
    return "holds" if low > 0 else "the opposite holds" if high < 0 else "not told apart"


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
    return " ".join(parts)
