"""Whether test videos were trained on, as far as the checkpoint and the declared training data can tell."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.commands.audit_findings import Finding, Outcome
from benchmark.commands.reproduction import other_provenance
from benchmark.content import shared
from benchmark.data.datamodule import VideoDataModule
from benchmark.models.stored import read_checkpoint
from benchmark.results.record import Provenance, Record
from benchmark.runs.provenance import declared_share, find_seen, find_seen_content, own_provenance
from benchmark.runs.seen_content import Overlap, overlap, own_content, unpacked
from benchmark.wording import counted

_MOST_STRANGE = 0.02
"""Share of the contents in a checkpoint that the declared training videos may lack, as where one was encoded anew."""


def training_findings(record: Record, checkpoint: Path, data: VideoDataModule) -> list[Finding]:
    """Compare test videos, declared training videos and what the checkpoint says that it has seen.

    Args:
        record: What was submitted.
        checkpoint: The weights.
        data: The recorded data.
    """
    held = read_checkpoint(str(checkpoint))
    by_name, by_content = find_seen(held, data.index), find_seen_content(held, data)
    found: Provenance = "contaminated" if by_name or by_content.is_too_much else own_provenance(held)
    said = f"{by_content.checked}; the record says {record.checkpoint.provenance}"
    if found != record.checkpoint.provenance:
        said = other_provenance(record, found)
    elif found == "contaminated":
        said = f"the checkpoint has seen test videos, as the record says: {by_content}"
    outcome: Outcome = "problem" if found != record.checkpoint.provenance else "holds"
    return [Finding("what the weights have seen", outcome, said), *_declared(held, data)]


def _declared(held: dict[str, Any], data: VideoDataModule) -> list[Finding]:
    """The declared training videos beside the test videos, and beside what the checkpoint names."""
    about = "declared training videos"
    own = own_content(data)
    tested: Overlap = overlap(own, data, "test")
    if tested.is_too_much:
        return [Finding(about, "problem", f"test videos show what they show: {tested}")]
    share = declared_share(held, data.index)
    if not share:
        return [Finding(about, "not judged", "the checkpoint names none of the record's, so it was trained elsewhere")]
    contents = unpacked((held.get("provenance") or {}).get("content"))
    strange = total = 0
    for name, part in contents.items():
        if name in own:
            pairs = shared(part.contents, own[name].contents)
            total += len(part.contents)
            strange += len(part.contents) - len(np.unique(pairs.first))
    said = f"the checkpoint names {share:.0%} of them; none shows what a test video shows"
    if share == 1 and strange > _MOST_STRANGE * total:
        return [
            Finding(
                about,
                "problem",
                f"of the {counted(total, 'video')} that it says it saw, {strange} "
                f"{'is' if strange == 1 else 'are'} none of those it names",
            )
        ]
    return [Finding(about, "holds", said)]
