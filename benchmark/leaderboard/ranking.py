"""From entries and claims to boards: who ranks with whom, and where."""

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import UserError
from benchmark.identity import Identity
from benchmark.leaderboard.board import Board, Link, Row, Tier
from benchmark.leaderboard.claims import Claims, read_claims
from benchmark.leaderboard.entries import Entry, check_entries
from benchmark.leaderboard.folds import Configuration, compare_configurations, configurations, shown_values
from benchmark.leaderboard.links import links_of
from benchmark.leaderboard.same_tests import HELD_SHARE
from benchmark.leaderboard.speeds import Speeds, read_speeds
from benchmark.metrics.arrays import ranks
from benchmark.protocol import Protocol
from benchmark.results.average_record import joined_hash
from benchmark.results.comparison import common_videos
from benchmark.results.ledger import Ledger
from benchmark.results.record import Provenance, Record, Value
from benchmark.results.statistics import Paired, exchange_p_value
from benchmark.wording import counted

LEVEL = 0.002
"""Error rate of the test of each pair of a board, whatever else is on the board.

A rate that shrank with the number of pairs, as Holm's, would let anyone move ranks by adding entries.
"""


def read_boards(root: Path, ledgers: Path | None = None) -> list[Board]:
    """All boards of a leaderboards' folder, in a fixed order, claims last.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with large ledgers, named `<sha256>.parquet`.

    Raises:
        UserError: If an entry is not in order.
    """
    entries, problems, _ = check_entries(root, ledgers)
    if problems:
        count = counted(len(problems), "problem")
        raise UserError(f"{root} has {count}, which `leaderboard verify` lists; first: {problems[0]}")
    return boards_of(entries, read_claims(root), read_speeds(root))


def boards_of(entries: Sequence[Entry], claims: Sequence[Claims], speeds: Speeds | None = None) -> list[Board]:
    """Boards of entries that were checked: means of folds, with what is claimed of the same, single folds, claims.

    Raises:
        UserError: If two entries of a board contradict each other in labels or source groups.
    """
    together: dict[object, list[Entry]] = defaultdict(list)
    for entry in entries:
        together[entry.record.board].append(entry)
    boards = [_board(part) for part in together.values()]
    boards.sort(key=_order)
    claimed = [_claimed_board(table) for table in claims]
    first = mean_boards(entries, {board.identity.dataset for board in claimed})
    beside = {
        id(claim): mean for claim in claimed for mean in reversed(first) if claim.identity.dataset == _dataset_of(mean)
    }
    means = [b for mean in first for b in (mean, *(c for c in claimed if beside.get(id(c)) is mean))]
    found = _told_apart([*means, *boards, *(claim for claim in claimed if id(claim) not in beside)])
    return found if speeds is None else [with_speeds(board, speeds) for board in found]


def _told_apart(boards: Sequence[Board]) -> list[Board]:
    """The boards, none with the title of another."""
    times = Counter(board.title for board in boards)
    return [dataclasses.replace(board, has_twin=times[board.title] > 1) for board in boards]


def with_speeds(board: Board, speeds: Speeds) -> Board:
    """The same board with the speeds of its entries; a row of several has that of the first."""
    if board.protocol_hash is None:
        return board
    known = [speeds.entries.get(row.source.partition(", ")[0]) for row in board.rows]
    rows = [dataclasses.replace(row, clips_per_second=value) for row, value in zip(board.rows, known, strict=True)]
    return dataclasses.replace(board, rows=tuple(rows))


def mean_boards(entries: Sequence[Entry], claimed: Collection[str] = ()) -> list[Board]:
    """Boards of the means of folds, those first of which somebody claims something, then those of most rows."""
    boards = [mean_board(folds, held) for folds, held in configurations(entries)]
    boards.sort(
        key=lambda board: (_dataset_of(board) not in claimed, board.identity.dataset, -len(board.rows), _order(board))
    )
    return boards


def _dataset_of(mean: Board) -> str:
    """What claims call the dataset of a board over folds."""
    return f"{mean.identity.dataset}, mean of {counted(len(mean.folds or ()), 'fold')}"


def mean_board(folds: tuple[int, ...], held: Sequence[Configuration]) -> Board:
    """Rows of configurations that were tested on the same folds.

    Args:
        folds: The folds; a 0 where the data has none.
        held: The configurations.
    """
    standing = rank_configurations(held)
    rows = [_mean_row(one, rank) for one, rank in zip(held, standing.ranks, strict=True)]
    rows.sort(key=_place)
    record = held[0].entries[0].record
    return Board(
        dataclasses.replace(record.identity, fold=None),
        record.protocol_value.hash,
        in_words(record.protocol_value),
        tuple(rows),
        standing.detectable,
        standing.pair_detectable,
        folds,
    )


