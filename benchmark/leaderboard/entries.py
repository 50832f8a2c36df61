"""Entries of the leaderboards on disk: which files there are, and whether they can be believed.

A root holds `<dataset>/<fold and subset>/<entry>/` with `record.json`, `ledger.parquet` and, where somebody scored the
videos again, `reproduction.json` or `audit.json`, each with its signature.
"""

import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.leaderboard.audits import Audit
from benchmark.leaderboard.claims import CLAIMS
from benchmark.leaderboard.entry_clips import check_entry_clips, stored_clips
from benchmark.leaderboard.official import check_official
from benchmark.leaderboard.reproductions import Reproduction
from benchmark.leaderboard.same_tests import content_hash, other_videos
from benchmark.leaderboard.statements import MAINTAINERS_NAME, Signed, Statement, read_statement, signed_by
from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.clip_starts import impossible_clips
from benchmark.results.confirmation import check_clips, confirm
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import METHOD, LedgerFile, Record, Submission
from benchmark.results.summary import summarise
from benchmark.wording import counted

LARGEST_LEDGER_BYTES = 5_000_000

_STATEMENTS: tuple[type[Statement], ...] = (Reproduction, Audit)
_STATED = [name for kind in _STATEMENTS for name in (kind.file_name, kind.signature_name())]
_FILES = {RECORD_NAME, LEDGER_NAME, CLIPS_NAME, *_STATED}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A record and what is beside it.

    Args:
        entry_id: Folder below the root, with forward slashes.
        record: The record.
        ledger: The ledger, or None where it is elsewhere and was not given.
        reproduction: What came out when its videos were scored again, or None.
        signed: Who vouches for that, or None where it was not done.
        files_sha256: Of the record's file and of those of what is said about it, one after the other.
        audit: What came out when it was audited, or None.
        audit_signed: Who vouches for that, likewise.
    """

    entry_id: str
    record: Record
    ledger: Ledger | None
    reproduction: Reproduction | None
    signed: Signed | None = None
    files_sha256: str = ""
    audit: Audit | None = None
    audit_signed: Signed | None = None

    @property
    def is_reproduced(self) -> bool:
        """Whether a maintainer's signature says that the ledger came out of the videos and the checkpoint."""
        return self._is_proven(self.reproduction, self.signed)

    @property
    def is_audited(self) -> bool:
        """Whether a maintainer's signature says that it did so where the network could not know the videos."""
        return self._is_proven(self.audit, self.audit_signed)

    @property
    def confirmed_by(self) -> str | None:
        """Who vouches for its tier, or says so without a signature; None where nobody does."""
        if self.is_audited:
            return str(self.audit_signed)
        if self.signed is not None:
            return str(self.signed)
        return None if self.audit_signed is None else f"{self.audit_signed}, by an audit"

    def stated(self) -> list[tuple[Statement | None, Signed | None, bool]]:
        """What is said of it, who vouches for that, and whether it counts."""
        return [(self.reproduction, self.signed, self.is_reproduced), (self.audit, self.audit_signed, self.is_audited)]

    def _is_proven(self, found: Statement | None, signed: Signed | None) -> bool:
        return found is not None and signed is not None and signed.signature == "listed" and found.proves(self.record)


