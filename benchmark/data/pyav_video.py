"""A video read with PyAV: its timeline, and frames by number, each with everything that it is built on."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmark.data.container import DecodeError, open_container, reasons
from benchmark.data.display import PixelShape, picture, shown_stream, stream_of
from benchmark.data.packets import FLUSHED, INDEXED, Decoding, packets, time_of
from benchmark.data.preprocess import Picture
from benchmark.data.timeline import Timeline, evenly


@functools.lru_cache(maxsize=32768)
def known_timeline(path: str, modified_ns: int, size_bytes: int) -> Timeline:
    """The timeline of a file, remembered until the file changes."""
    return read_timeline(Path(path))


def read_timeline(path: Path) -> Timeline:
    """The timeline of a file, worked out again; `open_video` remembers those of the files it opened last.

    Raises:
        DecodeError: If the file has no video stream.
        FFmpegError: If the file cannot be read.
    """
    with open_container(path) as container:
        stream = shown_stream(container, path)
        index = stream.index
        found = [(p.pts, p.is_keyframe, p.is_discard, p.pos) for p in packets(container, stream)]
        times = [time for time, *_ in found if time is not None]
        complete = len(times) == len(found) == len(set(times))
        # An edit list may hide frames that decoding has to begin with.
        shown = sorted(time for time, _, is_hidden, _ in found if time is not None and not is_hidden)
        begins = {time: place for time, is_key, _, place in found if time is not None and is_key}
        keys = sorted(begins)
        places = [place for place in map(begins.get, keys) if place is not None and place >= 0]
        # AVI has no presentation times; with B-frames FFmpeg guesses them, and guesses wrong for packed bitstreams.
        guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
        indexed = container.format.name in INDEXED
        if complete and indexed and not guessed and shown and keys and keys[0] <= shown[0]:
            known = np.array(places if len(places) == len(keys) else [], np.int64)
            return Timeline(len(shown), evenly(shown), np.array(keys), stream=index, places=known)
    return _counted_timeline(path, index)


def _counted_timeline(path: Path, index: int) -> Timeline:
    """The timeline of a file that has to be decoded for it."""
    with open_container(path) as container:
        stream = stream_of(container, index)
        # MPEG-4 brings a frame out with the next reference frame's packet, whatever else is decoded in between.
        times = [time_of(frame, "dts") for frame in Decoding(container, stream, counted=True).frames()]
        is_ascending = all(first < second for first, second in itertools.pairwise(times))
        if stream.codec_context.name == "mpeg4" and container.format.name == "avi" and times and is_ascending:
            return Timeline(len(times), np.array(times), np.array(times[:1]), "dts", index)
    return Timeline(len(times), None, np.array([]), stream=index)


class PyAVVideo:
    """A file read with PyAV, one thread."""

    def __init__(self, path: Path, timeline: Timeline) -> None:
        self.frames = timeline.frames
        self._path, self._timeline = path, timeline
        self._at_start = False
        self._rewind()

    def _rewind(self) -> None:
        """Go back to the start by opening the file again, which works where seeking does not."""
        if not self._at_start:
            self.close()
            self._container = open_container(self._path)
            self._stream = stream_of(self._container, self._timeline.stream)
            self._pixel_shape = PixelShape(self._stream)
            self._at_start = True

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "_container"):
            self._container.close()

    def read(self, numbers: Sequence[int], span: Sequence[int] | None = None) -> Iterator[tuple[int, Picture]]:
        """See `OpenVideo.read`."""
        for number, frame in self.decoded(numbers, span):
            with reasons("pyav"):
                shown = picture(frame, self.pixel_shape())
            yield number, shown

    def pixel_shape(self) -> Fraction:
        """Width of a pixel of the frame decoded last, as a multiple of its height."""
        return self._pixel_shape.now()

    def shown_seconds(self) -> np.ndarray:
        """See `OpenVideo.shown_seconds`."""
        shown = self._timeline.shown
        if shown is not None:
            seconds = (np.array(shown, np.float64) - shown[0]) * self.tick_seconds
            if self.frames > 1 and shown[-1] == FLUSHED:
                # The end of the file has no time; the frame that it brings out follows as the others do.
                steps = np.diff(seconds[:-1])
                usual = float(np.median(steps)) if len(steps) else 1 / float(self._stream.guessed_rate or 1)
                seconds[-1] = seconds[-2] + usual
            return seconds
        rate = self._stream.average_rate or self._stream.guessed_rate
        if not rate and self.frames > 1:
            raise DecodeError("nothing tells when its frames are shown")
        return np.arange(self.frames) / float(rate or 1)

    @property
    def has_own_times(self) -> bool:
        """Whether the container says of each frame when it is shown; AVI counts, and its index may be wrong."""
        return bool(self._container.format.name != "avi")

    @property
    def tick_seconds(self) -> float:
        """What one step of the timeline's times is."""
        return float(self._stream.time_base or 1)

    def decoded(self, numbers: Sequence[int], span: Sequence[int] | None = None) -> Iterator[tuple[int, av.VideoFrame]]:
        """Pairs (number, frame), as `OpenVideo.read` has pictures."""
        asked = set(numbers)
        wanted = sorted(asked.union(span or ()))
        position = 0
        with reasons("pyav"):
            decoded = self._counted(set(wanted)) if self._timeline.shown is None else self._sought(wanted)
            for number, frame in decoded:
                if position == len(wanted):
                    return
                if number != wanted[position]:
                    continue
                position += 1
                if number in asked:
                    yield number, frame
            if position < len(wanted):
                raise DecodeError(f"frame {wanted[position]} of {self.frames} could not be decoded")

    def _damaged(self, number: int, decoding: Decoding) -> DecodeError:
        said = f" ({decoding.fault})" if decoding.fault else ""
        return DecodeError(f"frame {number} of {self.frames}, or one that it is built on, is damaged{said}")

    def _counted(self, wanted: set[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames in order, numbered by counting, up to the first wanted one that is damaged."""
        self._rewind()
        self._at_start = False
        decoding = Decoding(self._container, self._stream, counted=True)
        for number, frame in enumerate(decoding.frames()):
            if number in wanted and decoding.is_damaged(frame):
                raise self._damaged(number, decoding)
            yield number, frame

    def _sought(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """The wanted frames that can be decoded, in order; jumps over stretches of which nothing is needed."""
        times = self._timeline.times(wanted)
        position = 0
        while position < len(wanted):
            before = position
            # Some keyframes only begin a gradual refresh; what cannot be had from one is had from the start.
            for from_start in (False, True):
                if position == before:
                    decoding = self._begin(times[position:], from_start=from_start)
                    for frame in self._stretch(decoding, times[position:]):
                        yield wanted[position], frame
                        position += 1
            if position == before:
                if decoding.is_damaged():
                    raise self._damaged(wanted[position], decoding)
                return

    def _begin(self, times: list[int], *, from_start: bool) -> Decoding:
        """Go to the last keyframe before some times, or to the start."""
        timeline, place, is_sought = self._timeline, None, False
        key = timeline.key_before(times[0])
        if from_start or key == timeline.keys[0]:
            key = int(timeline.keys[0])
            self._rewind()
        else:
            place, is_sought = timeline.place_of(key), True
            self._container.seek(key, stream=self._stream, backward=True)
        self._at_start = False
        # What cannot be had without the frames that are not needed is tried once more with them.
        needed = None if from_start else frozenset(times)
        return Decoding(self._container, self._stream, needed, timeline.clock, key, place, sought=is_sought)

    def _stretch(self, decoding: Decoding, times: list[int]) -> Iterator[av.VideoFrame]:
        """The first frames of these times, as many as are sound and cheaper to reach by decoding on than by a jump."""
        timeline, position = self._timeline, 0
        for frame in decoding.frames():
            time = time_of(frame, timeline.clock)
            if time > times[position] or (time == times[position] and decoding.is_damaged(frame)):
                return
            if time == times[position]:
                yield frame
                position += 1
                if position == len(times) or timeline.key_before(times[position]) > time:
                    return
