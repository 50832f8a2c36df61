"""Whether averages of ledgers follow from the ledgers of their members, where those are entries too."""

from collections.abc import Sequence

import numpy as np

from benchmark.leaderboard.entries import Entry
from benchmark.results.averaging import System, averaged, in_order

_TOLERANCE = 1e-6


def check_averages(entries: Sequence[Entry]) -> list[str]:
    """One line for each average that its members' ledgers deny; one with a member that is no entry is passed over."""
    held = {entry.record.ledger.sha256: entry for entry in entries if entry.ledger is not None}
    problems = []
    for entry in entries:
        average = entry.record.average
        parts = [] if average is None else [held.get(part.ledger_sha256 or "") for part in average.members]
        systems = [System(part.record, part.ledger) for part in parts if part is not None and part.ledger is not None]
        if average is None or entry.ledger is None or len(systems) < len(average.members):
            continue
        if {entry.ledger.info.class_names} != {system.ledger.info.class_names for system in systems} or any(
            {*system.ledger.video_ids} != {*entry.ledger.video_ids} for system in systems
        ):
            problems.append(f"{entry.entry_id}: its members are tests of other videos or classes")
            continue
        again = in_order(entry.ledger, averaged(systems, [member.weight for member in average.members]))
        # NaN where a video failed, in one as in the other.
        if not np.allclose(again.scores, entry.ledger.scores, rtol=0, atol=_TOLERANCE, equal_nan=True):
            problems.append(f"{entry.entry_id}: its scores are not the mean of those of its members")
        if [m.checkpoint_sha256 for m in average.members] != [s.record.checkpoint.sha256 for s in systems]:
            problems.append(f"{entry.entry_id}: its members' checkpoints are not those that their records name")
    return problems
