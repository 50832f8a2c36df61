"""The ledger: one Parquet file a test, with every score that its numbers follow from.

One row a video: what is true of it, what the model said, or why it could not be read. Letters: V videos, K classes.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from benchmark.errors import UserError
from benchmark.files import file_hash, whole
from benchmark.identity import Identity
from benchmark.protocol import Protocol
from benchmark.results.ledger_size import read_bounded
from benchmark.results.problems import first_problem
from benchmark.wording import counted

FILE_NAME = "ledger.parquet"

_METADATA = b"clipbench.ledger"
_FORMAT = 1

# Columns, one row a video. The scores are plain lists: of a fixed size, and one of them null, they need pyarrow 26.
SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("labels", pa.list_(pa.int32()), nullable=False),  # class numbers, 0-based
        pa.field("source_group", pa.string()),  # "Archery/g01"; null where unknown
        pa.field("status", pa.string(), nullable=False),  # scored or failed
        pa.field("reason", pa.string()),  # why a video failed
        pa.field("scores", pa.list_(pa.float32())),  # K mean class probabilities; null if failed
        pa.field("clip_starts", pa.list_(pa.int32())),  # first source frames; none where videos are read whole
        pa.field("clip_ranks", pa.list_(pa.int32())),  # rank of each clip's best true label, 1 to K + 1; or all null
    ]
)

# Rows looked at together where a copy of all scores would be large.
_ROWS_AT_ONCE = 16_384
_MOST_SCORES = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class LedgerInfo:
    """What all rows of a ledger share.

    Args:
        dataset: Name of the dataset.
        fold: Official fold, 1-based, or None.
        classes: Names of the chosen classes, or None for all of them.
        fingerprint: Of the videos held.
        held_videos: Test videos whose file is there.
        official_videos: Test videos of the official list for the chosen classes, or None if there is no list.
        class_names: K names.
        class_groups: K names of the classes' groups, or None.
        protocol: How the videos were scored.
    """

    dataset: str
    fold: int | None
    classes: tuple[str, ...] | None
    fingerprint: str
    held_videos: int
    official_videos: int | None
    class_names: tuple[str, ...]
    class_groups: tuple[str, ...] | None
    protocol: Protocol

    @property
    def identity(self) -> Identity:
        """Dataset, fold and class subset."""
        return Identity(self.dataset, self.fold, self.classes)

    @property
    def board(self) -> tuple[Identity, str]:
        """What two results must share to be ranked together: dataset, fold, class subset, and the protocol's hash."""
        return self.identity, self.protocol.hash

    def groups(self) -> dict[str, list[int]]:
        """Class numbers of each group, in order of first appearance; empty without groups."""
        members: dict[str, list[int]] = {}
        for number, group in enumerate(self.class_groups or ()):
            members.setdefault(group, []).append(number)
        return members

    def to_json(self) -> str:
        """As JSON, for the file's metadata."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """From the file's metadata.

        Raises:
            ValueError: If it is something else.
        """
        try:
            info = TypeAdapter(cls).validate_json(text, strict=True)
        except ValidationError as error:
            raise ValueError(f"its metadata are wrong: {first_problem(error)}") from None
        if json.loads(text).get("format") != _FORMAT:
            raise ValueError("it is of another format version")
        return info


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Predictions of one test.

    Args:
        info: What all rows share.
        table: Columns of `SCHEMA`, in the order of the dataset's index.
    """

    info: LedgerInfo
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def video_ids(self) -> list[str]:
        """V names."""
        names: list[str] = self.table["video_id"].to_pylist()
        return names

    @property
    def scored(self) -> np.ndarray:
        """(V,) bool, false where the video failed."""
        return np.asarray(pc.equal(self.table["status"], "scored").to_numpy())

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """(V, K) bool, multi-hot; read-only."""
        lists = self.table["labels"].combine_chunks()
        truth = np.zeros((len(self), len(self.info.class_names)), bool)
        truth[pc.list_parent_indices(lists).to_numpy(), lists.flatten().to_numpy()] = True
        truth.flags.writeable = False
        return truth

    @functools.cached_property
    def scores(self) -> np.ndarray:
        """(V, K) float32, NaN where the video failed; read-only, and a view of the table where it can be."""
        classes, column = len(self.info.class_names), self.table["scores"]
        if column.num_chunks == 1 and not column.null_count:
            return np.asarray(column.chunk(0).flatten().to_numpy().reshape(-1, classes))
        values = np.full((len(self), classes), np.nan, np.float32)
        first = 0
        for chunk in column.chunks:
            # Null rows have no place among the flattened values.
            held = np.asarray(chunk.is_valid().to_numpy(zero_copy_only=False))
            values[first : first + len(chunk)][held] = chunk.flatten().to_numpy().reshape(-1, classes)
            first += len(chunk)
        values.flags.writeable = False
        return values

    @functools.cached_property
    def clips_per_video(self) -> int:
        """Clips that each scored video has: the protocol's, or 0 where whole videos were scored."""
        lengths = pc.list_value_length(self.table["clip_ranks"].drop_null())
        return 0 if len(lengths) and not pc.max(lengths).as_py() else self.info.protocol.clips_per_video

    @property
    def has_ranks(self) -> bool:
        """Whether clips have ranks; in an average of ledgers that lack their clips' scores they do not."""
        return self.table["clip_ranks"].null_count < len(self) or not self.scored.any()

    @property
    def has_clips(self) -> bool:
        """Whether it says anything of single clips."""
        return self.has_ranks and self.clips_per_video > 0

    @property
    def clip_ranks(self) -> np.ndarray:
        """(scored videos, clips) int32, 1 to K + 1; (scored videos, 0) without a clip level."""
        held = self.table["clip_ranks"].combine_chunks().drop_null()
        clips = self.clips_per_video if self.has_ranks else 0
        return np.asarray(held.flatten().to_numpy().reshape(int(self.scored.sum()), clips))

    def clusters(self) -> np.ndarray:
        """(V,) int64 from 0: number of each video's source group, or of the video itself where that is unknown."""
        sources = self.table["source_group"]
        alone = pc.binary_join_element_wise("video", self.table["video_id"], "\0")
        names = pc.if_else(sources.is_valid(), sources, alone)
        codes = names.combine_chunks().dictionary_encode()
        # Numbered by name, so that the order of rows does not change what is drawn.
        number = np.empty(len(codes.dictionary), np.int64)
        number[pc.sort_indices(codes.dictionary).to_numpy()] = np.arange(len(number))
        return np.asarray(number[codes.indices.to_numpy()])

    def failures(self) -> dict[str, str]:
        """Reason of each video that failed."""
        failed = self.table.filter(pc.not_equal(self.table["status"], "scored"))
        return dict(zip(failed["video_id"].to_pylist(), failed["reason"].to_pylist(), strict=True))

    def select(self, rows: np.ndarray) -> "Ledger":
        """The same ledger with some of its rows."""
        return dataclasses.replace(self, table=self.table.take(pa.array(rows)))

    def write(self, path: Path) -> str:
        """Write the file whole or not at all; returns the SHA-256 of its bytes."""
        table = self.table.replace_schema_metadata({_METADATA: self.info.to_json()})
        with whole(path) as unfinished:
            parquet.write_table(table, unfinished, row_group_size=_ROWS_AT_ONCE, compression="zstd")
        return file_hash(path)

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        """Read a file that may come from anyone.

        Raises:
            UserError: If it is no ledger, or its rows contradict each other.
        """
        if path.is_dir():
            path = path / FILE_NAME
        if not path.is_file():
            raise UserError(f"there is no ledger {path}; give the {FILE_NAME} that a test has left")
        try:
            ledger = cls._open(path)
            problem = next(_contradictions(ledger), None)
        except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
            # What is quoted comes from the file; it must not reach a terminal as it is.
            reason = (str(error) or type(error).__name__).splitlines()[0].encode("unicode_escape").decode()
            raise UserError(f"{path} is no ledger, or is damaged ({reason[:300]})") from error
        if problem:
            raise UserError(f"the ledger {path} cannot be right: {problem}")
        return ledger

    @classmethod
    def _open(cls, path: Path) -> "Ledger":
        with parquet.ParquetFile(path) as file:
            metadata = (file.schema_arrow.metadata or {}).get(_METADATA)
            if metadata is None:
                raise ValueError(f"it is a Parquet file without the metadata {_METADATA.decode()}")
            info = LedgerInfo.from_json(metadata)
            classes, held = len(info.class_names), file.schema_arrow.remove_metadata()
            # As ledgers were written at first.
            fixed = held.names == SCHEMA.names and held.field("scores").type == pa.list_(pa.float32(), classes)
            wanted = SCHEMA.set(SCHEMA.get_field_index("scores"), held.field("scores")) if fixed else SCHEMA
            if held.names != wanted.names:
                raise ValueError(f"its columns are {', '.join(held.names)}; allowed are {', '.join(wanted.names)}")
            for field, other in zip(held, wanted, strict=True):
                if field != other:
                    raise ValueError(f"its column is {field}; it must be {other}")
            if file.metadata.num_rows * classes > _MOST_SCORES:
                raise ValueError(f"it has {counted(file.metadata.num_rows, 'row')} of {counted(classes, 'class')}")
            try:
                table = read_bounded(path).replace_schema_metadata(None)
            except pa.ArrowInvalid as error:
                if not fixed:
                    raise
                raise ValueError(
                    f"{error}; if videos failed in it, pyarrow 26 can read it, older ones cannot"
                ) from error
            table = table.cast(SCHEMA)
            table.validate(full=True)  # text that is no UTF-8 among the rest
            return cls(info, table)


