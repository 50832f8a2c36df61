"""Frames of a video file by their number; the one place that imports a decoder.

Frame n is the n-th picture that a player shows, counted from 0, whatever the container says about times: the same
frame that decoding the whole file in order and counting would give. Seeking only makes it cheaper.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import av
import av.error
import numpy as np

from benchmark.data.preprocess import Picture
from benchmark.errors import UserError

DecoderName = Literal["pyav", "torchcodec"]

# The colour spaces and range for which OpenCV's planar conversion is the right one (BT.601, limited range).
_BT601 = {2, 5, 6}  # unspecified, BT.470 B/G, SMPTE 170M
_FULL_RANGE = 2


class DecodeError(Exception):
    """A video that cannot be read; the message is the reason, one sentence."""


class Video(Protocol):
    """An open video: its number of frames and the frames themselves."""

    frames: int

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Pairs (number, picture) for ascending, distinct frame numbers."""


@dataclasses.dataclass(frozen=True)
class Timeline:
    """When each frame is shown, learned from the packets without decoding.

    Args:
        frames: Number of frames.
        shown: Presentation times in ascending order, (frames,) int64 in the stream's time base; None where the
            container does not say, so that frames must be counted.
        keys: Presentation times at which decoding may begin, ascending.
    """

    frames: int
    shown: np.ndarray | None
    keys: np.ndarray

    def number(self, time: int) -> int:
        """The frame shown at a time, or -1 if there is none."""
        if self.shown is None:
            raise ValueError("this timeline has no times")
        place = int(np.searchsorted(self.shown, time))
        return place if place < self.frames and self.shown[place] == time else -1

    def key_before(self, number: int) -> int:
        """The last keyframe's time at or before a frame."""
        if self.shown is None:
            raise ValueError("this timeline has no times")
        return int(self.keys[max(int(np.searchsorted(self.keys, self.shown[number], "right")) - 1, 0)])


class _PyAVVideo:
    """A file read with PyAV, one thread."""

    def __init__(self, path: Path) -> None:
        self._container = av.open(str(path), metadata_errors="ignore")
        streams = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams or self._container.format.name == "tty":  # FFmpeg would draw a text file as a video
            self._container.close()
            raise DecodeError("it has no video stream")
        self._stream = streams[0]
        self._stream.thread_type = "NONE"
        stat = path.stat()
        self._fresh = True
        self._timeline = _known_timeline(str(path), stat.st_mtime_ns, stat.st_size)
        self.frames = self._timeline.frames
        if self.frames == 0:
            self._container.close()
            raise DecodeError("its video stream has no frames")

    def close(self) -> None:
        self._container.close()

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        wanted = list(numbers)
        decoded = self._counted() if self._timeline.shown is None else self._sought(wanted)
        position = 0
        for number, frame in decoded:
            if number != wanted[position]:
                continue
            if frame.is_corrupt:
                raise DecodeError(f"frame {number} of {self.frames} is damaged")
            yield number, _picture(frame)
            position += 1
            if position == len(wanted):
                return
        raise DecodeError(f"frame {wanted[position]} of {self.frames} could not be decoded")

    def _counted(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames in order, numbered by counting."""
        yield from enumerate(self._container.decode(self._stream))

    def _sought(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """The wanted frames and those decoded on the way, in order; jumps over stretches that nobody wants."""
        timeline, position = self._timeline, 0
        while position < len(wanted):
            key = timeline.key_before(wanted[position])
            if not self._fresh or key != timeline.keys[0]:
                self._container.seek(key, stream=self._stream, backward=True)
            self._fresh = False
            for frame in self._container.decode(self._stream):
                number = timeline.number(frame.pts) if frame.pts is not None else -1
                if number > wanted[position]:
                    raise DecodeError(f"frame {wanted[position]} of {self.frames} could not be decoded")
                yield number, frame
                if number == wanted[position]:
                    position += 1
                    if position == len(wanted):
                        return
                    if timeline.key_before(wanted[position]) > frame.pts:
                        break
            else:
                raise DecodeError(f"frame {wanted[position]} of {self.frames} could not be decoded")


def _picture(frame: av.VideoFrame) -> Picture:
    """The frame's planes, or its RGB values where the planes need a conversion that only FFmpeg knows."""
    quarter_turns = round(frame.rotation / 90) % 4
    planar = frame.format.name == "yuv420p" and frame.color_range != _FULL_RANGE and frame.colorspace in _BT601
    if planar:
        planes = []
        for plane in frame.planes:
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[: plane.height, : plane.width])
        return Picture(yuv=(planes[0], planes[1], planes[2]), quarter_turns=quarter_turns)
    return Picture(rgb=frame.to_ndarray(format="rgb24"), quarter_turns=quarter_turns)


