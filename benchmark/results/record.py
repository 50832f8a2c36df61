"""The record: one small JSON a test, which says what was scored, how, by what, and what came out."""

import datetime
import errno
import json
import math
import re
import stat
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

from benchmark.changes import changes
from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.protocol import Protocol, View
from benchmark.results.ledger import Ledger, LedgerInfo
from benchmark.results.problems import first_problem

FILE_NAME = "record.json"

Provenance = Literal["clean", "contaminated", "unknown"]
"""Whether the checkpoint ever saw a test video or its source group: no; yes; nobody can tell."""

Intervals = Literal["percentile-bootstrap", "effective-size"]
"""How the intervals of a record were made: as before records said so, or as `results/statistics.py` makes them."""

METHOD: Intervals = "effective-size"

# What a reader of a table sees; nothing that a terminal, a page or Markdown would take for anything but text.
_PLAIN = re.compile(
    r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff<>\"`|\\]{1,200}"
)
_HASH = r"^[0-9a-f]{64}$"


# To the eye they are blanks, though Unicode calls them letters and signs.
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
_JOINERS = "\u200c\u200d"  # Persian and Hindi are not written without them
_MOST_MARKS = 4  # in a row; Vietnamese and Hebrew have three on one letter
_LARGEST_BYTES = 64_000_000


