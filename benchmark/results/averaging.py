"""The mean of several systems' class probabilities, from their ledgers alone (section 4.1, the last row of Table 1).

Letters: V videos, K classes.
"""

import dataclasses
import datetime
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from benchmark.errors import UserError, printable
from benchmark.files import file_hash
from benchmark.results.ledger import FILE_NAME, SCHEMA, Ledger
from benchmark.results.record import (
    METHOD,
    Average,
    Checkpoint,
    Code,
    ContentCheck,
    Hardware,
    LedgerFile,
    Member,
    Model,
    Provenance,
    Record,
    Throughput,
    check_against,
    differences,
)
from benchmark.results.summary import summarise

CLASS_PATH = "benchmark.models.average.Average"
"""The network that averages while it scores; an average of ledgers is the same system."""

_LONGEST_NAME, _LONGEST_TEXT = 120, 200
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class System:
    """A test that is part of an average.

    Args:
        record: What it says of itself.
        ledger: Its predictions.
    """

    record: Record
    ledger: Ledger

    @classmethod
    def read(cls, path: Path) -> "System":
        """From a ledger with its record beside it, or their folder.

        Raises:
            UserError: If one of them is missing, or they do not belong together.
        """
        path = path / FILE_NAME if path.is_dir() else path
        ledger = Ledger.read(path)
        record = Record.read(path.parent)  # without it nobody knows what its weights are and have seen
        if record.ledger.sha256 != file_hash(path):
            raise UserError(f"{path} is not the ledger of the record beside it; take both from one test")
        if problems := check_against(record, ledger):
            raise UserError(f"{path} and the record beside it contradict each other: {'; '.join(problems)}")
        return cls(record, ledger)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.record.name


def require_alike(systems: Sequence[System], *, allow_contaminated: bool = False) -> None:
    """Refuse systems whose scores cannot be averaged, or that saw what they were tested on.

    Raises:
        UserError: With the name of the first that does not fit, and why.
    """
    if len(systems) < 2:
        raise UserError(f"an average is of two systems or more; {len(systems)} given")
    first, hashes = systems[0], set[str]()
    for system in systems:
        if system.record.ledger.sha256 in hashes:
            raise UserError(f"{system.name} is given twice; name each system once, and give it a weight instead")
        hashes.add(system.record.ledger.sha256)
        if system.record.checkpoint.provenance == "contaminated" and not allow_contaminated:
            raise UserError(
                f"{system.name} was trained or validated on videos that it was tested on, so the average was too; "
                "leave it out, or pass --allow_contaminated true, which marks the average as contaminated"
            )
        if reasons := _unlike(first.ledger, system.ledger):
            raise UserError(
                f"{system.name} cannot be averaged with {first.name}: {printable('; '.join(reasons))}. "
                "Members must be tests of the same videos under the same protocol"
            )


def _unlike(first: Ledger, other: Ledger) -> list[str]:
    """Why two ledgers are not of the same clips of the same videos; empty if they are."""
    reasons = differences(first.info, other.info)
    mine, theirs = first.info.class_names, other.info.class_names
    if mine != theirs:
        only = sorted({*mine} ^ {*theirs})
        what = f"only one has {', '.join(only[:_NAMED])}" if only else "they are in another order"
        reasons.append(f"they have {len(mine)} and {len(theirs)} classes, and {what}")
    lacking = sorted({*first.video_ids} ^ {*other.video_ids})
    if lacking:
        reasons.append(f"{len(lacking):,} videos are in only one of them, such as {', '.join(lacking[:_NAMED])}")
    if reasons:
        return reasons
    held, same = first.table, in_order(first, other).table
    for column, what in (
        ("labels", "other labels"),
        ("source_group", "another source"),
        ("clip_starts", "other clips"),
    ):
        pairs = zip(held[column].to_pylist(), same[column].to_pylist(), strict=True)
        # What only one of them knows is no contradiction: a source, or the clips of a video that failed elsewhere.
        unlike = [number for number, (one, two) in enumerate(pairs) if None not in (one, two) and one != two]
        if unlike:
            shown = ", ".join(first.video_ids[number] for number in unlike[:_NAMED])
            reasons.append(f"{len(unlike):,} videos have {what} in it, such as {shown}")
    return reasons


def in_order(first: Ledger, other: Ledger) -> Ledger:
    """The rows of the second in the order of the first."""
    if first.video_ids == other.video_ids:
        return other
    place = {name: number for number, name in enumerate(other.video_ids)}
    return other.select(np.array([place[name] for name in first.video_ids], np.int64))


def averaged(systems: Sequence[System], weights: Sequence[float]) -> Ledger:
    """The ledger of the weighted mean of class probabilities.

    A video that failed in one of them fails: a mean of the others would be another system. Ledgers do not hold what was
    said of single clips, so neither does their average.

    Args:
        systems: As `require_alike` lets them pass.
        weights: Of each, 0 to 1, with sum 1.
    """
    first = systems[0].ledger
    ledgers = [in_order(first, system.ledger) for system in systems]
    means = weighted_mean([ledger.scores for ledger in ledgers], weights)
    columns = {name: zip(*(ledger.table[name].to_pylist() for ledger in ledgers), strict=True) for name in SCHEMA.names}
    rows = []
    for name, labels, sources, starts, reasons, mean in zip(
        first.video_ids,
        first.table["labels"].to_pylist(),
        columns["source_group"],
        columns["clip_starts"],
        columns["reason"],
        means,
        strict=True,
    ):
        row = {"video_id": name, "labels": labels, "source_group": next(filter(None, sources), None)}
        if failed := {s.name: reason for s, reason in zip(systems, reasons, strict=True) if reason is not None}:
            rows.append({**row, "status": "failed", "reason": _why(failed, len(systems))})
        else:
            rows.append({**row, "status": "scored", "scores": mean.tolist(), "clip_starts": starts[0]})
    return Ledger(first.info, pa.Table.from_pylist(rows, SCHEMA))


