"""From entries and claims to boards: who ranks with whom, and where."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import UserError
from benchmark.leaderboard.board import Board, Row, Tier
from benchmark.leaderboard.claims import Claims, read_claims
from benchmark.leaderboard.entries import Entry, check_entries
from benchmark.metrics.arrays import ranks
from benchmark.protocol import Protocol
from benchmark.results.comparison import common_videos
from benchmark.results.ledger import Ledger
from benchmark.results.record import Value
from benchmark.results.statistics import holm, paired_p_value

LEVEL = 0.05
HELD_SHARE = 0.99


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
        raise UserError(f"{root} has {len(problems)} problems, which `leaderboard verify` lists; first: {problems[0]}")
    return boards_of(entries, read_claims(root))


def boards_of(entries: Sequence[Entry], claims: Sequence[Claims]) -> list[Board]:
    """Boards of entries that were checked, in a fixed order, claims last.

    Raises:
        UserError: If two entries of a board contradict each other in labels or source groups.
    """
    together: dict[object, list[Entry]] = defaultdict(list)
    for entry in entries:
        together[entry.record.board].append(entry)
    boards = [_board(part) for part in together.values()]
    boards.sort(key=lambda board: (board.dataset, board.fold or 0, board.classes or (), board.protocol_hash or ""))
    return [*boards, *(_claimed_board(table) for table in claims)]


def _board(entries: Sequence[Entry]) -> Board:
    record = entries[0].record
    places = rank_entries(entries)
    rows = [_row(entry, place) for entry, place in zip(entries, places, strict=True)]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0, -_hit1(row), row.entry_id))
    dataset = record.dataset
    protocol = record.protocol_value
    return Board(dataset.name, dataset.fold, dataset.classes, protocol.hash, in_words(protocol), tuple(rows))


def _hit1(row: Row) -> float:
    return (row.metrics.get("video_hit1") or Value(value=None)).value or 0.0


def in_words(protocol: Protocol) -> str:
    """A protocol in one line."""
    return (
        f"{protocol.clips_per_video} clips of {protocol.clip_frames} frames a video, {len(protocol.views)} views of "
        f"each in frames of {protocol.frame_side}x{protocol.frame_side}, {protocol.averaging.replace('_', ' ')}, "
        f"sampler seed {protocol.sampler_seed}"
    )


def rank_entries(entries: Sequence[Entry]) -> list[int | None]:
    """1 + the number of entries significantly better in video Hit@1, at the 5% level over all pairs of a board.

    Pairs are compared on the videos that both have, source group by source group, and corrected after Holm. There is no
    rank for an entry without its ledger, one that saw test videos, and one that lacks more than 1% of the videos that
    another entry holds: not having the hard ones must not pay.

    Raises:
        UserError: If two entries contradict each other in labels or source groups.
    """
    most = max(entry.record.dataset.held_videos for entry in entries)
    able = {
        number: entry.ledger
        for number, entry in enumerate(entries)
        if entry.ledger is not None
        and entry.record.checkpoint.provenance != "contaminated"
        and entry.record.dataset.held_videos >= HELD_SHARE * most
    }
    pairs = list(itertools.combinations(able, 2))
    tests = [_compare(entries[one], able[one], entries[other], able[other]) for one, other in pairs]
    adjusted = holm([p_value for p_value, _ in tests])
    better: dict[int, int] = dict.fromkeys(able, 0)
    for (one, other), p_value, (_, difference) in zip(pairs, adjusted, tests, strict=True):
        if p_value < LEVEL:
            better[other if difference > 0 else one] += 1
    return [1 + better[n] if n in better else None for n in range(len(entries))]


def _compare(first: Entry, one: Ledger, second: Entry, other: Ledger) -> tuple[float, float]:
    """P-value and mean difference of video Hit@1 on the labelled videos of both."""
    try:
        one, other = common_videos(one, other)
    except UserError as error:
        raise UserError(f"{first.entry_id} and {second.entry_id} cannot stand on one board: {error}") from None
    rows = np.flatnonzero(one.labels.any(1))
    labels = one.labels[rows]
    hits = [(ranks(ledger.scores[rows], labels) == 1).astype(np.float64) for ledger in (one, other)]
    clusters = np.unique(one.clusters()[rows], return_inverse=True)[1]
    differences = hits[0] - hits[1]
    return paired_p_value(differences, clusters), float(differences.mean()) if len(rows) else 0.0


def tier_of(entry: Entry) -> Tier:
    """`reproduced` if enough of its videos were scored again from the files, with this ledger and checkpoint."""
    if entry.ledger is None:
        return "claimed"
    found = entry.reproduction
    return "reproduced" if found is not None and found.proves(entry.record) else "recomputed"


def _row(entry: Entry, rank: int | None) -> Row:
    record = entry.record
    hardware = record.hardware
    return Row(
        entry_id=entry.entry_id,
        name=record.name,
        tier=tier_of(entry),
        rank=rank,
        metrics=record.metrics,
        source=entry.entry_id,
        decoded_only=record.decoded_only,
        videos=record.videos,
        failed_videos=len(record.failed_videos),
        held_share=record.dataset.held_share,
        provenance=record.checkpoint.provenance,
        clips_per_second=record.throughput.clips_per_second,
        gflop_per_clip=record.model.gflop_per_clip,
        parameters=record.model.parameters,
        precision=record.precision,
        hardware=f"{hardware.gpu or hardware.processor}, {hardware.cores} cores, {hardware.processes} processes",
        created=record.created.date().isoformat(),
    )


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
    return Board(claims.dataset, claims.fold, claims.classes, None, claims.protocol, tuple(rows))
