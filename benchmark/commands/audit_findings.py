"""What an audit concludes from scores, counts and speeds: each a line that holds, is a problem, or is not judged."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from benchmark.commands.blinding import Showing
from benchmark.leaderboard.audits import MOST_LOST, loses_too_many
from benchmark.metrics.arrays import ranks
from benchmark.results.record import Record
from benchmark.runs.operations import Work
from benchmark.wording import counted

Outcome = Literal["holds", "problem", "not judged"]

_LEAST_WORK = 0.8  # of the operations of a clip, that the same clip takes when it comes again
_FASTER = 1.5  # than an audit measures, from which on a recorded speed is doubted
_FORMATS = {"64": {"float64"}, "32": {"float32", "float64"}, "16": {"float16"}, "bf16": {"bfloat16"}}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of an audit.

    Args:
        about: What was looked at, in a word or two.
        outcome: What came of it.
        said: One clause.
    """

    about: str
    outcome: Outcome
    said: str


@dataclasses.dataclass(frozen=True)
class Copies:
    """How changed copies of videos were called, beside the videos themselves in the ledger.

    Args:
        copies: Their number.
        right: Videos called right in the ledger.
        lost: Of these, copies called wrong.
        gained: Copies called right of videos called wrong.
    """

    copies: int
    right: int
    lost: int
    gained: int

    @classmethod
    def of(cls, recorded: np.ndarray, copied: np.ndarray, labels: np.ndarray) -> "Copies":
        """Count.

        Args:
            recorded: (N, K) floating point, scores of the videos.
            copied: (N, K) of their copies, NaN where there is none.
            labels: (N, K) bool.
        """
        held = ~np.isnan(copied).any(1) & ~np.isnan(recorded).any(1) & labels.any(1)
        was, now = (ranks(scores[held], labels[held]) == 1 for scores in (recorded, copied))
        return cls(int(held.sum()), int(was.sum()), int((was & ~now).sum()), int((now & ~was).sum()))

    def finding(self) -> Finding:
        """Whether the videos were recognised by what they show."""
        too_many = loses_too_many(self.right, self.lost, self.gained)
        said = (
            f"of {counted(self.copies, 'video')} encoded again, cut and shifted, "
            f"{self.right} are right in the ledger; as copies "
            f"{self.lost} of these are wrong and {self.gained} others right"
        )
        if too_many:
            said += (
                f", more than the {MOST_LOST:.0%} that chance or frailty explain: it knows the files, not the scenes"
            )
        return Finding("changed copies", "problem" if too_many else "holds", said)


def largest(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of two (N, K) arrays of probabilities, 0 to 1; 1 where a row failed in one alone."""
    failed, failed_other = np.isnan(one).any(1), np.isnan(other).any(1)
    if (failed != failed_other).any():
        return 1.0
    differences = np.abs(one - other)[~failed]
    return float(differences.max()) if differences.size else 0.0


def agreement(about: str, said: str, difference: float, allowed: float) -> Finding:
    """Whether scores that should be equal are."""
    outcome: Outcome = "holds" if difference <= allowed else "problem"
    return Finding(about, outcome, f"{said}: largest difference of a class probability {difference:.2g} ({allowed:g})")


def possible_ranks(clips: np.ndarray, labels: np.ndarray, recorded: np.ndarray, allowed: float) -> int:
    """How many recorded ranks of clips cannot be, given scores that may be off by `allowed`.

    Args:
        clips: (N, C, K) floating point, class probabilities as they came out.
        labels: (N, K) bool.
        recorded: (N, C) ranks of the best true label, ties counted against it.
        allowed: Of a class probability.
    """
    truth = labels[:, None, :]
    best = np.where(truth, clips, -np.inf).max(2, keepdims=True)
    lead = np.where(truth, -np.inf, clips - best)
    lowest, highest = 1 + (lead > 2 * allowed).sum(2), 1 + (lead >= -2 * allowed).sum(2)
    return int(((recorded < lowest) | (recorded > highest))[labels.any(1)].sum())


def repeats_cost(showing: Showing, work: Sequence[Work]) -> Finding:
    """Whether clips that come again take the work that they took at first."""
    kinds = [{showing.files[row].kind == "repeat" for row in batch.rows} for batch in work]
    per_clip = []
    for again in (False, True):
        batches = [batch for batch, kind in zip(work, kinds, strict=True) if kind == {again} and batch.clips]
        clips = sum(batch.clips for batch in batches)
        per_clip.append(sum(batch.operations for batch in batches) / clips if clips else 0.0)
    first, later = per_clip
    if not first or not any(kind == {True} for kind in kinds):
        return Finding("repeats", "not judged", "the network does nothing that can be counted")
    said = f"a clip that comes again takes {later / first:.0%} of the operations that a new one takes"
    return Finding("repeats", "holds" if later >= _LEAST_WORK * first else "problem", said)


def formats(record: Record, work: Sequence[Work]) -> Finding:
    """Whether it computed in the precision that the record names."""
    kind, _, mode = record.precision.partition("-")
    allowed = _FORMATS.get(kind, set()) | (_FORMATS["32"] if mode == "mixed" else set())
    seen = sorted({name for batch in work for name in batch.formats if "float" in name})
    if not seen or not allowed:
        return Finding("precision", "not judged", f"{record.precision}, and nothing of it could be seen")
    wrong = sorted(set(seen) - allowed)
    said = f"scored in {', '.join(seen)}; the record says {record.precision}"
    return Finding("precision", "problem" if wrong else "holds", said)


def speed(record: Record, again: Record, is_busy: str | None) -> Finding:
    """Whether the recorded speed can be, where the audit ran on the same machine and nothing else did.

    The audit's own is measured while it scores, in the precision and batch of the record.

    Args:
        record: What was submitted.
        again: What the audit measured.
        is_busy: Why speeds cannot be measured now, or None.
    """
    claimed, found = record.throughput.compute_clips_per_second, again.throughput.compute_clips_per_second
    if claimed is None or not found:
        return Finding("speed", "not judged", "the record names none" if claimed is None else "none was measured")
    said = f"{claimed:.4g} clips/s of compute in the record, {found:.4g} while the audit scored"
    if again.hardware != record.hardware:
        return Finding("speed", "not judged", f"{said}, on another machine")
    if is_busy is not None:
        return Finding("speed", "not judged", f"{said}, on a machine that others use too")
    return Finding("speed", "problem" if claimed > _FASTER * found else "holds", said)