def _why(failed: dict[str, str], systems: int) -> str:
    """Why a video failed, and in which systems unless it did in all for one reason."""
    reasons = set(failed.values())
    if len(failed) == systems and len(reasons) == 1:
        return reasons.pop()
    return "; ".join(f"in {name}: {reason}" for name, reason in failed.items())


def weighted_mean(scores: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Of arrays of one shape, summed in float64; float32."""
    total = np.zeros(scores[0].shape)
    for part, weight in zip(scores, weights, strict=True):
        total += weight * part.astype(np.float64)
    return total.astype(np.float32)


def record_of(
    systems: Sequence[System],
    weights: Sequence[float],
    ledger: Ledger,
    sha256: str,
    *,
    chosen: Literal["equal", "given", "validation"] = "equal",
    name: str | None,
    code: Code,
    libraries: dict[str, str],
) -> Record:
    """The record of an average of ledgers.

    Args:
        systems: Its members.
        weights: Of each, 0 to 1, with sum 1.
        ledger: What `averaged` made of them.
        sha256: Of the ledger's file.
        chosen: Where the weights come from.
        name: Of the entry; None joins the members' names.
        code: That averaged.
        libraries: Versions of what it used.
    """
    records, first = [system.record for system in systems], systems[0].record
    models = [record.model for record in records]
    costs = [model.gflop_per_clip for model in models]
    metrics, decoded = summarise(ledger)
    return first.model_copy(
        update={
            "name": name or joined_names([record.name for record in records]),
            "created": datetime.datetime.now(datetime.UTC),
            "metrics": metrics,
            "decoded_only": decoded,
            "intervals": METHOD,
            "videos": len(ledger),
            "failed_videos": ledger.failures(),
            "model": Model(
                class_path=CLASS_PATH,
                options={},
                parameters=sum(model.parameters for model in models),
                gflop_per_clip=None if None in costs else math.fsum(cost for cost in costs if cost is not None),
                frame_offsets=tuple(sorted({offset for model in models for offset in model.frame_offsets})),
                input_side=max(model.input_side for model in models),
            ),
            "checkpoint": Checkpoint(
                sha256=joined_hash([record.checkpoint.sha256 for record in records]),
                provenance=joined_provenance([record.checkpoint.provenance for record in records]),
                content=_joined_content([record.checkpoint.content for record in records]),
            ),
            "code": code,
            "hardware": _joined_hardware([record.hardware for record in records]),
            "precision": ", ".join(dict.fromkeys(record.precision for record in records)),
            "seed": first.seed if len({record.seed for record in records}) == 1 else None,
            "libraries": libraries,
            "throughput": Throughput(clips_per_second=None, compute_clips_per_second=None),  # nothing was timed
            "config": {},
            "ledger": LedgerFile(file=FILE_NAME, sha256=sha256),
            "average": Average(
                members=tuple(
                    Member(
                        name=record.name,
                        checkpoint_sha256=record.checkpoint.sha256,
                        ledger_sha256=record.ledger.sha256,
                        weight=weight,
                    )
                    for record, weight in zip(records, weights, strict=True)
                ),
                weights=chosen,
            ),
        }
    )


def joined_names(names: Sequence[str]) -> str:
    """A name for the average of systems."""
    whole = f"Average of {' + '.join(names)}"
    return whole if len(whole) <= _LONGEST_NAME else f"Average of {len(names)} systems"


def joined_hash(hashes: Sequence[str]) -> str:
    """One SHA-256 for several files, by theirs in their order."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def joined_provenance(parts: Sequence[Provenance]) -> Provenance:
    """Of weights that were averaged: contaminated if one of them is, else unknown if one of them is."""
    worst: tuple[Provenance, ...] = ("contaminated", "unknown", "clean")
    return next(each for each in worst if each in parts)


def _joined_content(parts: Sequence[ContentCheck | None]) -> ContentCheck | None:
    """What is known for all: members of one fold have seen the same videos, which are not to be counted twice."""
    held = [part for part in parts if part is not None]
    if len(held) < len(parts):
        return None
    fewest = {name: min(getattr(part, name) for part in held) for name in ("videos", "by_bytes", "by_print")}
    most = {name: max(getattr(part, name) for part in held) for name in ("against", "same_file", "alike")}
    return ContentCheck(**fewest, **most)


def _joined_hardware(parts: Sequence[Hardware]) -> Hardware:
    """Of the machines that scored."""
    if len(set(parts)) == 1:
        return parts[0]
    gpus = {part.gpu for part in parts}
    return Hardware(
        processor=", ".join(dict.fromkeys(part.processor for part in parts))[:_LONGEST_TEXT],
        cores=max(part.cores for part in parts),
        gpu=gpus.pop() if len(gpus) == 1 else None,
        processes=max(part.processes for part in parts),
    )
