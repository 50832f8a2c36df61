"""What was worked out of videos, a file a video in Arrow's format: begun anywhere, killed anywhere, gone on with.

A file is there whole or not at all, and is named by the video's path, size and time of change, in a folder named by
everything else that it is a function of. What cannot be decoded leaves no file: the next run tries again.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmark.caches import cache_folder
from benchmark.data.cache import video_key
from benchmark.data.container import DecodeError
from benchmark.data.decode import DecoderName
from benchmark.data.index import Video
from benchmark.files import whole
from benchmark.histograms.description import Description, Local, describe_video

_VERSION = 1  # another way to measure needs another number
_LIBRARIES = ("scikit-image", "opencv-python-headless", "av", "numpy", "scipy")


def store_folder() -> Path:
    """Where descriptions are kept by default."""
    return cache_folder() / "histograms"


@dataclasses.dataclass(frozen=True)
class Descriptions:
    """Descriptions of videos in a folder, each worked out when it is first asked for.

    Args:
        root: Folder of all stores.
        decoder: Decodes the videos.
        stride: Frames from one that is looked at to the next.
    """

    root: Path
    decoder: DecoderName = "pyav"
    stride: int = 1

    @property
    def folder(self) -> Path:
        """Of the videos looked at in this way by this code and these libraries."""
        facts = {"version": _VERSION, "decoder": self.decoder, "stride": self.stride}
        return self.root / f"descriptions-{digest({**facts, **_libraries()})}"

    def path(self, video: Video) -> Path:
        """The file of a video.

        Raises:
            DecodeError: If the video is not there.
        """
        return self.folder / f"{content_name(video)}.arrow"

    def holds(self, video: Video) -> bool:
        """Whether a video was worked out before."""
        try:
            return self.path(video).is_file()
        except DecodeError:
            return False

    def get(self, video: Video) -> Description:
        """What is measured in a video.

        Raises:
            DecodeError: If it cannot be decoded.
        """
        path = self.path(video)
        try:
            return _read(path)
        except (OSError, pa.ArrowException, KeyError, ValueError):  # absent, or damaged by a loss of power
            made = describe_video(video.path, self.decoder, self.stride)
        with whole(path, shared=True) as unfinished:
            _write(made, unfinished)
        return _read(path)


def content_name(video: Video) -> str:
    """Name of a video's content for files, by its path, size and time of change.

    Raises:
        DecodeError: If it is not there.
    """
    try:
        return f"{video_key(video.path):016x}"
    except FileNotFoundError:
        raise DecodeError("the file does not exist") from None
    except OSError as error:
        raise DecodeError(f"the file cannot be looked at: {error.strerror}") from None


def digest(facts: object) -> str:
    """A hash of plain values, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _libraries() -> dict[str, str]:
    def known() -> Iterator[tuple[str, str]]:
        for name in _LIBRARIES:
            try:
                yield name, importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:  # it may go by another distribution's name
                continue

    return dict(known())


_SCHEMA = pa.schema(
    [
        pa.field("feature", pa.string(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),  # numbers of a descriptor
        pa.field("places", pa.list_(pa.float16()), nullable=False),  # across and down, 0 to 1, one after the other
        pa.field("values", pa.list_(pa.float16()), nullable=False),
    ]
)


def _write(made: Description, path: Path) -> None:
    columns = {
        "feature": pa.array(made.local, pa.string()),
        "length": pa.array([local.values.shape[1] for local in made.local.values()], pa.int32()),
        "places": _lists([local.places for local in made.local.values()]),
        "values": _lists([local.values for local in made.local.values()]),
    }
    facts = {"frames": str(made.frames), "made_seconds": repr(made.made_seconds)}
    table = pa.table(columns, schema=_SCHEMA.with_metadata(facts))
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)


def _lists(parts: list[np.ndarray]) -> pa.Array:
    ends = np.cumsum([0, *(part.size for part in parts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.concatenate([part.ravel() for part in parts])))


def _read(path: Path) -> Description:
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
        table = reader.read_all()
    local = {}
    for row, name in enumerate(table["feature"].to_pylist()):
        places, values = (table[column][row].values.to_numpy() for column in ("places", "values"))
        local[name] = Local(places.reshape(-1, 2), values.reshape(-1, table["length"][row].as_py()))
    facts = table.schema.metadata
    return Description(local, int(facts[b"frames"]), float(facts[b"made_seconds"]))
