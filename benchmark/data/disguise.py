"""Copies of a video that nothing but its pictures tells apart from others: of the same frames, or of changed ones."""

import contextlib
import dataclasses
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from benchmark.data.decode import DecodeError, open_video
from benchmark.data.preprocess import Picture, whole_rgb

_LARGEST_SIDE = 400  # pixels of the shorter side of a changed copy, twice what the protocol keeps
_TICKS = 1000  # a second
_TIME = 1_700_000_000  # of every copy


def plain_copy(source: Path, target: Path, padding: int) -> None:
    """The same bytes and so many more that no decoder reads, where the container has a place for them.

    Args:
        source: A file, which may be damaged.
        target: The copy; its time of change says nothing.
        padding: Bytes to add, 8 to 10^6.
    """
    shutil.copyfile(source, target)
    filler = _filler(source.suffix.lower(), padding)
    if filler:
        with target.open("ab") as file:
            file.write(filler)
        if _frames(target) != _frames(source):  # this one took it for something
            shutil.copyfile(source, target)
    os.utime(target, (_TIME, _TIME))


def _filler(suffix: str, size: int) -> bytes:
    """An element that a container may have anywhere and that nobody reads; nothing where none is known."""
    if suffix in {".mp4", ".mov", ".m4v"}:
        return (size + 8).to_bytes(4, "big") + b"free" + bytes(size)
    if suffix == ".avi":
        size += size % 2
        return b"JUNK" + size.to_bytes(4, "little") + bytes(size)
    if suffix in {".mkv", ".webm"}:
        return b"\xec" + (size | 1 << 56).to_bytes(8, "big") + bytes(size)
    return b""


def _frames(path: Path) -> int | None:
    with contextlib.suppress(DecodeError), open_video(path) as video:
        return video.frames
    return None


@dataclasses.dataclass(frozen=True)
class Change:
    """How a copy differs from its video.

    Args:
        cut: Share of width and height left out at each side, 0 to below 0.5.
        first: Frames left out at the beginning.
        quality: Constant rate factor of the encoder, or a quantiser where there is no H.264.
    """

    cut: float
    first: int
    quality: int


def changed_copy(source: Path, target: Path, change: Change) -> int:
    """Encode a video again, smaller and later.

    Args:
        source: A file.
        target: The copy, an .mp4.
        change: What to change.

    Returns:
        Frames left out at the beginning, at most all but the last.

    Raises:
        DecodeError: If it cannot be read, or no encoder takes it.
    """
    try:
        return _changed_copy(source, target, change)
    except (OverflowError, av.FFmpegError) as error:
        raise DecodeError(f"it cannot be encoded again: {error}") from None
    finally:
        if target.exists():
            os.utime(target, (_TIME, _TIME))


def _changed_copy(source: Path, target: Path, change: Change) -> int:
    with open_video(source) as video, av.open(str(target), "w") as container:
        first = min(change.first, video.frames - 1)
        shown = video.shown_seconds()
        numbers = list(range(first, video.frames))
        stream = None
        last = -1
        for number, picture in video.read(numbers):
            image = _cut(picture, change.cut)
            if stream is None:
                stream = _stream(container, image, change.quality)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            last = max(last + 1, round((float(shown[number]) - float(shown[first])) * _TICKS))
            frame.pts, frame.time_base = last, Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())
    return first


def _cut(picture: Picture, share: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB with even sides."""
    stored = picture.rgb if picture.rgb is not None else picture.yuv[0] if picture.yuv else np.empty((2, 2))
    image = whole_rgb(picture, min(_LARGEST_SIDE, *stored.shape[:2]))
    top, left = (round(share * side) for side in image.shape[:2])
    height, width = (max(2, (side - 2 * off) // 2 * 2) for side, off in zip(image.shape, (top, left), strict=False))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _stream(container: av.container.OutputContainer, image: np.ndarray, quality: int) -> VideoStream:
    has_h264 = "libx264" in av.codec.codecs_available
    options = {"crf": str(quality), "preset": "veryfast"} if has_h264 else {"qmin": "3", "qmax": "3"}
    stream = container.add_stream("libx264" if has_h264 else "mpeg4", rate=25, options=options)
    if not isinstance(stream, VideoStream):
        raise TypeError(f"expected a video stream, got {type(stream)}")
    stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
    stream.codec_context.thread_count = 1
    return stream