def entry_folder(record: Record) -> Path:
    """Where a record belongs, below the root."""
    dataset = record.dataset
    part = "all" if dataset.fold is None else f"fold{dataset.fold}"
    if dataset.classes is not None:
        part += f"-{len(dataset.classes)}classes-{_digest(json.dumps(dataset.classes))[:6]}"
    name = f"{_slug(record.name)}-{record.ledger.sha256[:10]}"
    return Path(_slug(dataset.name)) / part / name


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:60] or "unnamed"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check_entries(
    root: Path, ledgers: Path | None = None, maintainers: Path | None = None
) -> tuple[list[Entry], list[str], list[str]]:
    """Read every entry, work its numbers out again and look for what does not belong.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with ledgers that are too large to lie beside their records, named `<sha256>.parquet`.
        maintainers: List of the keys of those whose signature counts; the one in `root` by default.

    Returns:
        The entries that could be read; what is wrong; and what could not be checked, one line each.

    Raises:
        UserError: If there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give the leaderboards' folder as --root")
    entries, problems, unchecked = [], _strangers(root), []
    seen: dict[str, str] = {}
    firsts: dict[object, Entry] = {}
    for folder in _entry_folders(root):
        name = folder.relative_to(root).as_posix()
        try:
            entry = _read_entry(root, folder, ledgers, maintainers or root / MAINTAINERS_NAME)
        except (UserError, OSError) as error:
            problems.append(f"{name}: {error}")
            continue
        entries.append(entry)
        found = _check_entry(folder, entry, ledgers, seen)
        problems += [f"{name}: {line}" for line in found]
        if entry.ledger is not None:
            denied, missing = check_entry_clips(folder, entry.record, entry.ledger, ledgers)
            problems += [f"{name}: {line}" for line in denied]
            unchecked += [f"{name}: {line}" for line in missing]
            first = firsts.setdefault(entry.record.board, entry)
            if first.ledger is not None and (why := other_videos(entry.ledger, first.ledger)) is not None:
                problems.append(f"{name}: it cannot be on a board with {first.entry_id}: {why}")
        if entry.record.intervals != METHOD:
            unchecked.append(f"{name}: {_older(entry.record, folder)}")
        if entry.ledger is None and not found:
            hint = f"fetch {entry.record.ledger.url} as {entry.record.ledger.sha256}.parquet and pass its folder"
            unchecked.append(f"{name}: the ledger is not at hand; {hint} as --ledgers")
    return entries, problems, unchecked


def _older(record: Record, folder: Path) -> str:
    return (
        f"its intervals are of the older method {record.intervals}, which is not made any more; to renew them: "
        f"python -m benchmark rescore {folder} --update true"
    )


def _entry_folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*/*/*") if path.is_dir() and path.relative_to(root).parts[0] != CLAIMS)


def _strangers(root: Path) -> list[str]:
    """Links, and files where only folders of entries belong."""
    found = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_symlink():
            found.append(f"{path.relative_to(root).as_posix()}: a link, where only files and folders belong")
        elif path.is_file() and len(parts) > 1 and parts[0] != CLAIMS and (len(parts) != 4 or parts[3] not in _FILES):
            found.append(
                f"{path.relative_to(root).as_posix()} does not belong here; an entry has {', '.join(sorted(_FILES))}"
            )
    return found


def _read_entry(root: Path, folder: Path, ledgers: Path | None, maintainers: Path) -> Entry:
    record = Record.read(folder)
    path = ledger_path(folder, record, ledgers)
    hashed = file_hash(folder / RECORD_NAME)
    again, audit = read_statement(folder, Reproduction), read_statement(folder, Audit)
    signed, audit_signed = (
        None if found is None else signed_by(folder, found, hashed, maintainers) for found in (again, audit)
    )
    more = [folder / name for name in _STATED if (folder / name).is_file()]
    if more:  # all of it, as what follows a signature is nobody's
        hashed = _digest("".join([hashed, *map(file_hash, more)]))
    ledger = None if path is None else Ledger.read(path)
    return Entry(folder.relative_to(root).as_posix(), record, ledger, again, signed, hashed, audit, audit_signed)


def _check_entry(folder: Path, entry: Entry, ledgers: Path | None, seen: dict[str, str]) -> list[str]:
    record, problems = entry.record, []
    if Path(entry.entry_id) != entry_folder(record):
        problems.append(f"by its record it belongs into {entry_folder(record).as_posix()}")
    for kind, (found, signed, _) in zip(_STATEMENTS, entry.stated(), strict=True):
        if found is not None and not found.proves(record):
            problems.append(f"{kind.file_name} is about another ledger or checkpoint, or proves too little")
        if signed is not None and signed.signature == "wrong":
            problems.append(
                f"{kind.signature_name()} is of no listed maintainer, or of another {kind.file_name} or record"
            )
        if found is None and (folder / kind.signature_name()).exists():
            problems.append(f"{kind.signature_name()} is there without {kind.file_name}")
    path = ledger_path(folder, record, ledgers)
    if path is None or entry.ledger is None:
        if record.ledger.url is None:
            problems.append(f"{record.ledger.file} is missing, and the record has no address for it")
        return problems
    problems += check_record(record, entry.ledger, file_hash(path))
    twin = seen.setdefault(content_hash(entry.ledger), entry.entry_id)
    if twin != entry.entry_id:
        problems.append(f"it has the same scores as {twin}")
    return problems


def ledger_path(folder: Path, record: Record, ledgers: Path | None = None) -> Path | None:
    """Where a record's ledger is, or None if it is not at hand."""
    places = [folder / record.ledger.file]
    if ledgers is not None:
        places.append(ledgers / f"{record.ledger.sha256}.parquet")
    return next((path for path in places if path.is_file()), None)


