"""Frames of a video file by their number, with whichever decoder.

Frame n is the n-th picture that a player shows, counted from 0, whatever the container says about times: the same
frame that decoding the whole file in order and counting would give. Seeking only makes it cheaper.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from benchmark.data.container import DecodeError as DecodeError
from benchmark.data.container import reasons
from benchmark.data.preprocess import Picture
from benchmark.data.pyav_video import PyAVVideo, known_timeline
from benchmark.data.torchcodec_video import TorchcodecVideo, require_torchcodec

DecoderName = Literal["pyav", "torchcodec"]


class OpenVideo(Protocol):
    """An open video: its number of frames and the frames themselves."""

    frames: int

    def shown_seconds(self) -> np.ndarray:
        """(frames,) ascending float64: when each frame is shown, counted from the first one.

        Where the container tells no times, frames are taken to be evenly spaced at its frame rate.

        Raises:
            DecodeError: If it tells neither.
        """

    def read(self, numbers: Sequence[int], span: Sequence[int] | None = None) -> Iterator[tuple[int, Picture]]:
        """Pairs (number, picture) for ascending, distinct frame numbers.

        Args:
            numbers: The frames to give.
            span: Frames that have to be sound as well: all of the clips, so that whether a clip can be read does not
                depend on which of its frames an architecture reads.

        Raises:
            DecodeError: If one of them, or a frame that it is built on, is damaged; also after the last was given.
        """


@contextlib.contextmanager
def open_video(path: Path, decoder: DecoderName = "pyav") -> Iterator[OpenVideo]:
    """An open video for reading frames by number.

    Args:
        path: The file.
        decoder: `pyav` needs nothing installed but this package; `torchcodec` needs FFmpeg's libraries.

    Raises:
        DecodeError: If the file cannot be read, now or while reading frames.
        UserError: If the decoder is not installed.
    """
    with reasons(decoder):
        video = _open(path, decoder)
    try:
        yield video
    finally:
        video.close()


def _open(path: Path, decoder: DecoderName) -> PyAVVideo | TorchcodecVideo:
    if not path.is_file():
        raise DecodeError("the file does not exist" if not path.exists() else "it is not a file")
    require_decoder(decoder)
    stat = path.stat()
    if stat.st_size == 0:
        raise DecodeError("the file is empty")
    timeline = known_timeline(str(path), stat.st_mtime_ns, stat.st_size)
    if timeline.frames == 0:
        raise DecodeError("its video stream has no frames")
    video = PyAVVideo(path, timeline)
    # torchcodec finds frames by presentation times, which must be there and right.
    if decoder == "pyav" or timeline.shown is None or timeline.clock == "dts" or not video.has_own_times:
        return video
    return TorchcodecVideo(path, timeline, video)


def require_decoder(decoder: DecoderName) -> None:
    """Refuse a decoder that cannot be loaded here.

    Raises:
        UserError: With what is missing.
    """
    if decoder == "torchcodec":
        require_torchcodec()
