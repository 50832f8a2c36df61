"""The ledger: one Parquet file a test, with every score behind its numbers.

One row a video: what is true of it, what the model said, or why it could not be read. Letters: V videos, K classes.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from benchmark.errors import UserError
from benchmark.protocol import Protocol

FILE_NAME = "ledger.parquet"

_METADATA = b"clipbench.ledger"
_FORMAT = 1


def schema(num_classes: int) -> pa.Schema:
    """Columns of a ledger, one row a video."""
    return pa.schema(
        [
            pa.field("video_id", pa.string(), nullable=False),
            pa.field("labels", pa.list_(pa.int32()), nullable=False),  # class numbers, 0-based
            pa.field("source_group", pa.string()),  # "Archery/g01"; null where unknown
            pa.field("status", pa.string(), nullable=False),  # scored or failed
            pa.field("reason", pa.string()),  # why a video failed
            pa.field("scores", pa.list_(pa.float32(), num_classes)),  # mean class probabilities; null if failed
            pa.field("clip_starts", pa.list_(pa.int32())),  # first source frame of each clip
            pa.field("clip_ranks", pa.list_(pa.int32())),  # rank of each clip's best true label, 1 to K + 1
        ]
    )


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
    def board(self) -> tuple[str, int | None, tuple[str, ...] | None, str]:
        """What two results must share to be ranked together: dataset, fold, class subset, protocol hash."""
        return self.dataset, self.fold, self.classes, self.protocol.hash

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
            ValueError, KeyError or TypeError: If it is something else.
        """
        held: dict[str, Any] = json.loads(text)
        if held.pop("format") != _FORMAT:
            raise ValueError("it is of another format version")
        for name in ("classes", "class_names", "class_groups"):
            held[name] = None if held[name] is None else tuple(str(value) for value in held[name])
        protocol = held.pop("protocol")
        return cls(**held, protocol=Protocol(**{**protocol, "views": tuple(protocol["views"])}))


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Predictions of one test.

    Args:
        info: What all rows share.
        table: Columns of `schema`, in the order of the dataset's index.
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

    @property
    def labels(self) -> np.ndarray:
        """(V, K) bool, multi-hot."""
        lists = self.table["labels"].combine_chunks()
        truth = np.zeros((len(self), len(self.info.class_names)), bool)
        truth[pc.list_parent_indices(lists).to_numpy(), lists.flatten().to_numpy()] = True
        return truth

    @property
    def scores(self) -> np.ndarray:
        """(V, K) float32, NaN where the video failed."""
        values = np.full((len(self), len(self.info.class_names)), np.nan, np.float32)
        held = self.table["scores"].combine_chunks().drop_null()
        values[self.scored] = held.flatten().to_numpy().reshape(len(held), -1)
        return values

    @property
    def clip_ranks(self) -> np.ndarray:
        """(scored videos, clips) int32, 1 to K + 1."""
        held = self.table["clip_ranks"].combine_chunks().drop_null()
        return np.asarray(held.flatten().to_numpy().reshape(len(held), self.info.protocol.clips_per_video))

    def clusters(self) -> np.ndarray:
        """(V,) int64 from 0: number of each video's source group, or of the video itself where that is unknown."""
        sources = self.table["source_group"]
        names = pc.if_else(
            sources.is_valid(), sources, pc.binary_join_element_wise("video", self.table["video_id"], "\0")
        )
        return np.asarray(np.unique(names.to_numpy(), return_inverse=True)[1])

    def failures(self) -> dict[str, str]:
        """Reason of each video that failed."""
        failed = self.table.filter(pc.not_equal(self.table["status"], "scored"))
        return dict(zip(failed["video_id"].to_pylist(), failed["reason"].to_pylist(), strict=True))

    def select(self, rows: np.ndarray) -> "Ledger":
        """The same ledger with some of its rows."""
        return dataclasses.replace(self, table=self.table.take(pa.array(rows)))

    def write(self, path: Path) -> str:
        """Write the file whole or not at all; returns the SHA-256 of its bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        table = self.table.replace_schema_metadata({_METADATA: self.info.to_json()})
        parquet.write_table(table, unfinished, compression="zstd")
        unfinished.replace(path)
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
            table = parquet.read_table(path)
            metadata = (table.schema.metadata or {})[_METADATA]
            ledger = cls(LedgerInfo.from_json(metadata), table.replace_schema_metadata(None))
        except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is no ledger, or is damaged ({str(error).splitlines()[0][:200]})") from error
        if problem := _contradiction(ledger):
            raise UserError(f"the ledger {path} cannot be right: {problem}")
        return ledger


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _contradiction(ledger: Ledger) -> str | None:
    """What is wrong with a ledger's rows, or None."""
    info, table = ledger.info, ledger.table
    classes, clips = len(info.class_names), info.protocol.clips_per_video
    if table.schema != schema(classes):
        return f"its columns are {', '.join(table.schema.names)}, with other names or types than a ledger's"
    if info.class_groups is not None and len(info.class_groups) != classes:
        return f"it has {classes} classes and {len(info.class_groups)} groups of classes"
    if len(pc.unique(table["video_id"])) != len(table):
        return "a video stands in it twice"
    scored = ledger.scored
    if not np.isin(table["status"].to_numpy(), ["scored", "failed"]).all():
        return "a status is neither scored nor failed"
    for name, held in (("scores", scored), ("clip_starts", scored), ("clip_ranks", scored), ("reason", ~scored)):
        if (np.asarray(table[name].is_valid().to_numpy()) != held).any():
            return f"a row has {name} that its status does not allow, or lacks it"
    flat = table["labels"].combine_chunks().flatten().to_numpy()
    if len(flat) and not (flat.min() >= 0 and flat.max() < classes):
        return f"a label is not from 0 to {classes - 1}"
    for name in ("clip_starts", "clip_ranks"):
        lengths = pc.list_value_length(table[name].drop_null())
        if len(lengths) and pc.min_max(lengths).as_py() != {"min": clips, "max": clips}:
            return f"a video has another number of {name} than the protocol's {clips}"
    held = ledger.scores[scored]
    if not (np.isfinite(held).all() and (held >= 0).all() and (np.abs(held.sum(1) - 1) < 1e-2).all()):
        return "a video's scores are no probabilities that add up to 1"
    if len(held) and not ((ledger.clip_ranks >= 1) & (ledger.clip_ranks <= classes + 1)).all():
        return f"a clip's rank is not from 1 to {classes + 1}"
    return None
