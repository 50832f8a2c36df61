"""Entries of the leaderboards on disk: which files there are, and whether they can be believed.

A root holds `<dataset>/<fold and subset>/<entry>/` with `record.json`, `ledger.parquet` and, where somebody scored the
videos again, `reproduction.json`; `paper/*.json` holds claims.
"""

import dataclasses
import datetime
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import UserError
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger, file_hash
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import LedgerFile, Plain, Record, Sha256, Value, check_against
from benchmark.results.summary import summarise

REPRODUCTION_NAME = "reproduction.json"
CLAIMS = "paper"
LARGEST_LEDGER_BYTES = 5_000_000
REPRODUCED_VIDEOS = 200

_TOLERANCE = 1e-6
_FILES = {RECORD_NAME, LEDGER_NAME, REPRODUCTION_NAME}


class Reproduction(BaseModel):
    """What came out when videos were scored again from their files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ledger_sha256: Sha256
    checkpoint_sha256: Sha256
    videos: int = Field(ge=1)
    all_videos: bool
    seed: int
    largest_difference: float = Field(ge=0)
    allowed_difference: float = Field(ge=0)
    created: datetime.datetime
    code: Plain

    @property
    def is_enough(self) -> bool:
        """Whether it lifts an entry to the tier *reproduced*."""
        return self.largest_difference <= self.allowed_difference and (
            self.all_videos or self.videos >= REPRODUCED_VIDEOS
        )


class Claim(BaseModel):
    """One claimed row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Plain
    metrics: dict[Plain, Value]
    clips_per_second: float | None = None


class Claims(BaseModel):
    """A table that somebody published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: Plain
    fold: int | None
    classes: tuple[Plain, ...] | None
    protocol: Plain
    source: Plain
    rows: tuple[Claim, ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A record and what lies beside it.

    Args:
        entry_id: Folder below the root, with forward slashes.
        record: The record.
        ledger: The ledger, or None where it lies elsewhere and was not given.
        reproduction: What came out when its videos were scored again, or None.
    """

    entry_id: str
    record: Record
    ledger: Ledger | None
    reproduction: Reproduction | None


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


def entry_folders(root: Path) -> list[Path]:
    """Folders that hold, or should hold, a record, in a fixed order."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give the leaderboards' folder as --root")
    return sorted(path for path in root.glob("*/*/*") if path.is_dir() and path.relative_to(root).parts[0] != CLAIMS)


def read_entries(root: Path, ledgers: Path | None = None) -> list[Entry]:
    """All entries below a root.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with ledgers that are too large to lie beside their records, named `<sha256>.parquet`.

    Raises:
        UserError: If a file is not what it should be.
    """
    return [_read_entry(root, folder, ledgers) for folder in entry_folders(root)]


def _read_entry(root: Path, folder: Path, ledgers: Path | None) -> Entry:
    record = Record.read(folder)
    path = ledger_path(folder, record, ledgers)
    return Entry(
        folder.relative_to(root).as_posix(),
        record,
        None if path is None else Ledger.read(path),
        _read_reproduction(folder),
    )


def ledger_path(folder: Path, record: Record, ledgers: Path | None = None) -> Path | None:
    """Where a record's ledger lies, or None if it is not at hand."""
    places = [folder / record.ledger.file]
    if ledgers is not None:
        places.append(ledgers / f"{record.ledger.sha256}.parquet")
    return next((path for path in places if path.is_file()), None)


def _read_reproduction(folder: Path) -> Reproduction | None:
    path = folder / REPRODUCTION_NAME
    if not path.exists():
        return None
    try:
        return Reproduction.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path} is no reproduction: {error.errors()[0]['msg']}") from None


def read_claims(root: Path) -> list[Claims]:
    """The claimed tables, in the order of their files' names.

    Raises:
        UserError: If a file is no table of claims.
    """
    found = []
    for path in sorted((root / CLAIMS).glob("*.json")):
        try:
            found.append(Claims.model_validate_json(path.read_bytes()))
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise UserError(f"{path} is no table of claims: {where}: {error.errors()[0]['msg']}") from None
    return found


def add_entry(run_dir: Path, root: Path, ledger_url: str | None = None) -> Path:
    """Check a finished test and copy its record and ledger to where they belong; returns the new folder.

    Args:
        run_dir: The test's run folder.
        root: The leaderboards' folder.
        ledger_url: Where the ledger can be fetched from, if it is too large to lie in the repository.

    Raises:
        UserError: If the test cannot be an entry; nothing is copied then.
    """
    record = Record.read(run_dir)
    path = ledger_path(run_dir, record)
    if path is None:
        raise UserError(f"{run_dir} has a record but no {record.ledger.file}; an entry needs the ledger behind it")
    problems = check_record(record, path)
    if problems:
        raise UserError(f"{run_dir} cannot be an entry: {'; '.join(problems)}")
    target = root / entry_folder(record)
    twins = (
        [entry.entry_id for entry in read_entries(root) if _same_scores(entry, Ledger.read(path))]
        if root.is_dir()
        else []
    )
    if target.exists() or twins:
        raise UserError(f"{run_dir} is an entry already: {twins[0] if twins else target}")
    is_large = path.stat().st_size > LARGEST_LEDGER_BYTES
    if is_large and ledger_url is None:
        raise UserError(
            f"{path} has {path.stat().st_size:,} bytes, and ledgers above {LARGEST_LEDGER_BYTES:,} stay out of the "
            "repository; put it where anyone can fetch it and pass --ledger_url https://..."
        )
    if ledger_url is not None:
        try:
            ledger = LedgerFile(file=record.ledger.file, sha256=record.ledger.sha256, url=ledger_url)
        except ValidationError as error:
            raise UserError(f"--ledger_url: {error.errors()[0]['msg']}") from None
        record = record.model_copy(update={"ledger": ledger})
    record.write(target / RECORD_NAME)
    if not is_large:
        shutil.copyfile(path, target / LEDGER_NAME)
    return target


