"""The record: one small JSON a test, which says what was scored, how, by what, and what came out."""

import datetime
import json
import math
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_serializer

from benchmark.errors import UserError
from benchmark.protocol import Protocol
from benchmark.results.ledger import Ledger, LedgerInfo

FILE_NAME = "record.json"

Provenance = Literal["clean", "contaminated", "unknown"]
"""Whether the checkpoint ever saw a test video or its source group: no; yes; nobody can tell."""

# What a reader of a table sees; nothing that a terminal, a page or Markdown would take for anything but text.
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069<>\"`|\\]{1,200}")
_HASH = r"^[0-9a-f]{64}$"


def _plain(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        raise ValueError(f'{text[:80]!r} is empty, too long, or has control characters or one of < > " ` | \\')
    return text


def _inside(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or len(path.parts) != 1:
        raise ValueError(f"{text[:80]!r} is no file name; it must name a file in the record's own folder")
    return _plain(text)


def _https(text: str) -> str:
    if not re.fullmatch(r"https://[\w.-]+(:\d+)?/[\w./~%+@=-]*", text) or ".." in text:
        raise ValueError(f"{text[:80]!r} is no plain https address")
    return text


Plain = Annotated[str, AfterValidator(_plain)]
FileName = Annotated[str, AfterValidator(_inside)]
Https = Annotated[str, AfterValidator(_https)]
Sha256 = Annotated[str, Field(pattern=_HASH)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Part):
    """A number from 0 to 1 with its 95% interval; nothing where it cannot be had."""

    value: float | None = Field(ge=0, le=1)
    low: float | None = Field(default=None, ge=0, le=1)
    high: float | None = Field(default=None, ge=0, le=1)

    @classmethod
    def of(cls, value: float, low: float = math.nan, high: float = math.nan) -> Self:
        """A value in which NaN means that there is none."""
        return cls(**{name: None if math.isnan(v) else v for name, v in dict(value=value, low=low, high=high).items()})


class Dataset(_Part):
    """What was scored."""

    name: Plain
    fold: int | None
    classes: tuple[Plain, ...] | None  # chosen ones, or None for all
    fingerprint: Plain
    held_videos: int
    official_videos: int | None

    @property
    def held_share(self) -> float | None:
        """Share of the official test videos that were there."""
        return None if not self.official_videos else self.held_videos / self.official_videos


class ProtocolFields(_Part):
    """The protocol, field by field."""

    clip_frames: int
    frame_side: int
    sampler_seed: int
    clips_per_video: int
    views: tuple[Plain, ...]
    averaging: Plain


class Model(_Part):
    """What scored it."""

    class_path: Plain
    options: dict[Plain, Plain | int | float | bool | None]
    parameters: int = Field(ge=0)
    gflop_per_clip: float | None = Field(ge=0)  # one view; a multiplication and an addition are two
    frame_offsets: tuple[int, ...]
    input_side: int


class Checkpoint(_Part):
    """Where its weights come from."""

    sha256: Sha256
    provenance: Provenance


class Code(_Part):
    """The program."""

    version: Plain
    commit: Plain | None
    modified: bool | None  # whether the working tree differed from the commit


class Hardware(_Part):
    """The machine."""

    processor: Plain
    cores: int
    gpu: Plain | None
    processes: int


class Throughput(_Part):
    """How fast it went, all processes together; the views of a clip are scored within it."""

    clips_per_second: float | None
    compute_clips_per_second: float | None


class LedgerFile(_Part):
    """The predictions behind the numbers."""

    file: FileName
    sha256: Sha256
    url: Https | None = None  # where the file lies if it is too large to lie beside the record


class Record(_Part):
    """One test.

    `metrics` counts failed videos as wrong; `decoded_only` leaves them out and is there only if some failed.
    """

    record_version: Literal[1] = 1
    name: Plain
    created: datetime.datetime
    dataset: Dataset
    protocol: ProtocolFields
    protocol_hash: Plain
    metrics: dict[Plain, Value]
    decoded_only: dict[Plain, Value] | None
    videos: int
    failed_videos: dict[str, str]
    model: Model
    checkpoint: Checkpoint
    code: Code
    hardware: Hardware
    precision: Plain
    seed: int | None
    libraries: dict[Plain, Plain]
    throughput: Throughput
    config: dict[str, Any]
    ledger: LedgerFile

    @field_serializer("created")
    def _created(self, moment: datetime.datetime) -> str:
        return moment.astimezone(datetime.UTC).isoformat(timespec="seconds")

    @property
    def board(self) -> tuple[str, int | None, tuple[str, ...] | None, str]:
        """What two records must share to be ranked together; the protocol's hash is worked out anew."""
        return self.dataset.name, self.dataset.fold, self.dataset.classes, self.protocol_value.hash

    @property
    def protocol_value(self) -> Protocol:
        """The protocol as the object that it describes."""
        return Protocol(**self.protocol.model_dump())

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n", "utf-8")
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read a file that may come from anyone.

        Raises:
            UserError: If it is no record.
        """
        if path.is_dir():
            path = path / FILE_NAME
        if not path.is_file():
            raise UserError(f"there is no record {path}; give the {FILE_NAME} that a test has left, or its folder")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise UserError(f"{path} is no record: {where}: {first['msg']}") from None


def dataset_of(info: LedgerInfo) -> Dataset:
    """What a ledger says of its dataset."""
    return Dataset(
        name=info.dataset,
        fold=info.fold,
        classes=info.classes,
        fingerprint=info.fingerprint,
        held_videos=info.held_videos,
        official_videos=info.official_videos,
    )


def differences(first: Record, second: Record) -> list[str]:
    """Why two records cannot be ranked together, one sentence a difference; empty if they can."""
    found = []
    for name, one, other in (
        ("dataset", first.dataset.name, second.dataset.name),
        ("fold", first.dataset.fold, second.dataset.fold),
        ("class subset", _classes(first), _classes(second)),
        *(
            (f"protocol's {field}", getattr(first.protocol, field), getattr(second.protocol, field))
            for field in ProtocolFields.model_fields
        ),
    ):
        if one != other:
            found.append(f"the {name} is {one} in the first and {other} in the second")
    return found


def _classes(record: Record) -> str:
    names = record.dataset.classes
    return "all classes" if names is None else f"{len(names)} classes ({', '.join(names)})"


def check_against(record: Record, ledger: Ledger) -> list[str]:
    """What a record says of its ledger's dataset and protocol that the ledger denies."""
    found = []
    if record.dataset != dataset_of(ledger.info):
        found.append("its dataset, fold, class subset, fingerprint or number of videos is not the ledger's")
    if record.protocol_value != ledger.info.protocol:
        found.append("its protocol is not the ledger's")
    if record.protocol_hash != record.protocol_value.hash:
        found.append(f"its protocol_hash is {record.protocol_hash}, but the protocol's is {record.protocol_value.hash}")
    if record.videos != len(ledger) or record.failed_videos != ledger.failures():
        found.append("its number of videos or list of failed videos is not the ledger's")
    return found
