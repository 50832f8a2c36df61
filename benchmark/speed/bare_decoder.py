"""The least that any reader of clips must do: the decoder alone, without a conversion, and what it has to be told."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av.error

from benchmark.data.container import DecodeError, open_container
from benchmark.data.display import shown_stream


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Turns what the decoder raises into a reason."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise DecodeError(f"the bare decoder cannot read it: {error.strerror}") from error


def frames_per_second(path: Path) -> float:
    """Average frame rate that the container states.

    Raises:
        DecodeError: If it states none, or cannot be read.
    """
    with _reasons(), open_container(path) as container:
        rate = shown_stream(container, path).average_rate
    if not rate:
        raise DecodeError("it does not state its frames per second")
    return float(rate)


def decode_alone(path: Path, first: int, last: int, frames_per_second: float) -> int:
    """Decode from the key frame before a clip to its last frame, with one thread, and convert nothing.

    Args:
        path: The file.
        first: Number of the first frame of the clip.
        last: Of the last.
        frames_per_second: Of the video, which turns numbers into times.

    Returns:
        Frames decoded.

    Raises:
        DecodeError: If the file cannot be read.
    """
    decoded = 0
    with _reasons(), open_container(path) as container:
        stream = shown_stream(container, path)
        stream.thread_type = "NONE"
        begin, ticks = stream.start_time or 0, 1 / (frames_per_second * float(stream.time_base or 1))
        if first:
            container.seek(begin + round(first * ticks), stream=stream, backward=True)
        for frame in container.decode(stream):
            decoded += 1
            if frame.pts is not None and frame.pts >= begin + (last - 0.5) * ticks:
                break
    return decoded