def _place(row: Row) -> tuple[bool, int, float, str]:
    return row.rank is None, row.rank or 0, -_hit1(row), row.entry_id


def _order(board: Board) -> tuple[object, ...]:
    of = board.identity
    return of.dataset, of.fold or 0, of.classes or (), board.protocol_hash or ""


def _board(entries: Sequence[Entry]) -> Board:
    record = entries[0].record
    standing = rank_entries(entries)
    rows = [_row(entry, rank) for entry, rank in zip(entries, standing.ranks, strict=True)]
    rows.sort(key=_place)
    protocol = record.protocol_value
    return Board(
        record.identity,
        protocol.hash,
        in_words(protocol),
        tuple(rows),
        standing.detectable,
        standing.pair_detectable,
    )


def _hit1(row: Row) -> float:
    return (row.metrics.get("video_hit1") or Value(value=None)).value or 0.0


def in_words(protocol: Protocol) -> str:
    """A protocol in one line."""
    seconds, frames = protocol.clip_seconds, f"{protocol.clip_frames} frames"
    lasting = frames if seconds is None else f"{frames} in {seconds:g} seconds"
    return (
        f"{counted(protocol.clips_per_video, 'clip')} of {lasting} a video, {counted(len(protocol.views), 'view')} of "
        f"each in frames of {protocol.frame_side}x{protocol.frame_side}, {protocol.averaging.replace('_', ' ')}, "
        f"sampler seed {protocol.sampler_seed}"
        + ("" if protocol.version == 1 else f", version {protocol.version}")
        + ("" if protocol.stored is None else f", stored as {protocol.stored}")
    )


@dataclasses.dataclass(frozen=True)
class Standing:
    """What came of comparing all pairs of a board.

    Args:
        ranks: Of each entry, or None for an entry without one.
        detectable: Difference of video Hit@1, 0 to 1, that the board's test would detect in 80% of cases between two
            of its entries, for the median pair; None without a pair of at least 11 sources.
        pair_detectable: The same for a test of one pair alone at 5%, as `compare` makes it.
    """

    ranks: tuple[int | None, ...]
    detectable: float | None
    pair_detectable: float | None


def rank_entries(entries: Sequence[Entry]) -> Standing:
    """Rank by video Hit@1: 1 if no entry is told apart as better, else 1 more than the last of those that are.

    Pairs are compared on the videos that both have, sources kept together, each at the same level: copies of an entry,
    and entries that are not better, change no other entry's rank. There is no rank for an entry without its ledger,
    one that saw test videos, and one that lacks more than 1% of the videos that another of the rest holds: not having
    the hard ones must not pay.

    Raises:
        UserError: If two entries contradict each other in labels or source groups.
    """
    able = {
        number: entry.ledger
        for number, entry in enumerate(entries)
        if entry.ledger is not None and entry.record.checkpoint.provenance != "contaminated"
    }
    held = {number: entries[number].record.dataset.held_videos for number in able}
    able = {number: ledger for number, ledger in able.items() if held[number] >= HELD_SHARE * max(held.values())}
    return _standing(
        len(entries), list(able), lambda one, other: _compare(entries[one], able[one], entries[other], able[other])
    )


def rank_configurations(held: Sequence[Configuration]) -> Standing:
    """The same of means of folds, for configurations of which every run could rank."""
    videos = [
        sum(entry.record.dataset.held_videos / len(runs) for runs in one.runs.values() for entry in runs)
        for one in held
    ]
    most = max((count for one, count in zip(held, videos, strict=True) if one.can_rank), default=0.0)
    able = [n for n, one in enumerate(held) if one.can_rank and videos[n] >= HELD_SHARE * most]
    return _standing(len(held), able, lambda one, other: compare_configurations(held[one], held[other]))


def _standing(count: int, able: Sequence[int], test: Callable[[int, int], tuple[Paired, float]]) -> Standing:
    """Ranks of `count` entries, of which those that are able are compared in pairs."""
    tests = {(one, other): test(one, other) for one, other in itertools.combinations(able, 2)}
    better: dict[int, set[int]] = {number: set() for number in able}
    for (one, other), (found, p_value) in tests.items():
        if p_value < LEVEL:
            better[other if found.difference > 0 else one].add(one if found.difference > 0 else other)
    places = longest_chains(better)
    known = [found for found, _ in tests.values() if found.is_known]
    return Standing(
        tuple(places.get(number) for number in range(count)),
        float(np.median([found.detectable(LEVEL) for found in known])) if known else None,
        float(np.median([found.detectable() for found in known])) if known else None,
    )


def longest_chains(better: Mapping[int, set[int]]) -> dict[int, int]:
    """1 + the length of the longest chain of better ones above each number.

    Args:
        better: The numbers that are better than each.
    """
    places = dict.fromkeys(better, 1)
    for _ in better:  # a chain is no longer than there are numbers, and so is a circle followed
        following = {n: 1 + max((places[above] for above in better[n]), default=0) for n in better}
        if following == places:
            break
        places = following
    return places


