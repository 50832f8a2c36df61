"""How the square frames of a clip become bytes in a store and frames again: exactly, or small.

A unit is what can be read alone: one frame where they are exact, a short group of pictures where they are small. It
begins with a checksum. Letters: S the side of a frame in pixels, H rows, W columns.
"""

import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import av
import cv2
import numpy as np
import pyarrow as pa

from benchmark.data.decode import DecodeError
from benchmark.data.preprocess import Picture, rgb_from_i420, square_planes, square_rgb

Format = Literal["exact", "compact"]

GROUP_FRAMES = 16
"""Frames of a group of pictures, at most: as many as a clip has."""

CODEC = "h264 yuv420p crf 15 veryfast, groups of 16 without b-frames, 1"
"""How `compact` makes pictures; what is scored on them is another protocol. The last number counts changes of ours."""

_PLANES, _RGB, _GROUP = 0, 1, 2  # kinds of units
_HEAD = 5  # bytes: checksum, kind
_ZSTD = pa.Codec("zstd", compression_level=3)
_X264 = {"preset": "veryfast", "crf": "15", "x264-params": f"bframes=0:keyint={GROUP_FRAMES}:scenecut=0:log-level=none"}


def square_of(picture: Picture, side: int) -> np.ndarray:
    """The centre square of a picture, (S * 3 / 2, S) uint8 I420 where that loses nothing, else (S, S, 3) uint8 RGB."""
    planes = None if any(picture.orientation) else square_planes(picture, side)
    return square_rgb(picture, side) if planes is None else planes


def unpacked_square(square: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 RGB of what `square_of` gives."""
    return _rgb(square) if square.ndim == 2 else square


def group_sizes(numbers: np.ndarray, form: Format) -> np.ndarray:
    """How many frames each unit holds.

    Args:
        numbers: (n,) ascending frame numbers of the frames of a video that are kept.
        form: Of the store.

    Returns:
        (units,) int64 with sum n.
    """
    if form == "exact":
        return np.ones(len(numbers), np.int64)
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    sizes = [min(GROUP_FRAMES, len(run) - first) for run in runs for first in range(0, len(run), GROUP_FRAMES)]
    return np.array(sizes, np.int64)


def packed(squares: Sequence[np.ndarray], form: Format) -> bytes:
    """A unit of frames, each from `square_of`; the same bytes for the same frames and libraries."""
    if form == "exact":
        (square,) = squares
        # What a pixel adds to the one on its left takes a quarter less than the pixels themselves.
        rows = square.copy()
        rows[:, 1:] -= square[:, :-1]
        return _sealed(_PLANES if square.ndim == 2 else _RGB, _ZSTD.compress(rows.tobytes(), asbytes=True))
    planes = [s if s.ndim == 2 else cv2.cvtColor(s, cv2.COLOR_RGB2YUV_I420) for s in squares]
    return _sealed(_GROUP, _encoded(planes))


def unpacked(unit: bytes, side: int, wanted: Sequence[int]) -> list[np.ndarray]:
    """Some frames of a unit.

    Args:
        unit: From `packed`.
        side: S.
        wanted: Ascending places of the frames in it.

    Returns:
        (S, S, 3) uint8 RGB each.

    Raises:
        DecodeError: If the bytes are not those that were stored.
    """
    if len(unit) <= _HEAD or zlib.crc32(unit[4:]) != int.from_bytes(unit[:4], "little"):
        raise DecodeError("its bytes in the store are damaged")
    kind, body = unit[4], unit[_HEAD:]
    try:
        if kind == _GROUP:
            return [_rgb(planes) for planes in _decoded(body, wanted)]
        shape = (side * 3 // 2, side) if kind == _PLANES else (side, side, 3)
        rows = np.frombuffer(_ZSTD.decompress(body, int(np.prod(shape)), asbytes=True), np.uint8).reshape(shape)
    except (OSError, ValueError, pa.ArrowException, av.FFmpegError) as error:
        raise DecodeError(f"its bytes in the store are none of frames of {side}x{side}: {error}") from None
    square = np.cumsum(rows, axis=1, dtype=np.uint8)
    return [unpacked_square(square)]


def _sealed(kind: int, body: bytes) -> bytes:
    sealed = bytes([kind]) + body
    return zlib.crc32(sealed).to_bytes(4, "little") + sealed


def _rgb(planes: np.ndarray) -> np.ndarray:
    rgb = np.empty((planes.shape[1], planes.shape[1], 3), np.uint8)
    rgb_from_i420(planes, rgb)
    return rgb


def _encoded(planes: Sequence[np.ndarray]) -> bytes:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width = encoder.height = planes[0].shape[1]
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 30), 1
    encoder.options = _X264
    packets = []
    for number, picture in enumerate(planes):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    return b"".join(bytes(packet) for packet in [*packets, *encoder.encode(None)])


def _decoded(body: bytes, wanted: Sequence[int]) -> list[np.ndarray]:
    """Planes of the frames at some places; those after the last of them are not decoded."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = [*decoder.parse(body), *decoder.parse(b"")]
    frames = [frame for packet in packets[: wanted[-1] + 1] for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    if len(frames) <= wanted[-1]:
        raise DecodeError(f"its bytes in the store hold {len(frames)} frames and not {wanted[-1] + 1}")
    return [frames[place].to_ndarray(format="yuv420p") for place in wanted]
