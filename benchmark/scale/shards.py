"""The bytes of a shard: the frames of a few hundred videos, of which any clip can be read without the others.

    units of video 1 | index of video 1 | units of video 2 | index of video 2 | ...

Units hold the frames that the video's clips cover, each frame once, in ascending order, so that the frames of a clip
lie side by side. An index is the lengths of the units. Which frames those are needs no bytes: it follows from the
protocol, the video's name and its length.
"""

import dataclasses
import functools
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from benchmark.data.decode import DecodeError
from benchmark.data.sampling import ClipPlan
from benchmark.scale.pictures import Format, group_sizes, packed

_ZSTD = pa.Codec("zstd", compression_level=3)


class Place(NamedTuple):
    """Where a video lies in the file of its shard.

    Attributes:
        offset: First byte of its units.
        index_offset: First byte of its index, after the last of its units.
        end: First byte after the index.
    """

    offset: int
    index_offset: int
    end: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which frames of a video a store keeps, and in which units.

    Args:
        numbers: (n,) int64, ascending and distinct frame numbers.
        sizes: (units,) int64, frames of each unit.
    """

    numbers: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, plan: ClipPlan, clips: int, form: Format) -> Self:
        """The frames of the first clips of a video.

        Args:
            plan: Where its clips lie.
            clips: How many are kept.
            form: Of the store.
        """
        starts = np.array([plan.start(clip) for clip in range(clips)])
        covered = starts[:, None] + np.arange(plan.protocol.clip_frames)
        numbers = np.unique(np.minimum(covered, plan.frames - 1))
        return cls(numbers, group_sizes(numbers, form))

    @functools.cached_property
    def firsts(self) -> np.ndarray:
        """(units + 1,) int64: how many frames come before each unit, and all of them."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    def units(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit, and place within it, of frame numbers that are kept; each (n,) int64."""
        places = np.searchsorted(self.numbers, numbers)
        units = np.searchsorted(self.firsts, places, "right") - 1
        return units, places - self.firsts[units]


def packed_index(lengths: Iterable[int]) -> bytes:
    """The index of a video: the lengths of its units, checked and small."""
    parts = np.array(list(lengths), "<u4").view(np.uint8).reshape(-1, 4).T
    body = _ZSTD.compress(parts.tobytes(), asbytes=True)
    return zlib.crc32(body).to_bytes(4, "little") + bytes(body)


def unpacked_index(block: bytes, units: int) -> np.ndarray:
    """(units + 1,) int64: where each unit begins, counted from the first, and where the last ends.

    Raises:
        DecodeError: If the bytes are not those of an index of so many units.
    """
    if zlib.crc32(block[4:]) != int.from_bytes(block[:4], "little"):
        raise DecodeError("its index in the store is damaged")
    try:
        body = _ZSTD.decompress(block[4:], 4 * units, asbytes=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DecodeError(f"its index in the store is not that of {units} units: {error}") from None
    lengths = np.ascontiguousarray(np.frombuffer(body, np.uint8).reshape(4, -1).T).view("<u4")[:, 0]
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


class ShardWriter:
    """Writes the file of a shard, video after video.

    Args:
        path: The file.
        form: Of the store.
    """

    def __init__(self, path: Path, form: Format) -> None:
        self.path, self.form = path, form
        self._file = path.open("wb+")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, layout: Layout, squares: Iterable[np.ndarray]) -> Place:
        """Write the frames of a video, one after the other as they come; nothing of it stays if that fails.

        Args:
            layout: Which frames those are.
            squares: As many, from `pictures.square_of`.
        """
        offset = self._file.tell()
        try:
            lengths = []
            frames = iter(squares)
            for size in layout.sizes.tolist():
                unit = packed([next(frames) for _ in range(size)], self.form)
                self._file.write(unit)
                lengths.append(len(unit))
            for _ in frames:  # so that a reader says what it finds at the end
                raise ValueError("more frames came than the layout has")
            index = self._file.tell()
            self._file.write(packed_index(lengths))
            return Place(offset, index, self._file.tell())
        except BaseException:
            self._file.seek(offset)
            self._file.truncate()
            raise

    def sha256(self) -> str:
        """Of all that was written, in hexadecimal digits."""
        self._file.flush()
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.seek(0, 2)
        return digest