def add_entry(
    run_dir: Path,
    root: Path,
    ledger_url: str | None = None,
    clips_url: str | None = None,
    submission: Submission | None = None,
) -> Path:
    """Check a finished test and copy its record and ledger to where they belong; returns the new folder.

    Args:
        run_dir: The test's run folder.
        root: The leaderboards' folder.
        ledger_url: Where the ledger can be fetched from, if it is too large to lie in the repository.
        clips_url: The same of the scores of clips, which a large entry does without otherwise.
        submission: Who hands it in, and where what is behind it is.

    Raises:
        UserError: If the test cannot be an entry; nothing is copied then.
    """
    record = Record.read(run_dir)
    path = ledger_path(run_dir, record)
    if path is None:
        raise UserError(f"{run_dir} has a record but no {record.ledger.file}; an entry needs its ledger")
    ledger, size = Ledger.read(path), path.stat().st_size
    if problems := [
        *check_record(record, ledger, file_hash(path)),
        *check_clips(record, ledger, run_dir / CLIPS_NAME)[0],
    ]:
        raise UserError(f"{run_dir} cannot be an entry: {'; '.join(problems)}")
    if record.intervals != METHOD:
        raise UserError(f"{run_dir} cannot be an entry yet: {_older(record, run_dir)}")
    target = root / entry_folder(record)
    if target.relative_to(root).parts[0] == CLAIMS:
        raise UserError(f"the dataset is called {record.dataset.name}; that folder is for claims. Rename the dataset")
    _check_beside(root, run_dir, record, ledger)
    is_large = size > LARGEST_LEDGER_BYTES
    if is_large and ledger_url is None:
        raise UserError(
            f"{path} has {size:,} bytes, and ledgers above {LARGEST_LEDGER_BYTES:,} stay out of the repository; put it "
            "where anyone can fetch it and pass --ledger_url https://..."
        )
    try:
        stored = LedgerFile(file=LEDGER_NAME, sha256=record.ledger.sha256, url=ledger_url or record.ledger.url)
        clips = stored_clips(run_dir / CLIPS_NAME, record, clips_url, LARGEST_LEDGER_BYTES)
    except ValidationError as error:
        raise UserError(f"--ledger_url or --clips_url: {error.errors()[0]['msg']}") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:  # so that an entry is there whole or not at all
        fresh = Path(scratch) / "entry"
        model = record.model.model_copy(update={"options": without_local_paths(record.model.options)})
        public = {"ledger": stored, "clips": clips, "model": model, "config": without_local_paths(record.config)}
        public["submission"] = submission or record.submission
        record.model_copy(update=public).write(fresh / RECORD_NAME)
        if not is_large:
            shutil.copyfile(path, fresh / LEDGER_NAME)
        if clips is not None and clips.url is None:
            shutil.copyfile(run_dir / CLIPS_NAME, fresh / CLIPS_NAME)
        if target.exists():
            raise UserError(f"{run_dir} is an entry already: {target}")
        fresh.rename(target)
    return target


def _check_beside(root: Path, run_dir: Path, record: Record, ledger: Ledger) -> None:
    """Refuse a test that is an entry, or cannot be on a board with one; of entries no numbers are worked out."""
    content = content_hash(ledger)
    for folder in _entry_folders(root):
        try:
            other = Record.read(folder)
            may_be_same, is_beside = other.videos == len(ledger), other.board == record.board
            path = ledger_path(folder, other) if may_be_same or is_beside else None
            held = None if path is None else Ledger.read(path)
        except (UserError, OSError):
            continue  # `verify` says what is wrong with it
        name = folder.relative_to(root).as_posix()
        if held is not None and may_be_same and content_hash(held) == content:
            raise UserError(f"{run_dir} is an entry already: {name}")
        if held is not None and is_beside and (why := other_videos(ledger, held)) is not None:
            raise UserError(f"{run_dir} cannot be on a board with {name}: {why}")


def without_local_paths(value: Any) -> Any:
    """A configuration in which absolute paths, which are nobody else's business, are cut down to their last name."""
    if isinstance(value, dict):
        return {name: without_local_paths(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_local_paths(part) for part in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value


def check_record(record: Record, ledger: Ledger, sha256: str) -> list[str]:
    """What is wrong between a record and its ledger; works every number out again.

    Args:
        record: What somebody says.
        ledger: The predictions.
        sha256: Of the ledger's file.
    """
    if not ledger.labels.any():
        return ["no video has a label, so there is nothing to rank"]
    # Whether mAP has intervals is up to the test.
    with_map = record.intervals == METHOD and any(
        name.startswith("map") and value.low is not None for name, value in record.metrics.items()
    )
    metrics, decoded = summarise(ledger, map_intervals=with_map)
    found = confirm(record, ledger, sha256, metrics, decoded)
    problems = [
        *found.denied,
        *(
            f"it has {name}, which the ledger does not give; a score of your own needs --scores"
            for name in found.unchecked
        ),
    ]
    problems += check_official(ledger)
    if moved := impossible_clips(ledger):
        problems.append(f"the clips of {counted(len(moved), 'video')} cannot be where it says, as {moved[0]}")
    if len(ledger) != ledger.info.held_videos:
        problems.append(f"it scored {len(ledger)} of {counted(ledger.info.held_videos, 'video')}; an entry scores all")
    return problems
