"""What a row of the leaderboards leads to."""

from benchmark.leaderboard.board import Link
from benchmark.leaderboard.entries import Entry
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Submission


def links_of(entry: Entry) -> tuple[Link, ...]:
    """The files of an entry, the code and the checkpoint that made it, and what its submitter names."""
    record, folder = entry.record, entry.entry_id
    sent = record.submission or Submission()
    commit = None if record.code.commit is None else record.code.commit[:8]
    changed = ", modified" if record.code.modified else ""
    return (
        Link("record and configuration", f"{folder}/{RECORD_NAME}"),
        Link("ledger", record.ledger.url or f"{folder}/{record.ledger.file}"),
        Link(f"code {commit or record.code.version}{changed}", sent.code),
        Link(f"checkpoint {record.checkpoint.sha256[:8]}", sent.checkpoint),
        *([Link("paper", sent.paper)] if sent.paper else []),
        Link(record.created.date().isoformat()),
        *([Link(f"by {sent.by}")] if sent.by else []),
    )
