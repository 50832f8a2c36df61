"""How a stream is to be shown: which one it is, how it is turned and mirrored, and the shape of its pixels.

One description for every decoder. What FFmpeg's program and players do is done here too; what cannot be is refused.
"""

import functools
import math
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from benchmark.data.container import MOST_PIXELS, DecodeError, open_container
from benchmark.data.preprocess import SQUARE_PIXELS, UPRIGHT, Orientation, Picture

# The colour spaces and range for which OpenCV's planar conversion is the right one (BT.601, limited range).
_BT601 = {2, 5, 6}  # unspecified, BT.470 B/G, SMPTE 170M
_FULL_RANGE = 2

# FFmpeg's program takes angles that round to a quarter turn's whole degrees for one.
_SMALLEST_TURN = math.sin(math.radians(0.5))

# Containers round: 4:3 of 320x240 is 4096:4083 in AVI.
_ROUNDING = Fraction(1, 200)


def shown_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that a player shows.

    Of the video streams (covers and thumbnails are none; a still picture or a single frame gives way to a stream of
    several) it is the one marked as default, then the one of most pixels, then the first, as for FFmpeg.

    Args:
        container: The open file, of which nothing is read.
        path: The file, opened once more where there is a choice.

    Raises:
        DecodeError: If there is none.
        FFmpegError: If the file cannot be read.
    """
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not streams:
        raise DecodeError("it has no video stream")
    several = _of_several_frames(path, [stream.index for stream in streams]) if len(streams) > 1 else set()
    best = max(streams, key=lambda stream: (stream.index in several, *_rank(stream)))
    if best.codec_context is None:
        raise DecodeError("FFmpeg cannot tell how its video stream is coded")
    if best.codec_context.width * best.codec_context.height > MOST_PIXELS:
        size = f"{best.codec_context.width}x{best.codec_context.height}"
        raise DecodeError(f"it says that its pictures have {size} pixels, more than {MOST_PIXELS:,}")
    return best


def stream_of(container: InputContainer, index: int) -> VideoStream:
    """A video stream by its number in the file."""
    return next(stream for stream in container.streams.video if stream.index == index)


def _rank(stream: VideoStream) -> tuple[bool, bool, bool, int]:
    context = stream.codec_context
    pixels = 0 if context is None else context.width * context.height
    is_still, is_default = (bool(stream.disposition & kind) for kind in (Disposition.still_image, Disposition.default))
    return context is not None, not is_still, is_default, pixels


def _of_several_frames(path: Path, streams: Sequence[int]) -> set[int]:
    """Those streams that have more than one packet; reads until all have."""
    once: set[int] = set()
    several: set[int] = set()
    with open_container(path) as container:
        for packet in container.demux([stream_of(container, index) for index in streams]):
            if packet.size:
                (several if packet.stream.index in once else once).add(packet.stream.index)
            if len(several) == len(streams):
                break
    return several


class PixelShape:
    """Width of a stream's pixels as a multiple of their height; the container's word counts before the coded one.

    Args:
        stream: A stream of which nothing has been decoded.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._stated = stream.sample_aspect_ratio
        self._coded = stream.codec_context.sample_aspect_ratio

    def now(self) -> Fraction:
        """The shape at the frame decoded last.

        Raises:
            DecodeError: If it changed on the way, since then nothing tells at which frame.
        """
        coded = self._stream.codec_context.sample_aspect_ratio
        if self._coded and self._stated == self._coded and coded and coded != self._coded:
            before, after = (f"{shape.numerator}:{shape.denominator}" for shape in (self._coded, coded))
            raise DecodeError(f"the shape of its pixels changes from {before} to {after} in mid-stream")
        shape = self._stated or coded or SQUARE_PIXELS
        return SQUARE_PIXELS if abs(shape - 1) < _ROUNDING else shape


def display_matrix(frame: av.VideoFrame) -> bytes:
    """The matrix by which a frame is to be shown, as FFmpeg stores it; empty if there is none."""
    # By way of `frame.side_data` frame and dictionary would hold each other, and no frame be freed for a while.
    sides: Mapping[str, Any] = cast(Any, SideDataContainer)(frame)
    return bytes(sides.get("DISPLAYMATRIX", b""))


@functools.lru_cache
def orientation(matrix: bytes) -> Orientation:
    """The turn and mirroring that a display matrix asks for.

    Args:
        matrix: Nine 32-bit integers a b u, c d v, x y w: the pixel (p, q) is shown at (ap + cq + x, bp + dq + y).

    Raises:
        DecodeError: If it asks for anything but quarter turns and mirrorings.
    """
    if not matrix:
        return UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not across or not down:  # says nothing; players show such pictures as they are
        return UPRIGHT
    a, b, c, d = a / across, b / down, c / across, d / down
    if max(abs(b), abs(c)) < _SMALLEST_TURN:
        return Orientation(transposed=False, mirrored=a < 0, upside_down=d < 0)
    if max(abs(a), abs(d)) < _SMALLEST_TURN:
        return Orientation(transposed=True, mirrored=c < 0, upside_down=b < 0)
    degrees = round(math.degrees(math.atan2(b, a)))
    raise DecodeError(f"it is to be shown turned by {degrees} degrees or slanted; only quarter turns are")


def picture(frame: av.VideoFrame, pixel_shape: Fraction) -> Picture:
    """The frame's planes, or its RGB values where the planes need a conversion that only FFmpeg knows."""
    shown = orientation(display_matrix(frame))
    planar = frame.format.name == "yuv420p" and frame.color_range != _FULL_RANGE and frame.colorspace in _BT601
    if planar:
        planes = []
        for plane in frame.planes:
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[: plane.height, : plane.width])
        return Picture(yuv=(planes[0], planes[1], planes[2]), orientation=shown, pixel_shape=pixel_shape)
    return Picture(rgb=frame.to_ndarray(format="rgb24"), orientation=shown, pixel_shape=pixel_shape)
