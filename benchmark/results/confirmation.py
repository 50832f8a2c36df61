"""Whether a record's numbers follow from its ledger."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.metrics.descriptors import OF_EVERY_RECORD
from benchmark.results.clip_scores import ClipScores, denials
from benchmark.results.ledger import Ledger
from benchmark.results.record import METHOD, Record, Value, check_against

# Sums in another order, as another release of NumPy may take them, differ by less.
_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Confirmation:
    """What came of comparing a record with its ledger.

    Args:
        denied: One sentence for each thing that the ledger denies.
        confirmed: Number of values, with and without failed videos, that follow from the ledger.
        unchecked: Names of what was not worked out again.
    """

    denied: tuple[str, ...]
    confirmed: int
    unchecked: tuple[str, ...]


def confirm(
    record: Record, ledger: Ledger, sha256: str, metrics: Mapping[str, Value], decoded: Mapping[str, Value] | None
) -> Confirmation:
    """Compare a record with its ledger; its intervals only if they are made as intervals are made today.

    Args:
        record: What somebody says.
        ledger: The predictions.
        sha256: Of the ledger's file.
        metrics: Worked out from the ledger, failed videos counted as wrong.
        decoded: The same without failed videos, or None if none failed.
    """
    denied = check_against(record, ledger)
    if record.ledger.sha256 != sha256:
        denied.append(f"its ledger has the SHA-256 {record.ledger.sha256}, but the file's is {sha256}")
    if (record.decoded_only is None) != (decoded is None):
        denied.append("it has numbers without failed videos where none failed, or lacks them where some did")
    confirmed, unchecked = 0, []
    parts = (("", record.metrics, metrics), (" without failed videos", record.decoded_only or {}, decoded or {}))
    for suffix, said, found in parts:
        usual = [name for name in found if name.partition("/")[0] in OF_EVERY_RECORD]
        denied += [f"it lacks {name}{suffix}, which the ledger gives" for name in usual if name not in said]
        for name, value in said.items():
            if name not in found:
                unchecked.append(f"{name}{suffix}")
            elif not _equal(value.value, found[name].value):
                denied.append(f"its {name}{suffix} is {value.value}, but the ledger gives {found[name].value}")
            elif record.intervals != METHOD or (value.low is None and value.high is None):
                confirmed += 1
            elif found[name].low is None:
                confirmed += 1
                unchecked.append(f"interval of {name}{suffix}")
            elif not (_equal(value.low, found[name].low) and _equal(value.high, found[name].high)):
                interval = f"{found[name].low} to {found[name].high}"
                denied.append(
                    f"its interval of {name}{suffix} is {value.low} to {value.high}, but the ledger gives {interval}"
                )
            else:
                confirmed += 1
    return Confirmation(tuple(denied), confirmed, tuple(unchecked))


def check_clips(record: Record, ledger: Ledger, path: Path) -> tuple[list[str], list[str]]:
    """What the scores of single clips deny, and whether they could be looked at.

    Args:
        record: What somebody says.
        ledger: The predictions.
        path: Where the scores of clips would be.

    Returns:
        One sentence for each thing that is wrong; and what was not checked.
    """
    if record.clips is None:
        return ([f"{path.name} is not named in its record"] if path.is_file() else []), []
    if not path.is_file():
        return [], ["scores of single clips, whose file is not at hand"]
    if (found := file_hash(path)) != record.clips.sha256:
        return [f"the scores of its clips have the SHA-256 {record.clips.sha256}, but the file's is {found}"], []
    try:
        return denials(ClipScores.read(path), ledger), []
    except UserError as error:
        return [str(error)], []


def _equal(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else abs(one - other) <= _TOLERANCE
