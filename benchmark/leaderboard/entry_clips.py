"""Scores of single clips of an entry: beside its ledger where they are small, else elsewhere or left out."""

from pathlib import Path

from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.confirmation import check_clips
from benchmark.results.ledger import Ledger
from benchmark.results.record import LedgerFile, Record


def check_entry_clips(
    folder: Path, record: Record, ledger: Ledger, ledgers: Path | None
) -> tuple[list[str], list[str]]:
    """What is wrong with the scores of an entry's clips, and what could not be checked."""
    path = folder / CLIPS_NAME
    if record.clips is not None and not path.is_file():
        if ledgers is not None and (elsewhere := ledgers / f"{record.clips.sha256}.parquet").is_file():
            path = elsewhere
        elif record.clips.url is None:
            return [f"{CLIPS_NAME} is missing, and the record has no address for it"], []
    denied, missing = check_clips(record, ledger, path)
    hint = "" if record.clips is None else f"; fetch {record.clips.url} as {record.clips.sha256}.parquet for --ledgers"
    return denied, [f"{line}{hint}" for line in missing]


def stored_clips(path: Path, record: Record, url: str | None, most_bytes: int) -> LedgerFile | None:
    """What an entry's record says of the scores of its clips: beside it, elsewhere, or nothing where they are large."""
    if record.clips is None or not path.is_file():
        return None
    if path.stat().st_size <= most_bytes:
        url = None
    elif url is None:
        return None
    return LedgerFile(file=CLIPS_NAME, sha256=record.clips.sha256, url=url)
