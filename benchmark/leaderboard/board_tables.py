"""A board as plain tables of text."""

import dataclasses
from collections.abc import Sequence

from benchmark.leaderboard.board import Board, Row
from benchmark.metrics.descriptors import OF_EVERY_RECORD, score_of
from benchmark.pages.tables import UNKNOWN, TextTable
from benchmark.results.record import Value
from benchmark.wording import counted

_GROUP_PREFIX = "map/"
_FIRST = "video_hit1"
_BESIDE_THE_FIRST = sorted({*OF_EVERY_RECORD} - {_FIRST}, key=lambda name: (not name.startswith("video"), name))

RANKS = (
    "Rank 1: no entry of the board is told apart as better; any other rank is 1 more than the last rank among the "
    "entries that are."
)
"""What a rank means."""

RANKS_MORE = (
    "Each pair is tested alone at 0.2% (paired by video, sources kept together), whatever else is on the board: copies "
    "and weaker entries move no rank. In simulations of 10 equal entries, at most 5% of boards showed a false order. "
    "Entries of one rank are not told apart, which does not make them equal."
)
"""How they are made."""


SUBMITTED = (
    "What no ledger shows is as the submitter says: of every entry its date, code, libraries, hardware and precision; "
    "of recomputed ones also the network, its parameters and GFLOP, and whether its weights are clean, which a "
    "reproduction checks."
)
"""What an edit of a record could change unnoticed."""


def detectable(board: Board) -> str | None:
    """The smallest differences that a board and a comparison of two of its entries could show; None if unknown."""
    if board.detectable is None or board.pair_detectable is None:
        return None
    return (
        f"Detectable difference in video Hit@1 (80% power, median pair): {100 * board.detectable:.1f} points for a "
        f"rank, {100 * board.pair_detectable:.1f} for a comparison of two entries alone at 5%."
    )


def without_clips(board: Board) -> str | None:
    """Which entries were scored by video alone, as they read whole videos; None where there are none."""
    names = [
        row.name
        for row in board.rows
        if row.videos is not None and getattr(row.metrics.get("clip_hit1"), "value", None) is None
    ]
    if not names:
        return None
    return f"Whole videos are read, not clips, so there are scores by video only: {'; '.join(names)}."


def board_table(board: Board) -> TextTable:
    """Every row with what is known of it; a column of which nothing is known is left out."""
    columns: dict[str, Sequence[str]] = {
        "entry": [row.name for row in board.rows],
        "rank": [rank_text(row) for row in board.rows],
        "tier": [tier_text(row) for row in board.rows],
        "video Hit@1 in % (95% interval)": [_interval(row.metrics.get(_FIRST)) for row in board.rows],
        "SD over folds in points": [spread_text(row) for row in board.rows],
        "decoded videos alone in %": [_interval((row.decoded_only or {}).get(_FIRST)) for row in board.rows],
        **{
            f"{score_of(name).title}{' in %' if score_of(name).unit == 'percent' else ''}": [
                _shown(name, row.metrics.get(name)) for row in board.rows
            ]
            for name in (*_BESIDE_THE_FIRST, *added_names([board]))
        },
        "clips/s": [_number(row.clips_per_second, ",.0f") for row in board.rows],
        "GFLOP a clip": [_number(row.gflop_per_clip, ",.2f") for row in board.rows],
        "parameters": [_number(row.parameters, ",") for row in board.rows],
        "videos": [_coverage(row) for row in board.rows],
        "weights": [row.provenance or UNKNOWN for row in board.rows],
    }
    known = {name: cells for name, cells in columns.items() if any(cell != UNKNOWN for cell in cells)}
    return TextTable(tuple(known), tuple(zip(*known.values(), strict=True)))


def tier_text(row: Row) -> str:
    """Its tier, and who confirmed it."""
    return row.tier if row.confirmed_by is None else f"{row.tier}, confirmed by {row.confirmed_by}"


def rank_text(row: Row) -> str:
    """Its rank; marked where it may be owed to test videos in its weights, or to other pixels than the protocol's."""
    if row.rank is None:
        return UNKNOWN
    marks = {"weights unknown": row.provenance == "unknown", "pixels differ": row.deviation is not None}
    shown = ", ".join(mark for mark, applies in marks.items() if applies)
    return f"{row.rank} ({shown})" if shown else str(row.rank)


