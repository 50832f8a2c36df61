"""The tables of a store: which videos there are and where, read at once; and what they show, read when asked for."""

import dataclasses
import functools
import io
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmark.content import WORDS, Contents
from benchmark.data.index import SCHEMA
from benchmark.errors import UserError
from benchmark.scale.job import SIDECAR, shard_name, sidecar_name
from benchmark.scale.manifest import Manifest
from benchmark.scale.near import FRAMES
from benchmark.scale.settings import CONTENTS_FILE, VIDEOS_FILE, StoreSettings
from benchmark.scale.store import Store

_STATES = pa.dictionary(pa.int8(), pa.string())

VIDEOS = pa.schema(
    [
        *(SCHEMA.field(name) for name in ("video_id", "labels", "split")),
        pa.field("state", _STATES, nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        *(SIDECAR.field(name) for name in ("frames", "offset", "index_offset", "end")),
    ]
)
"""One row a listed video, in the order of the lists, whatever became of it; places count where it was fetched."""

_CONTENTS = pa.schema([SIDECAR.field(name) for name in ("digest", "prints", "hashes")])


def read_sidecar(store: Store, number: int) -> pa.Table:
    """What a shard says of its videos.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        return pq.read_table(io.BytesIO(store.read(sidecar_name(number))), schema=SIDECAR)
    except (FileNotFoundError, pa.ArrowException) as error:
        raise UserError(
            f"{sidecar_name(number)} of the store {store} cannot be read ({error}); remove it, and prepare again"
        ) from None


def is_whole(store: Store, number: int, sizes: dict[str, int]) -> bool:
    """Whether a shard is in a store as its sidecar says.

    Args:
        store: Where it is.
        number: Of the shard.
        sizes: Of all files of the shards' folder, from `Store.sizes`.
    """
    if Path(sidecar_name(number)).name not in sizes:
        return False
    try:
        said = pq.read_schema(io.BytesIO(store.read(sidecar_name(number)))).metadata
    except (FileNotFoundError, pa.ArrowException):
        return False
    size = int(said[b"bytes"])
    return not size or sizes.get(Path(shard_name(number)).name) == size  # one without a video has no file


def write_catalogue(store: Store, settings: StoreSettings, listed: pa.Table, manifest: Manifest) -> None:
    """Join what all shards say, and what became of the videos that none of them has.

    Args:
        store: Where the shards are.
        settings: What it is made of.
        listed: The wanted videos, from `dealt`.
        manifest: What became of them.

    Raises:
        UserError: If a shard is not there.
    """
    entries = list(manifest.entries())
    shards = (len(entries) + settings.videos_per_shard - 1) // settings.videos_per_shard
    parts = [read_sidecar(store, number) for number in range(shards)]
    held = pa.concat_tables([SIDECAR.empty_table(), *parts]).combine_chunks()
    places = pc.index_in(listed["video_id"].combine_chunks(), value_set=held["video_id"].combine_chunks())

    def column(name: str, missing: Any) -> pa.Array:
        return pc.fill_null(held[name].combine_chunks().take(places), missing)

    table = pa.table(
        {
            **{name: listed[name] for name in ("video_id", "labels", "split")},
            "state": pa.array([entry.state for entry in entries]).cast(_STATES),
            "reason": pa.array([entry.reason for entry in entries], pa.string()),
            "shard": pa.array(np.arange(len(entries)) // settings.videos_per_shard, pa.int32()),
            **{name: column(name, 0) for name in ("frames", "offset", "index_offset", "end")},
        },
        schema=VIDEOS,
    )
    empty = {"digest": 0, "prints": bytes(8 * WORDS), "hashes": bytes(8 * FRAMES)}
    contents = pa.table(
        [column(name, missing).cast(_CONTENTS.field(name).type) for name, missing in empty.items()], schema=_CONTENTS
    )
    order = pc.sort_indices(listed["place"])
    for name, whole in ((CONTENTS_FILE, contents), (VIDEOS_FILE, table)):  # the one that a reader looks for comes last
        sink = io.BytesIO()
        pq.write_table(whole.take(order), sink, compression="zstd")
        store.write(name, sink.getvalue())


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """A store that is read.

    Args:
        store: Where it is.
        settings: What it is made of.
        videos: Columns of `VIDEOS`.
    """

    store: Store
    settings: StoreSettings
    videos: pa.Table

    @classmethod
    def read(cls, store: Store) -> Self:
        """The catalogue of a store.

        Raises:
            UserError: If there is none, or it is not finished.
        """
        settings = StoreSettings.read(store)
        try:
            table = pq.read_table(io.BytesIO(store.read(VIDEOS_FILE)), schema=VIDEOS)
        except FileNotFoundError:
            raise UserError(
                f"the store {store} is not finished: it has no {VIDEOS_FILE}. Run the `clipbench prepare "
                "sports1m` that made it again"
            ) from None
        except pa.ArrowException as error:
            raise UserError(f"{VIDEOS_FILE} of the store {store} cannot be read: {error}; prepare it again") from None
        return cls(store, settings, table)

    @functools.cached_property
    def _shown(self) -> pa.Table:
        return pq.read_table(io.BytesIO(self.store.read(CONTENTS_FILE)), schema=_CONTENTS)

    def contents(self, rows: np.ndarray) -> Contents:
        """What the videos of some rows show, known since they were prepared."""
        table = self._shown.take(pa.array(rows))
        return Contents(table["digest"].to_numpy().copy(), _words(table["prints"], WORDS))

    def hashes(self, rows: np.ndarray) -> np.ndarray:
        """(n, 10) uint64, descriptions of frames; 0 where there is none."""
        return _words(self._shown["hashes"].take(pa.array(rows)), FRAMES)


def _words(column: pa.ChunkedArray, words: int) -> np.ndarray:
    held = pa.concat_arrays([pa.array([], column.type), *column.chunks])
    buffer = held.buffers()[1]
    if buffer is None or not len(held):
        return np.zeros((0, words), np.uint64)
    return np.frombuffer(buffer, "<u8", len(held) * words, held.offset * 8 * words).reshape(-1, words).astype(np.uint64)
