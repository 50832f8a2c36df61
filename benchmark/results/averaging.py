"""The mean of several systems' class probabilities, from their ledgers alone (section 4.1, the last row of Table 1).

Letters: V videos, K classes.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmark.errors import UserError, printable
from benchmark.files import file_hash
from benchmark.results.calibration import best_weights
from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.clip_scores import SPLITS, ClipScores, Said, clip_ranks, clips_beside
from benchmark.results.confirmation import check_clips
from benchmark.results.ledger import FILE_NAME, SCHEMA, Ledger
from benchmark.results.record import (
    Record,
    check_against,
    differences,
)
from benchmark.wording import counted

_NAMED = 3


@dataclasses.dataclass(frozen=True)
class System:
    """A test that is part of an average.

    Args:
        record: What it says of itself.
        ledger: Its predictions.
        clips: What was said of single clips and of validation videos, or None where that was not kept.
    """

    record: Record
    ledger: Ledger
    clips: ClipScores | None = None

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
        if problems := check_clips(record, ledger, path.with_name(CLIPS_NAME))[0]:
            raise UserError(f"{path.with_name(CLIPS_NAME)}: {'; '.join(problems)}")
        return cls(record, ledger, clips_beside(path, ledger))

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
        reasons.append(
            f"{counted(len(lacking), 'video is', 'videos are')} in only one "
            f"of them, such as {', '.join(lacking[:_NAMED])}"
        )
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
            reasons.append(f"{counted(len(unlike), 'video has', 'videos have')} {what} in it, such as {shown}")
    return reasons


def in_order(first: Ledger, other: Ledger) -> Ledger:
    """The rows of the second in the order of the first."""
    if first.video_ids == other.video_ids:
        return other
    place = {name: number for number, name in enumerate(other.video_ids)}
    return other.select(np.array([place[name] for name in first.video_ids], np.int64))


def averaged(systems: Sequence[System], weights: Sequence[float], clips: ClipScores | None = None) -> Ledger:
    """The ledger of the weighted mean of class probabilities.

    A video that failed in one of them fails: a mean of the others would be another system.

    Args:
        systems: As `require_alike` lets them pass.
        weights: Of each, 0 to 1, with sum 1.
        clips: What `averaged_clips` gives; without it the ledger has no clip level.
    """
    first = systems[0].ledger
    ledgers = [in_order(first, system.ledger) for system in systems]
    said = None if clips is None else clips.said("test")
    ranks = {} if said is None else dict(zip(said.video_ids, clip_ranks(said).tolist(), strict=True))
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
        if failed := [(s.name, reason) for s, reason in zip(systems, reasons, strict=True) if reason is not None]:
            rows.append({**row, "status": "failed", "reason": _why(failed, len(systems))})
        else:
            scored = {"scores": mean.tolist(), "clip_starts": starts[0], "clip_ranks": ranks.get(name)}
            rows.append({**row, "status": "scored", **scored})
    return Ledger(first.info, pa.Table.from_pylist(rows, SCHEMA))


def averaged_clips(systems: Sequence[System], weights: Sequence[float]) -> ClipScores | None:
    """The same of single clips and of validation videos; None where a system did not keep them."""
    kept = [system.clips for system in systems if system.clips is not None]
    if len(kept) < len(systems):
        return None
    found = {split: _averaged_split([clips.said(split) for clips in kept], weights) for split in SPLITS}
    return ClipScores.of(systems[0].ledger.info.class_names, {s: said for s, said in found.items() if said is not None})


def _averaged_split(parts: Sequence[Said], weights: Sequence[float]) -> Said | None:
    """Of the videos that all have read, in the first one's order; None where they are of other videos or clips."""
    common = set.intersection(*({*part.video_ids} for part in parts))
    names = [name for name in parts[0].video_ids if name in common]
    rows = []
    for part in parts:
        place = {name: row for row, name in enumerate(part.video_ids)}
        rows.append(np.array([place[name] for name in names], np.int64))
    scores = [part.scores[chosen] for part, chosen in zip(parts, rows, strict=True)]
    labels = [part.labels[chosen] for part, chosen in zip(parts, rows, strict=True)]
    if not names or len({part.shape for part in scores}) > 1 or any((part != labels[0]).any() for part in labels):
        return None
    return Said(names, labels[0], weighted_mean(scores, weights))


def validated_weights(systems: Sequence[System]) -> list[float]:
    """Weights with which the average is most likely right on the validation videos.

    Raises:
        UserError: If a system kept no predictions of validation videos, or they are not of the same ones.
    """
    parts = list[Said]()
    for system in systems:
        said = None if system.clips is None else system.clips.said("validation")
        if said is None or not said.video_ids:
            raise UserError(
                f"{system.name} kept no predictions of validation videos, which weights are chosen on; test it again, "
                "or take --weights equal"
            )
        if parts and said.video_ids != parts[0].video_ids:
            raise UserError(f"{system.name} was validated on other videos than {systems[0].name}; take --weights equal")
        parts.append(said)
    return best_weights([said.video_scores for said in parts], parts[0].labels)


def _why(failed: Sequence[tuple[str, str]], systems: int) -> str:
    """Why a video failed, from the name and reason of each system in which it did; alone if it did in all for one."""
    reasons = {reason for _, reason in failed}
    if len(failed) == systems and len(reasons) == 1:
        return reasons.pop()
    return "; ".join(dict.fromkeys(f"in {name}: {reason}" for name, reason in failed))


def weighted_mean(scores: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Of arrays of one shape, summed in float64; float32."""
    total = np.zeros(scores[0].shape)
    for part, weight in zip(scores, weights, strict=True):
        total += weight * part.astype(np.float64)
    return total.astype(np.float32)