SPREAD = (
    "A row is the mean over folds of the mean over seeds, its interval over the sources of all folds. SD: standard "
    "deviation of video Hit@1 between folds; and in brackets of runs that differ in their seed, of folds where neither "
    "seeds nor sources explain it, and of a fold by the sources that it happens to have."
)
"""How a row of a board over folds is made."""


def spread_text(row: Row) -> str:
    """How much its folds and seeds differ, in points."""
    if row.spread is None or row.seeds is None:
        return UNKNOWN
    between, *parts = (UNKNOWN if part is None else f"{100 * part:.1f}" for part in dataclasses.astuple(row.spread))
    split = ", ".join(f"{name} {part}" for name, part in zip(("seed", "fold", "source"), parts, strict=True))
    few, many = min(row.seeds), max(row.seeds)
    seeds = counted(few, "seed") if few == many else f"{few} to {many} seeds"
    return f"{between} ({split}), {seeds} a fold"


def added_names(boards: Sequence[Board]) -> list[str]:
    """Names of scores, other than those that every record has, of which a row has a value."""
    held = {
        name
        for board in boards
        for row in board.rows
        for name, value in row.metrics.items()
        if value.value is not None and not name.startswith(_GROUP_PREFIX)
    }
    return sorted(held - {*OF_EVERY_RECORD})


def known_names(boards: Sequence[Board]) -> list[str]:
    """Names of all scores of the rows: those that every record has, then others, then average precision by group."""
    of_groups = {_GROUP_PREFIX + name for board in boards for name in groups(board)}
    return [*OF_EVERY_RECORD, *added_names(boards), *sorted(of_groups)]


def groups(board: Board) -> list[str]:
    """Names of the groups of classes of which a row has the average precision."""
    found = {name for row in board.rows for name in row.metrics if name.startswith(_GROUP_PREFIX)}
    return [name.removeprefix(_GROUP_PREFIX) for name in sorted(found)]


def group_value(row: Row, group: str) -> float | None:
    """Mean average precision of a group, 0 to 1, or None."""
    value = row.metrics.get(_GROUP_PREFIX + group)
    return None if value is None else value.value


def group_table(board: Board) -> TextTable | None:
    """Mean average precision of each group, or None without groups."""
    names = groups(board)
    rows = tuple(
        (row.name, *(area(row.metrics.get(_GROUP_PREFIX + name)) for name in names))
        for row in board.rows
        if any(group_value(row, name) is not None for name in names)
    )
    return TextTable(("entry", *names), rows) if rows else None


def claims(rows: Sequence[Row]) -> list[str]:
    """One sentence for each claimed row: who, where, and the numbers."""
    sentences = []
    for row in rows:
        held = {key: value for key, value in row.metrics.items() if value.value is not None}
        scores = [score_of(name) for name in OF_EVERY_RECORD if name in held]
        numbers = [f"{score.title} {score.text(held[score.name].value or 0.0)}" for score in scores]
        if row.tier == "claimed":
            sentences.append(f"{row.name} ({row.source}): {', '.join(numbers) or 'no numbers'}")
    return sentences


def area(value: Value | None) -> str:
    """Average precision with three places."""
    return UNKNOWN if value is None or value.value is None else f"{value.value:.3f}"


def _shown(name: str, value: Value | None) -> str:
    return _percent(value) if score_of(name).unit == "percent" else area(value)


def _percent(value: Value | None) -> str:
    return UNKNOWN if value is None or value.value is None else f"{100 * value.value:.1f}"


def _interval(value: Value | None) -> str:
    if value is None or value.low is None or value.high is None:
        return _percent(value)
    return f"{_percent(value)} ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _coverage(row: Row) -> str:
    if row.videos is None:
        return UNKNOWN
    held = "" if row.held_share is None else f" ({row.held_share:.0%} of the official)"
    return f"{row.videos:,}{held}" + (f", {row.failed_videos:,} failed" if row.failed_videos else "")
