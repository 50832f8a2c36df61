"""Which videos exist: one Arrow table a dataset, shared by workers without a Python object a row."""

import dataclasses
import difflib
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.identity import Identity
from benchmark.wording import counted

Split = Literal["train", "validation", "test", "predict"]

SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("path", pa.string()),  # relative to the root, null where the file is missing
        pa.field("labels", pa.list_(pa.int32()), nullable=False),  # class numbers, 0-based, empty where unknown
        pa.field("split", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("source_group", pa.string()),  # "Archery/g01"; null where unknown
    ]
)

_MOST_NAMES, _FEW_NAMES = 20, 6  # of classes in a message


@dataclasses.dataclass(frozen=True)
class Video:
    """One row of an index.

    Args:
        row: Row in the index.
        video_id: Unique name within the dataset.
        path: The file.
        labels: Class numbers, 0-based; empty where unknown.
        sampled_as: The name that decides where its clips lie; empty for the id.
        starts: First frame of each clip, where no name decides it.
    """

    row: int
    video_id: str
    path: Path
    labels: tuple[int, ...]
    sampled_as: str = ""
    starts: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class VideoIndex:
    """The videos of one dataset with labels, split and source group; missing ones have no path.

    Args:
        identity: Dataset, fold and class subset.
        root: Folder that the paths are relative to.
        table: Columns of `SCHEMA`.
        class_names: K names; a label is a position in this list.
        class_groups: K names of the classes' groups, or None where the dataset has no groups.
        official_videos: Number of videos in the official set for the chosen classes, or None if it has no lists.
        ids_are_typed: Whether ids are paths as somebody typed them; then the file's own name alone decides where clips
            lie, so that one file has the same clips from every folder.
        split_by: How the videos were split, in words, where neither lists nor folders say it.

    Raises:
        ValueError: If the table's columns differ from `SCHEMA`.
    """

    identity: Identity
    root: Path
    table: pa.Table
    class_names: tuple[str, ...]
    class_groups: tuple[str, ...] | None = None
    official_videos: int | None = None
    ids_are_typed: bool = False
    split_by: str = ""

    def __post_init__(self) -> None:
        if self.table.schema.names != SCHEMA.names:
            raise ValueError(f"an index has the columns {SCHEMA.names}; got {self.table.schema.names}")

    @classmethod
    def from_columns(
        cls,
        identity: Identity,
        root: Path,
        class_names: Sequence[str],
        *,
        video_id: Sequence[str],
        path: Sequence[str | None],
        labels: Sequence[Sequence[int]],
        split: Sequence[Split],
        source_group: Sequence[str | None] | None = None,
        class_groups: Sequence[str] | None = None,
        official_videos: int | None = None,
        ids_are_typed: bool = False,
        split_by: str = "",
    ) -> Self:
        """An index from plain Python columns of equal length, for datasets small enough for them."""
        groups = [None] * len(video_id) if source_group is None else source_group
        columns = dict(video_id=video_id, path=path, labels=labels, split=split, source_group=groups)
        arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
        return cls(
            identity,
            root,
            pa.table(arrays, schema=SCHEMA),
            tuple(class_names),
            None if class_groups is None else tuple(class_groups),
            official_videos,
            ids_are_typed,
            split_by,
        )

    @functools.cached_property
    def _shared(self) -> Tensor:
        """The table as bytes, (n,) uint8, that torch hands to loader workers without a copy."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return torch.from_numpy(np.frombuffer(sink.getvalue(), np.uint8).copy())

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process, where it is not forked, reads the table where this one keeps it."""
        others = [getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "table"]
        return _unpickled, (type(self), self._shared, *others)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def video(self, row: int) -> Video:
        """The video of a row that has a path."""
        columns = self.table
        relative = columns["path"][row].as_py()
        if relative is None:
            raise ValueError(f"row {row} ({columns['video_id'][row].as_py()}) has no file")
        name, labels = columns["video_id"][row].as_py(), tuple(columns["labels"][row].as_py())
        return Video(row, name, self.root / relative, labels, Path(relative).name if self.ids_are_typed else "")

    def find(self, video_id: str) -> Video | None:
        """The video of a name, or None where it is not known or its file is missing."""
        row = pc.index(self.table["video_id"], video_id).as_py()
        return None if row < 0 or self.table["path"][row].as_py() is None else self.video(row)

    def rows(self, split: Split) -> np.ndarray:
        """Rows of a split whose file is present, (N,) int64, ascending."""
        held = pc.and_(pc.equal(self.table["split"].cast(pa.string()), split), pc.is_valid(self.table["path"]))
        return np.flatnonzero(held.to_numpy(zero_copy_only=False))

    def missing(self, split: Split | None = None) -> list[str]:
        """Names of the videos whose file is not there."""
        lacks = pc.is_null(self.table["path"])
        if split is not None:
            lacks = pc.and_(lacks, pc.equal(self.table["split"].cast(pa.string()), split))
        names: list[str] = self.table["video_id"].filter(lacks).to_pylist()
        return names

    def groups(self) -> dict[str, list[int]]:
        """Class numbers of each group that has a class, in order of first appearance; empty without groups."""
        members: dict[str, list[int]] = {}
        for number, group in enumerate(self.class_groups or ()):
            members.setdefault(group, []).append(number)
        return members

    @property
    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of a SHA-256 over identity, ids, labels and splits of the videos held."""
        digest = hashlib.sha256(repr(self.identity).encode())
        held = self.table.filter(pc.is_valid(self.table["path"])).sort_by("video_id")
        for name in ("video_id", "labels", "split"):
            column = held[name].cast(pa.string()) if name == "split" else held[name]
            for chunk in column.combine_chunks().to_pylist() if len(held) else []:
                digest.update(f"{chunk}\n".encode())
        return digest.hexdigest()[:16]

    def summary(self) -> str:
        """One line: identity, videos a split, classes, missing, share of the official set held."""
        held = len(self) - self.table["path"].null_count
        splits = [split for split in get_args(Split) if len(self.rows(split))]
        counts = ", ".join(f"{len(self.rows(split)):,} {split}" for split in splits) or "none"
        absent = len(self) - held
        line = (
            f"{self.identity}: {counted(held, 'video')} ({counts}) of "
            f"{counted(len(self.class_names), 'class')}; {absent:,} missing"
        )
        if self.official_videos:
            line += f"; {held / self.official_videos:.1%} of the official {counted(self.official_videos, 'video')} held"
        if self.split_by:
            line += f"; {self.split_by}"
        return line


def _unpickled(kind: type[VideoIndex], shared: Tensor, identity: Identity, root: Path, *others: Any) -> VideoIndex:
    table = pa.ipc.open_stream(pa.py_buffer(shared.numpy())).read_all()
    return kind(identity, root, table, *others)


def require_classes(chosen: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """The chosen class names in the dataset's own order, or all of them; a name that is not known is refused."""
    if chosen is None:
        return tuple(known)
    unknown = sorted(set(chosen) - set(known))
    if unknown or not chosen:
        near = {alike: None for name in unknown for alike in difflib.get_close_matches(name, known, 3)}
        meant = f"did you mean {', '.join(near)}? Allowed" if near else "allowed"
        shown = known if len(known) <= _MOST_NAMES else known[:_FEW_NAMES]
        more = f" and {counted(len(known) - len(shown), 'other')}" if len(shown) < len(known) else ""
        raise UserError(
            f"data.classes names {unknown or 'no class'}; {meant} are {', '.join(shown)}{more}. Change data.classes."
        )
    return tuple(name for name in known if name in set(chosen))
