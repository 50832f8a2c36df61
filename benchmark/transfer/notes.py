"""What a reader of the tables of a transfer grid must know: what the cells share, and what differs from the paper."""

from collections.abc import Sequence
from typing import Any

from benchmark.results.record import Record
from benchmark.runs.facts import network_title
from benchmark.wording import counted

_PAPER = "SlowFusion, full, width 1.0"
_PAPER_TRAINING_CLIPS, _PAPER_TEST_CLIPS = 50, (20, 4)


def notes(records: Sequence[Record], cells: int, *, has_claims: bool) -> list[str]:
    """Lines to read before the tables.

    Args:
        records: Of the finished cells.
        cells: Number of cells of the grid.
        has_claims: Whether the paper's numbers are beside them.
    """
    lines = [f"{len(records)} of {counted(cells, 'cell is', 'cells are')} finished."]
    if not has_claims:
        lines.append(
            "The paper's numbers are not at hand: there is no leaderboards/paper in the working directory or beside "
            "the package, as in a checkout of its repository."
        )
    if not records:
        return lines
    data, kinds = records[0].dataset, {record.checkpoint.provenance for record in records}
    of = "all classes" if data.classes is None else f"{len(data.classes)} chosen classes ({', '.join(data.classes)})"
    lines.append(f"{data.name}, {of}; protocol {', '.join(sorted({r.protocol_hash for r in records}))}.")
    weights = _pretrained(records)
    begun = f"from pretrained weights {' and '.join(weights)} (SHA-256)" if weights else "without pretrained weights"
    lines.append(f"{'; '.join(_networks(records))}; {begun}.")
    shares = [share for record in records if (share := record.dataset.held_share) is not None]
    if shares and min(shares) < 1:
        lines.append(f"Down to {min(shares):.1%} of the official test videos of a fold are held.")
    if has_claims:
        lines.append(
            "The paper's numbers are of slow fusion at full width, pretrained on Sports-1M, trained on 50 and tested "
            f"on 20 clips of each video of UCF-101, all classes. Different here: {'; '.join(differences(records))}. "
            "They are here for orientation and cannot be ranked with these."
        )
    if failed := sum(len(record.failed_videos) for record in records):
        lines.append(f"{counted(failed, 'test video')} failed and {'counts' if failed == 1 else 'count'} as wrong.")
    if kinds != {"clean"}:
        lines.append(f"The weights are {' and '.join(sorted(kinds))}: not all are known to be clean.")
    lines.append(
        "Spread is the standard deviation from fold to fold. Comparisons pool the test videos of all folds, keep "
        "source groups together, and correct p for the number of pairs (Holm)."
    )
    return lines


def differences(records: Sequence[Record]) -> list[str]:
    """What is not as in the paper's Tables 3 and 4, or not known to be."""
    found = []
    if any(record.dataset.name != "UCF-101" or record.dataset.classes is not None for record in records):
        found.append("videos and classes")
    if any(network != _PAPER for network in _networks(records)):
        found.append("the network")
    if _pretrained(records):
        found.append("maybe the data pretrained on, which no record names")
    training = sorted({str(_training_clips(record)) for record in records})
    if training != [str(_PAPER_TRAINING_CLIPS)]:
        found.append(f"{' or '.join(training)} training clips of a video")
    test = sorted({(record.protocol.clips_per_video, len(record.protocol.views)) for record in records})
    if test != [_PAPER_TEST_CLIPS]:
        found.append(f"{' or '.join(f'{clips} test clips in {views} views' for clips, views in test)}")
    return [*found, "the recipe of training"]


def _networks(records: Sequence[Record]) -> list[str]:
    """Each network among the records."""
    return sorted({network_title(record.model.class_path, record.model.options) for record in records})


def _pretrained(records: Sequence[Record]) -> list[str]:
    """First digits of the hash of each file of weights that cells began with."""
    hashes = (record.model.options.get("transfer_pretrained_sha256") for record in records)
    return sorted({str(value)[:12] for value in hashes if value is not None})


def _training_clips(record: Record) -> Any:
    held: Any = record.config
    for name in ("data", "init_args", "clips_per_video", "train"):
        held = held.get(name) if isinstance(held, dict) else None
    return "an unknown number of" if held is None else held
