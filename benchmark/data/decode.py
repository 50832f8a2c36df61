"""Frames of a video file by their number; the one place that imports a decoder.

Frame n is the n-th picture that a player shows, counted from 0, whatever the container says about times: the same
frame that decoding the whole file in order and counting would give. Seeking only makes it cheaper.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import av
import av.error
import av.stream
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from benchmark.data.container import open_container
from benchmark.data.preprocess import Picture
from benchmark.data.timeline import Clock, Timeline, evenly
from benchmark.errors import UserError

DecoderName = Literal["pyav", "torchcodec"]

# The colour spaces and range for which OpenCV's planar conversion is the right one (BT.601, limited range).
_BT601 = {2, 5, 6}  # unspecified, BT.470 B/G, SMPTE 170M
_FULL_RANGE = 2

# Codecs whose pictures say for certain that no other picture is built on them: B-pictures of MPEG-4 (ISO 14496-2),
# nal_ref_idc 0 in H.264. Those that nobody wants are not decoded at all.
_SKIPPABLE = {"mpeg4", "h264"}

# The time of a frame that no packet brings out but the end of the file; it is the last.
_FLUSHED = 2**62

# Containers in which FFmpeg finds a keyframe by an index of times; elsewhere it searches, and may land behind it.
_INDEXED = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "gif"}


class DecodeError(Exception):
    """A video that cannot be read; the message is the reason, one sentence."""


class Video(Protocol):
    """An open video: its number of frames and the frames themselves."""

    frames: int

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Pairs (number, picture) for ascending, distinct frame numbers."""


def _time(frame: av.VideoFrame, clock: Clock) -> int:
    """The time of a decoded frame; below all others if it has none."""
    if clock == "dts":
        return _FLUSHED if frame.dts is None else int(frame.dts)
    return -_FLUSHED if frame.pts is None else int(frame.pts)


