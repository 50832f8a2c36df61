"""Boards: rows that may be compared, in order. What tables, the page and the W&B report are made from."""

import dataclasses
from typing import Literal

from benchmark.identity import Identity
from benchmark.results.record import Provenance, Value
from benchmark.wording import counted

Tier = Literal["claimed", "recomputed", "reproduced", "audited"]
"""How far a row can be trusted: somebody says so; its numbers follow from its ledger, which proves arithmetic only; its
ledger was made again from the videos and the checkpoint, in part or whole, as a listed maintainer has signed; and that
without a network, on videos whose names it could not know, with changed copies among them."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Standard deviations of a configuration's video Hit@1, 0 to 1; None where nothing tells.

    Args:
        between: Of its folds, each the mean of its seeds.
        seed: Of runs on one fold that differ in their seed.
        fold: Of folds, as far as neither seeds nor sources explain it.
        source: Of a fold, by which sources of videos it has.
    """

    between: float | None
    seed: float | None
    fold: float | None
    source: float | None


@dataclasses.dataclass(frozen=True)
class Link:
    """What a row leads to.

    Args:
        label: Such as `record`.
        address: Relative to the leaderboards' folder, or https; None where none is known.
    """

    label: str
    address: str | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One entry of a board.

    Args:
        entry_id: Unique on all boards; the entry's folder below the leaderboards' root.
        name: For people.
        tier: How far it can be trusted.
        rank: 1 if no row of its board is told apart as better, else 1 more than the last of those that are; None where
            nothing can be tested.
        metrics: Scores by name, and `map/<group>`, whichever are known.
        decoded_only: The same without failed videos; None if none failed.
        source: Where a claim was made, or the folder of the record and ledger.
        videos: Number of test videos; None for a claim.
        failed_videos: Number of them that could not be read.
        held_share: Share of the official test videos that were there, 0 to 1, or None.
        provenance: Whether its weights have seen test videos; None for a claim.
        clips_per_second: Of the network alone, one view a clip, as `leaderboard speed` measured it, or a claim says.
        gflop_per_clip: One view.
        parameters: Of the network.
        precision: Of the test.
        hardware: Of the test, for people.
        created: Day of the test, ISO 8601.
        seeds: Runs of each fold, where the row is the mean of several folds.
        spread: How much its folds and seeds differ, there.
        deviation: How far the pinned videos came out from what the protocol says, where that is more than may be.
        confirmed_by: Who says that videos were scored again and came out, of every run that the row is made from, and
            whether a listed key signed it.
        files_sha256: Of what the row is made from, the ledger apart, whose hash the record holds; of several runs, of
            their hashes line by line.
        links: To the files that it is made from, and to what its submitter names.
    """

    entry_id: str
    name: str
    tier: Tier
    rank: int | None
    metrics: dict[str, Value]
    source: str
    decoded_only: dict[str, Value] | None = None
    videos: int | None = None
    failed_videos: int = 0
    held_share: float | None = None
    provenance: Provenance | None = None
    clips_per_second: float | None = None
    gflop_per_clip: float | None = None
    parameters: int | None = None
    precision: str | None = None
    hardware: str | None = None
    created: str | None = None
    deviation: str | None = None
    seeds: tuple[int, ...] | None = None
    spread: Spread | None = None
    confirmed_by: str | None = None
    files_sha256: str | None = None
    links: tuple[Link, ...] = ()


@dataclasses.dataclass(frozen=True)
class Board:
    """Rows of equal protocol, dataset, fold and class subset.

    Args:
        identity: Dataset, fold and class subset.
        protocol_hash: Of the protocol; None for claims, whose protocol nobody can check.
        protocol: The protocol in words.
        rows: Best first; claims after the rest.
        detectable: Difference of video Hit@1, 0 to 1, that the test for ranks would detect in 80% of cases; None where
            there is nothing to test.
        pair_detectable: The same for a comparison of one pair alone.
        folds: Folds whose means the rows are, or None.
        has_twin: Whether another board is of the same dataset, fold and classes, by another protocol.
    """

    identity: Identity
    protocol_hash: str | None
    protocol: str
    rows: tuple[Row, ...]
    detectable: float | None = None
    pair_detectable: float | None = None
    folds: tuple[int, ...] | None = None
    has_twin: bool = False

    @property
    def title(self) -> str:
        """Dataset, fold or folds, and class subset; and the protocol where that tells it from another board."""
        shown = str(self.identity)
        if self.folds is not None:
            dataset = f"{self.identity.dataset}, mean of {counted(len(self.folds), 'fold')}"
            shown = str(dataclasses.replace(self.identity, dataset=dataset))
        if not self.has_twin:
            return shown
        return f"{shown}, {'as claimed' if self.protocol_hash is None else f'protocol {self.protocol_hash[:8]}'}"