def read_limited(path: Path, most: int = 1_000_000) -> bytes:
    """The bytes of a small file.

    Raises:
        OSError: If it cannot be read, has more than `most` bytes, or is no file, as a pipe that nobody writes to.
    """
    held = path.stat()
    if not stat.S_ISREG(held.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")
    if held.st_size > most:
        raise OSError(errno.EFBIG, f"it has {held.st_size:,} bytes; allowed are {most:,}")
    return path.read_bytes()


def _is_seen(text: str) -> bool:
    """Whether something of a text is there to be seen, and nothing in it draws over its neighbours."""
    seen = [sign for sign in text if sign not in _JOINERS]
    kinds = [unicodedata.category(sign) for sign in seen]
    marks = 0
    for kind in kinds:
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if marks > _MOST_MARKS or kind in {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}:
            return False
    return any(kind[0] in "LNPS" and sign not in _BLANKS for kind, sign in zip(kinds, seen, strict=True))


def _plain(text: str) -> str:
    if not (_PLAIN.fullmatch(text) and _is_seen(text)):
        raise ValueError(
            f'{text[:80]!r} is blank, too long, or has control characters, piles of marks, or one of < > " ` | \\'
        )
    return text


def _inside(text: str) -> str:
    if "/" in text or "\\" in text or text in {".", ".."}:
        raise ValueError(f"{text[:80]!r} is no file name; it must name a file in the record's own folder")
    return _plain(text)


def _https(text: str) -> str:
    if not re.fullmatch(r"https://[\w.-]+(:\d+)?/[\w./~%+@=-]{0,2000}", text, re.ASCII) or ".." in text:
        raise ValueError(f"{text[:80]!r} is no plain https address")
    return text


def _storable(value: Any) -> Any:
    """Refuse numbers that JSON cannot hold or other readers cannot read."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        _storable(part)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    if isinstance(value, int) and abs(value) >= 2**64:
        raise ValueError("an integer of more than 64 bits")
    return value


Plain = Annotated[str, AfterValidator(_plain)]
FileName = Annotated[str, AfterValidator(_inside)]
Https = Annotated[str, AfterValidator(_https)]
Sha256 = Annotated[str, Field(pattern=_HASH)]
Count = Annotated[int, Field(ge=0, le=2**53)]  # above that, readers in other languages round


class Part(BaseModel):
    """Data of strangers: exactly the fields named, of exactly their types, no infinity and no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Value(Part):
    """A number from 0 to 1 with its 95% interval; nothing where it cannot be had."""

    value: float | None = Field(ge=0, le=1)
    low: float | None = Field(default=None, ge=0, le=1)
    high: float | None = Field(default=None, ge=0, le=1)

    @classmethod
    def of(cls, value: float, low: float = math.nan, high: float = math.nan) -> Self:
        """A value in which NaN means that there is none."""
        return cls(**{name: None if math.isnan(v) else v for name, v in dict(value=value, low=low, high=high).items()})


class Dataset(Part):
    """What was scored."""

    name: Plain
    fold: Count | None
    classes: tuple[Plain, ...] | None  # chosen ones, or None for all
    fingerprint: Plain
    held_videos: Count
    official_videos: Count | None

    @property
    def held_share(self) -> float | None:
        """Share of the official test videos that were there."""
        return None if not self.official_videos else self.held_videos / self.official_videos


class ProtocolFields(Part):
    """The protocol, field by field."""

    clip_frames: Count
    frame_side: Count
    sampler_seed: Count
    clips_per_video: Count
    views: tuple[View, ...]
    averaging: Literal["mean_probability"]

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        Protocol(**self.model_dump())
        return self


class Model(Part):
    """What scored it."""

    class_path: Plain
    options: Annotated[dict[Plain, Plain | int | float | bool | None], AfterValidator(_storable)]
    parameters: Count
    gflop_per_clip: float | None = Field(ge=0)  # one view; a multiplication and an addition are two
    frame_offsets: tuple[Count, ...]
    input_side: Count


class ContentCheck(Part):
    """What was compared, by content, of the test videos and the videos that the weights have seen."""

    videos: Count  # tested
    by_bytes: Count  # of these, compared by the hash of their file
    by_print: Count  # of these, compared by what three frames show
    against: Count  # videos that the weights have seen whose content is known
    same_file: Count  # tested videos whose very file was seen
    alike: Count  # others that look like one that was seen


class Checkpoint(Part):
    """Where its weights come from."""

    sha256: Sha256
    provenance: Provenance
    content: ContentCheck | None = None  # older tests compared names alone


class Code(Part):
    """The program."""

    version: Plain
    commit: Plain | None
    modified: bool | None  # whether the working tree differed from the commit


class Hardware(Part):
    """The machine."""

    processor: Plain
    cores: Count
    gpu: Plain | None
    processes: Count


class Throughput(Part):
    """How fast it went, all processes together; the views of a clip are scored within it."""

    clips_per_second: float | None = Field(ge=0)
    compute_clips_per_second: float | None = Field(ge=0)


class LedgerFile(Part):
    """The predictions behind the numbers."""

    file: FileName
    sha256: Sha256
    url: Https | None = None  # where the file lies if it is too large to lie beside the record


class Record(Part):
    """One test.

    `metrics` counts failed videos as wrong; `decoded_only` leaves them out and is there only if some failed.
    """

    record_version: Literal[1] = 1
    name: Plain
    created: AwareDatetime
    dataset: Dataset
    protocol: ProtocolFields
    protocol_hash: Plain
    metrics: dict[Plain, Value]
    decoded_only: dict[Plain, Value] | None
    intervals: Intervals = "percentile-bootstrap"
    videos: Count
    failed_videos: dict[str, str]
    model: Model
    checkpoint: Checkpoint
    code: Code
    hardware: Hardware
    precision: Plain
    seed: int | None
    libraries: dict[Plain, Plain]
    throughput: Throughput
    config: Annotated[dict[str, Any], AfterValidator(_storable)]
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
        write_whole(path, json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")

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
            return cls.model_validate_json(read_limited(path, _LARGEST_BYTES))
        except ValidationError as error:
            raise UserError(f"{path} is no record: {first_problem(error)}") from None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error


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


def differences(first: Record | LedgerInfo, second: Record | LedgerInfo) -> list[str]:
    """Why two results cannot be ranked together, one clause a difference; empty if they can."""
    wording = "the {name} is {begun} in the first and {now} in the second"
    return changes(_compared(first), _compared(second), wording=wording)


def _compared(result: Record | LedgerInfo) -> dict[str, Any]:
    """What must agree, by its name for people."""
    dataset, fold, classes, _ = result.board
    protocol = result.protocol_value if isinstance(result, Record) else result.protocol
    fields = {f"protocol's {name}": getattr(protocol, name) for name in ProtocolFields.model_fields}
    return {"dataset": dataset, "fold": fold or "none", "class subset": classes or "all classes", **fields}


def check_against(record: Record, ledger: Ledger) -> list[str]:
    """What a record says of its ledger's dataset and protocol that the ledger denies."""
    try:
        dataset = dataset_of(ledger.info)
    except ValueError as error:
        return [f"its ledger names a dataset that no record can hold ({str(error).splitlines()[0]})"]
    found = []
    if record.dataset != dataset:
        found.append("its dataset, fold, class subset, fingerprint or number of videos is not the ledger's")
    if record.protocol_value != ledger.info.protocol:
        found.append("its protocol is not the ledger's")
    if record.protocol_hash != record.protocol_value.hash:
        found.append(f"its protocol_hash is {record.protocol_hash}, but the protocol's is {record.protocol_value.hash}")
    if record.videos != len(ledger) or record.failed_videos != ledger.failures():
        found.append("its number of videos or list of failed videos is not the ledger's")
    return found