def _video_stream(container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; neither a cover picture nor text that FFmpeg would draw as a video."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic and container.format.name != "tty":
            if stream.codec_context is None:
                raise DecodeError("FFmpeg cannot tell how its video stream is coded")
            stream.thread_type = "NONE"
            return stream
    raise DecodeError("it has no video stream")


def _packets(container: InputContainer, stream: VideoStream) -> Iterator["av.Packet[VideoStream]"]:
    """The stream's packets; in a file that was cut off, up to the packet that is not whole."""
    for packet in container.demux(stream):
        if packet.is_corrupt and container.format.name in _INDEXED:
            return
        if packet.size:
            yield packet


def _frames(
    container: InputContainer,
    stream: VideoStream,
    needed: frozenset[int] | None = None,
    clock: Clock = "pts",
) -> Iterator[av.VideoFrame]:
    """The frames from here to the end, in the order in which they are shown.

    Args:
        container: An open file.
        stream: Its video stream.
        needed: Times of packets whose frames are needed; others may be left out. None is all.
        clock: What those times are.
    """
    context = stream.codec_context
    context.skip_frame = "DEFAULT"
    may_skip = needed is not None and context.name in _SKIPPABLE
    for packet in _packets(container, stream):
        if needed is not None and may_skip:
            time = packet.pts if clock == "pts" else packet.dts
            context.skip_frame = "DEFAULT" if time in needed else "NONREF"
        yield from context.decode(packet)
    yield from context.decode(None)


class _PyAVVideo:
    """A file read with PyAV, one thread."""

    def __init__(self, path: Path, timeline: Timeline) -> None:
        self.frames = timeline.frames
        self._path, self._timeline = path, timeline
        self._at_start = False
        self._rewind()

    def _rewind(self) -> None:
        """Go back to the start by opening the file anew, which works where seeking does not."""
        if not self._at_start:
            self.close()
            self._container = open_container(self._path)
            self._stream = _video_stream(self._container)
            self._at_start = True

    def close(self) -> None:
        if hasattr(self, "_container"):
            self._container.close()

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        wanted = list(numbers)
        position = 0
        with _reasons("pyav"):
            decoded = self._counted() if self._timeline.shown is None else self._sought(wanted)
            for number, frame in decoded:
                if position == len(wanted):
                    return
                if number != wanted[position]:
                    continue
                if frame.is_corrupt:
                    raise DecodeError(f"frame {number} of {self.frames} is damaged")
                yield number, _picture(frame)
                position += 1
            if position < len(wanted):
                raise DecodeError(f"frame {wanted[position]} of {self.frames} could not be decoded")

    def _counted(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames in order, numbered by counting."""
        self._rewind()
        self._at_start = False
        yield from enumerate(_frames(self._container, self._stream))

    def _sought(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """The wanted frames that can be decoded, in order; jumps over stretches that nobody wants."""
        times = self._timeline.times(wanted)
        position = 0
        while position < len(wanted):
            before = position
            # Some keyframes only begin a gradual refresh; what cannot be had from one is had from the start.
            for from_start in (False, True):
                if position == before:
                    for frame in self._stretch(times[position:], from_start=from_start):
                        yield wanted[position], frame
                        position += 1
            if position == before:
                return

    def _stretch(self, times: list[int], *, from_start: bool) -> Iterator[av.VideoFrame]:
        """The first frames of these times, as many as are cheaper to reach by decoding on than by a jump."""
        timeline, position = self._timeline, 0
        key = timeline.key_before(times[0])
        if from_start or key == timeline.keys[0]:
            self._rewind()
        else:
            self._container.seek(key, stream=self._stream, backward=True)
        self._at_start = False
        # What cannot be had without the frames that nobody wants is tried once more with them.
        needed = None if from_start else frozenset(times)
        for frame in _frames(self._container, self._stream, needed, timeline.clock):
            time = _time(frame, timeline.clock)
            if time > times[position]:
                return
            if time == times[position]:
                yield frame
                position += 1
                if position == len(times) or timeline.key_before(times[position]) > time:
                    return


def _picture(frame: av.VideoFrame) -> Picture:
    """The frame's planes, or its RGB values where the planes need a conversion that only FFmpeg knows."""
    quarter_turns = round(frame.rotation / 90) % 4
    planar = frame.format.name == "yuv420p" and frame.color_range != _FULL_RANGE and frame.colorspace in _BT601
    if planar:
        planes = []
        for plane in frame.planes:
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[: plane.height, : plane.width])
        return Picture(yuv=(planes[0], planes[1], planes[2]), quarter_turns=quarter_turns)
    return Picture(rgb=frame.to_ndarray(format="rgb24"), quarter_turns=quarter_turns)


@functools.lru_cache(maxsize=32768)
def _known_timeline(path: str, modified_ns: int, size_bytes: int) -> Timeline:
    """The timeline of a file, remembered until the file changes."""
    return read_timeline(Path(path))


def read_timeline(path: Path) -> Timeline:
    """The timeline of a file, worked out anew; `open_video` remembers those of the files it opened last.

    Raises:
        FFmpegError: If the file cannot be read.
    """
    with open_container(path) as container:
        stream = _video_stream(container)
        packets = [(p.pts, p.is_keyframe, p.is_discard) for p in _packets(container, stream)]
        times = [time for time, _, _ in packets if time is not None]
        complete = len(times) == len(packets) == len(set(times))
        # An edit list may hide frames that decoding has to begin with.
        shown = sorted(time for time, _, is_hidden in packets if time is not None and not is_hidden)
        keys = sorted(time for time, is_key, _ in packets if time is not None and is_key)
        # AVI has no presentation times; with B-frames FFmpeg guesses them, and guesses wrong for packed bitstreams.
        guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
        indexed = container.format.name in _INDEXED
        if complete and indexed and not guessed and shown and keys and keys[0] <= shown[0]:
            return Timeline(len(shown), evenly(shown), np.array(keys))
    return _counted_timeline(path)


def _counted_timeline(path: Path) -> Timeline:
    """The timeline of a file that has to be decoded for it."""
    with open_container(path) as container:
        stream = _video_stream(container)
        # MPEG-4 brings a frame out with the next reference frame's packet, whatever else is decoded in between.
        times = [_time(frame, "dts") for frame in _frames(container, stream)]
        is_ascending = all(first < second for first, second in itertools.pairwise(times))
        if stream.codec_context.name == "mpeg4" and container.format.name == "avi" and times and is_ascending:
            return Timeline(len(times), np.array(times), np.array(times[:1]), "dts")
    return Timeline(len(times), None, np.array([]))


class _TorchcodecVideo:
    """A file read with torchcodec, one thread."""

    def __init__(self, path: Path, timeline: Timeline) -> None:
        from torchcodec.decoders import VideoDecoder

        with open_container(path) as container:
            stream = _video_stream(container).index
        self._decoder = VideoDecoder(
            str(path), stream_index=stream, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
        )
        self.frames = timeline.frames

    def close(self) -> None:
        """Nothing is held open."""

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        wanted = list(numbers)
        with _reasons("torchcodec"):
            for number, rgb in zip(wanted, self._decoder.get_frames_at(wanted).data, strict=True):
                yield number, Picture(rgb=rgb.numpy())


@contextlib.contextmanager
def _reasons(decoder: DecoderName) -> Iterator[None]:
    """Turns what a decoder and the file system raise into a reason."""
    try:
        yield
    except (DecodeError, UserError):
        raise
    except FileNotFoundError:
        raise DecodeError("the file does not exist") from None
    except PermissionError:
        raise DecodeError("the file may not be read (permission denied)") from None
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, IndexError) as error:
        raise DecodeError(f"{decoder} cannot read it: {_one_line(error)}") from error


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
    with _reasons(decoder):
        video = _open(path, decoder)
    try:
        yield video
    finally:
        video.close()


def _open(path: Path, decoder: DecoderName) -> _PyAVVideo | _TorchcodecVideo:
    if not path.is_file():
        raise DecodeError("the file does not exist" if not path.exists() else "it is not a file")
    require_decoder(decoder)
    stat = path.stat()
    if stat.st_size == 0:
        raise DecodeError("the file is empty")
    timeline = _known_timeline(str(path), stat.st_mtime_ns, stat.st_size)
    if timeline.frames == 0:
        raise DecodeError("its video stream has no frames")
    # torchcodec orders frames by presentation times, which must be right.
    if decoder == "pyav" or timeline.shown is None or timeline.clock == "dts":
        return _PyAVVideo(path, timeline)
    return _TorchcodecVideo(path, timeline)


def require_decoder(decoder: DecoderName) -> None:
    """Refuse a decoder that cannot be loaded here.

    Raises:
        UserError: With what is missing.
    """
    if decoder == "pyav":
        return
    try:
        import torchcodec.decoders  # noqa: F401

        _load_torchcodec()
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            f"data.decoder is torchcodec, which cannot be loaded here ({_one_line(error)}); "
            "run `pip install 'clipbench[torchcodec]'` and install FFmpeg, or use data.decoder=pyav"
        ) from error


@functools.cache
def _load_torchcodec() -> None:
    """Make torchcodec look for FFmpeg's libraries, which some releases leave to the first decoder."""
    from torchcodec.decoders import VideoDecoder

    try:
        VideoDecoder(b"no video")
    except (RuntimeError, ValueError) as error:
        if "libtorchcodec" in str(error):
            raise


def _one_line(error: BaseException) -> str:
    """The first line of an error, without the number and the path that an OSError adds."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