def _contradictions(ledger: Ledger) -> Iterator[str]:
    """What is wrong with a ledger; each check relies on the ones before it."""
    info, table = ledger.info, ledger.table
    classes = len(info.class_names)
    if not classes:
        yield "it has no classes"
    if len(set(info.class_names)) != classes:
        yield "two of its classes have the same name"
    if info.classes is not None and info.classes != info.class_names:
        yield "its class subset is not its classes"
    if info.class_groups is not None and len(info.class_groups) != classes:
        yield f"it has {counted(classes, 'class')} and {counted(len(info.class_groups), 'group')} of classes"
    if info.held_videos < len(table):
        yield f"it has {counted(len(table), 'video')}, but only {info.held_videos} were held"
    if info.official_videos is not None and info.official_videos < info.held_videos:
        yield (
            f"{counted(info.held_videos, 'video was', 'videos were')} held, but "
            f"the official list has only {info.official_videos}"
        )
    for field in table.schema:
        if not field.nullable and table[field.name].null_count:
            yield f"a row lacks its {field.name}"
    if len(pc.unique(table["video_id"])) != len(table):
        yield "a video is in it twice"
    if not pc.all(pc.is_in(table["status"], pa.array(["scored", "failed"]))).as_py() and len(table):
        yield "a status is neither scored nor failed"
    scored, ranked = ledger.scored, ledger.scored & ledger.has_ranks
    for name, held in (("scores", scored), ("clip_starts", scored), ("clip_ranks", ranked), ("reason", ~scored)):
        if (np.asarray(table[name].is_valid().to_numpy()) != held).any():
            yield f"a row has {name} that its status does not allow, or lacks it"
    for name in ("labels", "scores", "clip_starts", "clip_ranks"):
        if any(chunk.flatten().null_count for chunk in table[name].chunks):
            yield f"a null is among the {name} of a video"
    if pc.unique(pc.list_value_length(table["scores"].drop_null())).to_pylist() not in ([], [classes]):
        yield f"a video does not have {classes} scores, one a class"
    labels = pc.list_flatten(table["labels"])
    if len(labels) and not (pc.min(labels).as_py() >= 0 and pc.max(labels).as_py() < classes):
        yield f"a label is not from 0 to {classes - 1}"
    yield from _wrong_clips(ledger)
    for first in range(0, len(table), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        held = ledger.scores[rows][scored[rows]]
        if not (np.isfinite(held).all() and (held >= 0).all() and (np.abs(held.sum(1) - 1) < 1e-2).all()):
            yield "a video's scores are no probabilities that add up to 1"


def _wrong_clips(ledger: Ledger) -> Iterator[str]:
    """What is wrong with the columns of clips."""
    clips, classes = ledger.clips_per_video, len(ledger.info.class_names)
    for name in ("clip_starts", "clip_ranks"):
        lengths = pc.list_value_length(ledger.table[name].drop_null())
        if len(lengths) and (pc.min(lengths).as_py(), pc.max(lengths).as_py()) != (clips, clips):
            yield f"a video has another number of {name} than the protocol's {clips}"
    starts = pc.list_flatten(ledger.table["clip_starts"])
    if len(starts) and pc.min(starts).as_py() < 0:
        yield "a clip starts before its video"
    true = ledger.labels.sum(1)[ledger.scored, None]
    lowest, highest = np.where(true > 0, 1, classes + 1), np.where(true > 0, classes + 1 - true, classes + 1)
    if not ((ledger.clip_ranks >= lowest) & (ledger.clip_ranks <= highest)).all():
        yield (
            f"a clip's rank cannot be: it is 1 to {classes + 1} less the video's true labels, "
            f"and {classes + 1} where it has none"
        )