def check_record(record: Record, ledger_file: Path) -> list[str]:
    """What is wrong between a record and its ledger; works every number out again."""
    if (found := file_hash(ledger_file)) != record.ledger.sha256:
        return [f"the ledger's SHA-256 is {found}, and the record says {record.ledger.sha256}"]
    try:
        ledger = Ledger.read(ledger_file)
    except UserError as error:
        return [str(error)]
    problems = check_against(record, ledger)
    if len(ledger) != ledger.info.held_videos:
        problems.append(f"it scored {len(ledger)} of {ledger.info.held_videos} videos; an entry scores all of them")
    # Intervals come from fixed draws, so they repeat as well; whether mAP has them is up to the test.
    with_map = any(name.startswith("map") and value.low is not None for name, value in record.metrics.items())
    metrics, decoded = summarise(ledger, map_intervals=with_map)
    for name, stated, worked_out in (
        ("", record.metrics, metrics),
        (" of decoded videos", record.decoded_only, decoded),
    ):
        problems += [f"{problem}{name}" for problem in _unequal(stated or {}, worked_out or {})]
    return problems


def _unequal(stated: dict[str, Value], worked_out: dict[str, Value]) -> list[str]:
    names = sorted(stated.keys() ^ worked_out.keys())
    problems = [
        f"{name} is {'stated but not in' if name in stated else 'missing but follows from'} the ledger"
        for name in names
    ]
    for name in sorted(stated.keys() & worked_out.keys()):
        for field in ("value", "low", "high"):
            one, other = getattr(stated[name], field), getattr(worked_out[name], field)
            if (one is None) != (other is None) or (one is not None and abs(one - other) > _TOLERANCE):
                label = name if field == "value" else f"the {field} end of {name}'s interval"
                problems.append(f"{label} is stated as {one}, and the ledger gives {other}")
    return problems


def _same_scores(entry: Entry, ledger: Ledger) -> bool:
    return entry.ledger is not None and content_hash(entry.ledger) == content_hash(ledger)


def content_hash(ledger: Ledger) -> str:
    """SHA-256 over names and scores, the same however the file was written."""
    ordered = ledger.table.sort_by("video_id")
    digest = hashlib.sha256("\n".join(ordered["video_id"].to_pylist()).encode())
    digest.update(Ledger(ledger.info, ordered).scores.tobytes())
    return digest.hexdigest()


def verify_entries(root: Path, ledgers: Path | None = None) -> tuple[list[str], list[str]]:
    """Check every entry.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with large ledgers, named `<sha256>.parquet`.

    Returns:
        What is wrong, and what could not be checked; one line each, beginning with the entry's folder.
    """
    problems, unchecked = [], []
    seen: dict[str, str] = {}
    for folder in entry_folders(root):
        name = folder.relative_to(root).as_posix()
        found, unsure = _verify_entry(root, folder, ledgers, seen)
        problems += [f"{name}: {line}" for line in found]
        unchecked += [f"{name}: {line}" for line in unsure]
    for path in sorted(root.glob("*/*")):
        if path.parent.name != CLAIMS and path.parent != root and path.is_file() and path.parent.parent == root:
            problems.append(f"{path.relative_to(root).as_posix()}: a file where only folders of entries belong")
    try:
        read_claims(root)
    except UserError as error:
        problems.append(str(error))
    return problems, unchecked


def _verify_entry(root: Path, folder: Path, ledgers: Path | None, seen: dict[str, str]) -> tuple[list[str], list[str]]:
    strange = sorted(path.name for path in folder.iterdir() if path.name not in _FILES or path.is_symlink())
    problems = [f"{file} does not belong here; an entry has {', '.join(sorted(_FILES))}" for file in strange]
    try:
        record, reproduction = Record.read(folder), _read_reproduction(folder)
    except UserError as error:
        return [*problems, str(error)], []
    if folder.relative_to(root) != entry_folder(record):
        problems.append(f"by its record it belongs into {entry_folder(record).as_posix()}")
    if reproduction is not None and (
        reproduction.ledger_sha256 != record.ledger.sha256 or reproduction.checkpoint_sha256 != record.checkpoint.sha256
    ):
        problems.append(f"{REPRODUCTION_NAME} is about another ledger or checkpoint")
    path = ledger_path(folder, record, ledgers)
    if path is None:
        if record.ledger.url is None:
            return [*problems, f"{record.ledger.file} is missing, and the record has no address for it"], []
        hint = f"fetch {record.ledger.url} as {record.ledger.sha256}.parquet and pass its folder as --ledgers"
        return problems, [f"the ledger is not at hand; {hint}"]
    problems += check_record(record, path)
    if not problems:
        content = content_hash(Ledger.read(path))
        if content in seen:
            problems.append(f"it has the same scores as {seen[content]}")
        seen.setdefault(content, folder.relative_to(root).as_posix())
    return problems, []


def write_reproduction(folder: Path, reproduction: Reproduction) -> Path:
    """Leave the outcome beside the record."""
    path = folder / REPRODUCTION_NAME
    held: dict[str, Any] = reproduction.model_dump(mode="json")
    path.write_text(json.dumps(held, indent=1) + "\n", "utf-8")
    return path
