"""The record: one small JSON a test, which says what was scored, how, by what, and what came out."""

import datetime
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError, field_serializer, model_validator

from benchmark.changes import changes
from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.identity import Identity
from benchmark.protocol import Protocol, View
from benchmark.results.fields import Count, FileName, Https, Part, Plain, Sha256, read_limited, storable
from benchmark.results.ledger import Ledger, LedgerInfo
from benchmark.results.pins import Pins
from benchmark.results.problems import first_problem
from benchmark.wording import counted

FILE_NAME = "record.json"

Provenance = Literal["clean", "contaminated", "unknown"]
"""Whether the checkpoint ever saw a test video or its source group: no; yes; nobody can tell."""

Intervals = Literal["percentile-bootstrap", "effective-size"]
"""How the intervals of a record were made: as before records said so, or as `results/statistics.py` makes them."""

METHOD: Intervals = "effective-size"

_LARGEST_BYTES = 64_000_000


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
    clip_seconds: float | None = None
    version: Count = 1
    stored: Plain | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        Protocol(**self.model_dump())
        return self


class Model(Part):
    """What scored it."""

    class_path: Plain
    options: Annotated[dict[Plain, Plain | int | float | bool | None], AfterValidator(storable)]
    parameters: Count
    gflop_per_clip: float | None = Field(ge=0)  # one view; a multiplication and an addition are two
    frame_offsets: tuple[Count, ...]  # none where whole videos are read
    input_side: Count | None


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

    @property
    def in_words(self) -> str:
        """GPU or processor, with its cores and processes."""
        parts = counted(self.cores, "core"), counted(self.processes, "process")
        return ", ".join([self.gpu or self.processor, *parts])


class Throughput(Part):
    """How fast it went, all processes together; the views of a clip are scored within it."""

    clips_per_second: float | None = Field(ge=0)
    compute_clips_per_second: float | None = Field(ge=0)


class LedgerFile(Part):
    """The predictions that the numbers follow from."""

    file: FileName
    sha256: Sha256
    url: Https | None = None  # where the file is if it is too large to be beside the record


class Member(Part):
    """A system whose class probabilities are part of an average."""

    name: Plain
    checkpoint_sha256: Sha256
    ledger_sha256: Sha256 | None  # None where networks were averaged while they scored, not their ledgers
    weight: float = Field(ge=0, le=1)


class Average(Part):
    """Of what an entry is the mean."""

    members: tuple[Member, ...] = Field(min_length=2)
    weights: Literal["equal", "given", "validation"]  # the last: chosen on validation predictions


class Submission(Part):
    """Who hands an entry in, and where what is behind it can be found."""

    by: Plain | None = None
    code: Https | None = None  # at its commit
    checkpoint: Https | None = None
    paper: Https | None = None


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
    pins: Pins | None = None  # older tests did not look
    config: Annotated[dict[str, Any], AfterValidator(storable)]
    ledger: LedgerFile
    average: Average | None = None  # None for a single system
    clips: LedgerFile | None = None  # scores of single clips, which older tests did not keep
    submission: Submission | None = None  # of an entry of the leaderboards

    @field_serializer("created")
    def _created(self, moment: datetime.datetime) -> str:
        return moment.astimezone(datetime.UTC).isoformat(timespec="seconds")

    @property
    def identity(self) -> Identity:
        """Dataset, fold and class subset."""
        return Identity(self.dataset.name, self.dataset.fold, self.dataset.classes)

    @property
    def board(self) -> tuple[Identity, str]:
        """What two records must share to be ranked together; the protocol's hash is worked out from its fields."""
        return self.identity, self.protocol_value.hash

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
    identity = result.identity
    protocol = result.protocol_value if isinstance(result, Record) else result.protocol
    fields = {f"protocol's {name}": getattr(protocol, name) for name in ProtocolFields.model_fields}
    subset = identity.classes or "all classes"
    return {"dataset": identity.dataset, "fold": identity.fold or "none", "class subset": subset, **fields}


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
