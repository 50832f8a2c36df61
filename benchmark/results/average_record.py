"""The record of an average of ledgers, joined from those of its members."""

import datetime
import hashlib
import math
from collections.abc import Sequence
from typing import Literal

from benchmark.results.averaging import System
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.pins import Pins
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
)
from benchmark.results.summary import summarise

CLASS_PATH = "benchmark.models.average.Average"
"""The network that averages while it scores; an average of ledgers is the same system."""

_LONGEST_NAME, _LONGEST_TEXT = 120, 200


def record_of(
    systems: Sequence[System],
    weights: Sequence[float],
    ledger: Ledger,
    sha256: str,
    *,
    chosen: Literal["equal", "given", "validation"] = "equal",
    clips: LedgerFile | None = None,
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
        clips: Where the scores of its clips are, or None.
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
                input_side=max((model.input_side for model in models if model.input_side is not None), default=None),
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
            "pins": _worst_pins([record.pins for record in records]),
            "config": {},
            "ledger": LedgerFile(file=FILE_NAME, sha256=sha256),
            "clips": clips,
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
            "submission": None,  # a member's is not the average's
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


def _worst_pins(parts: Sequence[Pins | None]) -> Pins | None:
    """Those of the member that is furthest off; None if nobody looked at one of them."""
    held = [part for part in parts if part is not None]
    if not held or len(held) < len(parts):
        return None
    return max(held, key=lambda part: (not part.is_within, part.grey_levels, part.probability))


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