def _compare(first: Entry, one: Ledger, second: Entry, other: Ledger) -> tuple[Paired, float]:
    """The difference of video Hit@1 on the labelled videos of both, and the p-value that it is none."""
    try:
        one, other = common_videos(one, other)
    except UserError as error:
        raise UserError(f"{first.entry_id} and {second.entry_id} cannot be on one board: {error}") from None
    rows = np.flatnonzero(one.labels.any(1))
    labels = one.labels[rows]
    hits = [(ranks(ledger.scores[rows], labels) == 1).astype(np.float64) for ledger in (one, other)]
    differences, clusters = hits[0] - hits[1], one.clusters()[rows]
    return Paired.of_hits(differences, clusters), exchange_p_value(differences, clusters)


def tier_of(entry: Entry) -> Tier:
    """`audited` or `reproduced` where a listed maintainer has signed that, for this ledger, checkpoint and record."""
    if entry.ledger is None:
        return "claimed"
    if entry.is_audited:
        return "audited"
    return "reproduced" if entry.is_reproduced else "recomputed"


def _row(entry: Entry, rank: int | None) -> Row:
    record = entry.record
    return Row(
        entry_id=entry.entry_id,
        name=record.name,
        tier=tier_of(entry),
        rank=rank,
        metrics=shown_values(entry, record.metrics),
        source=entry.entry_id,
        decoded_only=None if record.decoded_only is None else shown_values(entry, record.decoded_only),
        videos=record.videos,
        failed_videos=len(record.failed_videos),
        held_share=record.dataset.held_share,
        provenance=record.checkpoint.provenance,
        gflop_per_clip=record.model.gflop_per_clip,
        parameters=record.model.parameters,
        precision=record.precision,
        hardware=record.hardware.in_words,
        created=record.created.date().isoformat(),
        deviation=deviation_of(record),
        confirmed_by=entry.confirmed_by,
        files_sha256=entry.files_sha256,
        links=links_of(entry),
    )


_TIERS: tuple[Tier, ...] = ("claimed", "recomputed", "reproduced", "audited")
_PROVENANCES: tuple[Provenance, ...] = ("contaminated", "unknown", "clean")


def _mean_row(held: Configuration, rank: int | None) -> Row:
    rows = [_row(entry, None) for entry in held.entries]
    first, records = rows[0], [entry.record for entry in held.entries]
    provenances = [record.checkpoint.provenance for record in records]
    shares = [row.held_share for row in rows if row.held_share is not None]
    confirmed = [row.confirmed_by for row in rows if row.confirmed_by is not None]
    return dataclasses.replace(
        first,
        entry_id=f"{first.entry_id}/folds",
        tier=min((row.tier for row in rows), key=_TIERS.index),
        rank=rank,
        metrics=held.metrics(),
        source=", ".join(row.entry_id for row in rows),
        links=tuple(Link(f"record {number}", row.links[0].address) for number, row in enumerate(rows, 1)),
        decoded_only=held.metrics(decoded=True) if any(record.decoded_only for record in records) else None,
        videos=sum(runs[0].record.videos for runs in held.runs.values()),
        failed_videos=sum(max(len(run.record.failed_videos) for run in runs) for runs in held.runs.values()),
        held_share=min(shares) if len(shares) == len(rows) else None,
        provenance=min(provenances, key=_PROVENANCES.index),
        precision=", ".join(sorted({record.precision for record in records})),
        hardware="; ".join(sorted({row.hardware for row in rows if row.hardware})),
        created=max(row.created for row in rows if row.created),
        deviation=next((row.deviation for row in rows if row.deviation), None),
        seeds=tuple(len(held.runs[fold]) for fold in sorted(held.runs)),
        spread=held.spread(),
        confirmed_by="; ".join(sorted(set(confirmed))) if len(confirmed) == len(rows) else None,
        files_sha256=joined_hash([row.files_sha256 or "" for row in rows]),
    )


def deviation_of(record: Record) -> str | None:
    """How far its pinned videos came out, where that is more than may be; None also where nobody looked."""
    if record.pins is None or record.pins.is_within:
        return None
    return f"read by {record.pins.decoder}, scored in {record.precision}: {record.pins}"


def _claimed_board(claims: Claims) -> Board:
    rows = [
        Row(
            entry_id=f"paper/{claims.source}/{claim.name}",
            name=claim.name,
            tier="claimed",
            rank=None,
            metrics=claim.metrics,
            source=claims.source,
            clips_per_second=claim.clips_per_second,
        )
        for claim in claims.rows
    ]
    return Board(Identity(claims.dataset, claims.fold, claims.classes), None, claims.protocol, tuple(rows))