@functools.lru_cache(maxsize=4096)
def _known_timeline(path: str, modified_ns: int, size_bytes: int) -> Timeline:
    """The timeline of a file, remembered until the file changes."""
    with av.open(path, metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size]
        times = [time for time, _ in packets if time is not None]
        complete = len(times) == len(packets) == len(set(times))
        keys = sorted(time for time, is_key in packets if is_key and time is not None)
        # AVI has no presentation times; with B-frames FFmpeg guesses them, and guesses wrong for packed bitstreams.
        guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
        if complete and not guessed and keys and keys[0] == min(times):
            return Timeline(len(times), np.array(sorted(times)), np.array(keys))
    with av.open(path, metadata_errors="ignore") as container:
        container.streams.video[0].thread_type = "NONE"
        return Timeline(sum(1 for _ in container.decode(video=0)), None, np.array([]))


class _TorchcodecVideo:
    """A file read with torchcodec, one thread."""

    def __init__(self, path: Path) -> None:
        from torchcodec.decoders import VideoDecoder

        self._decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        self.frames = len(self._decoder)

    def close(self) -> None:
        """Nothing is held open."""

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        wanted = list(numbers)
        for number, rgb in zip(wanted, self._decoder.get_frames_at(wanted).data, strict=True):
            yield number, Picture(rgb=rgb.numpy())


@contextlib.contextmanager
def open_video(path: Path, decoder: DecoderName = "pyav") -> Iterator[Video]:
    """An open video for reading frames by number.

    Args:
        path: The file.
        decoder: `pyav` needs nothing installed but this package; `torchcodec` needs FFmpeg's libraries.

    Raises:
        DecodeError: If the file cannot be read, now or while reading frames.
        UserError: If the decoder is not installed.
    """
    try:
        video = _open(path, decoder)
        try:
            yield video
        finally:
            video.close()
    except DecodeError:
        raise
    except FileNotFoundError:
        raise DecodeError("the file does not exist") from None
    except PermissionError:
        raise DecodeError("the file may not be read (permission denied)") from None
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, IndexError) as error:
        raise DecodeError(f"{decoder} cannot read it: {_one_line(error)}") from error


def _open(path: Path, decoder: DecoderName) -> _PyAVVideo | _TorchcodecVideo:
    if not path.is_file():
        raise DecodeError("the file does not exist" if not path.exists() else "it is not a file")
    if path.stat().st_size == 0:
        raise DecodeError("the file is empty")
    if decoder == "pyav":
        return _PyAVVideo(path)
    require_decoder(decoder)
    stat = path.stat()
    if _known_timeline(str(path), stat.st_mtime_ns, stat.st_size).shown is None:
        return _PyAVVideo(path)  # torchcodec orders frames by times, and this file's cannot be trusted
    return _TorchcodecVideo(path)


def require_decoder(decoder: DecoderName) -> None:
    """Refuse a decoder that cannot be loaded here.

    Raises:
        UserError: With what is missing.
    """
    if decoder == "pyav":
        return
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            "data.decoder is torchcodec, which cannot be loaded here "
            f"({_one_line(error)}); run `pip install 'clipbench[torchcodec]'` and install FFmpeg, or use data.decoder=pyav"
        ) from error


def _one_line(error: BaseException) -> str:
    """The first line of an error without addresses or paths that only confuse."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
