"""From entries and claims to boards: who ranks with whom, and where."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.protocol import Protocol
from benchmark.results.board import Board, Row, Tier
from benchmark.results.entries import Claims, Entry, read_claims, read_entries
from benchmark.results.ledger import Ledger
from benchmark.results.scores import ranks
from benchmark.results.statistics import holm, paired_p_value

LEVEL = 0.05


def read_boards(root: Path, ledgers: Path | None = None) -> list[Board]:
    """All boards of a leaderboards' folder, in a fixed order, claims last.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with large ledgers, named `<sha256>.parquet`.

    Raises:
        UserError: If a file is not what it should be.
    """
    together: dict[object, list[Entry]] = defaultdict(list)
    for entry in read_entries(root, ledgers):
        together[entry.record.board].append(entry)
    boards = [_board(entries) for entries in together.values()]
    boards.sort(key=lambda board: (board.dataset, board.fold or 0, board.classes or (), board.protocol_hash or ""))
    return [*boards, *(_claimed_board(claims) for claims in read_claims(root))]


def _board(entries: Sequence[Entry]) -> Board:
    record = entries[0].record
    places = rank_entries(entries)
    rows = [_row(entry, place) for entry, place in zip(entries, places, strict=True)]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0, -(row.metrics["video_hit1"].value or 0), row.entry_id))
    dataset = record.dataset
    protocol = record.protocol_value
    return Board(dataset.name, dataset.fold, dataset.classes, protocol.hash, in_words(protocol), tuple(rows))


def in_words(protocol: Protocol) -> str:
    """A protocol in one line."""
    return (
        f"{protocol.clips_per_video} clips of {protocol.clip_frames} frames a video, {len(protocol.views)} views of "
        f"each in frames of {protocol.frame_side}x{protocol.frame_side}, {protocol.averaging.replace('_', ' ')}, "
        f"sampler seed {protocol.sampler_seed}"
    )


def rank_entries(entries: Sequence[Entry]) -> list[int | None]:
    """1 + the number of entries significantly better in video Hit@1, at the 5% level over all pairs of a board.

    Pairs are compared on the videos that both have, source group by source group, and corrected after Holm. An entry
    without its ledger, or one that saw test videos, has no rank.
    """
    able = [
        n for n, e in enumerate(entries) if e.ledger is not None and e.record.checkpoint.provenance != "contaminated"
    ]
    hits = {n: _hits(ledger) for n in able if (ledger := entries[n].ledger) is not None}
    pairs = list(itertools.combinations(able, 2))
    tests = [_compare(hits[one], hits[other]) for one, other in pairs]
    adjusted = holm([p_value for p_value, _ in tests])
    better: dict[int, int] = dict.fromkeys(able, 0)
    for (one, other), p_value, (_, difference) in zip(pairs, adjusted, tests, strict=True):
        if p_value < LEVEL:
            better[other if difference > 0 else one] += 1
    return [1 + better[n] if n in better else None for n in range(len(entries))]


def _hits(ledger: Ledger) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names, video-level hits and source groups of the labelled videos, ordered by name."""
    labels = ledger.labels
    names, hit = np.array(ledger.video_ids), ranks(ledger.scores, labels) == 1
    rows = np.flatnonzero(labels.any(1))
    rows = rows[np.argsort(names[rows])]
    return names[rows], hit[rows].astype(np.float64), ledger.clusters()[rows]


def _compare(
    one: tuple[np.ndarray, np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[float, float]:
    """P-value and mean difference on the videos of both."""
    _, mine, theirs = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    if not len(mine):
        return 1.0, 0.0
    differences = one[1][mine] - other[1][theirs]
    clusters = np.unique(one[2][mine], return_inverse=True)[1]
    return paired_p_value(differences, clusters), float(differences.mean())


def tier_of(entry: Entry) -> Tier:
    """`reproduced` if enough of its videos were scored again from the files, with this ledger and checkpoint."""
    found = entry.reproduction
    is_about_it = (
        found is not None
        and found.ledger_sha256 == entry.record.ledger.sha256
        and found.checkpoint_sha256 == entry.record.checkpoint.sha256
    )
    if found is not None and is_about_it and found.is_enough:
        return "reproduced"
    return "recomputed" if entry.ledger is not None else "claimed"


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
