"""A few frames spread over a video, as pictures for people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.data.container import DecodeError
from benchmark.data.decode import DecoderName, open_video
from benchmark.data.preprocess import square_rgb


def spread_frames(
    path: Path, positions: Sequence[float], side: int, decoder: DecoderName = "pyav"
) -> np.ndarray | None:
    """Frames at some positions of a video, (N, side, side, 3) uint8 RGB; None where the file cannot be read.

    Args:
        path: The file.
        positions: Shares of the video's length, from 0 to below 1, ascending.
        side: In pixels, even.
        decoder: Backend that decodes.
    """
    frames = np.empty((len(positions), side, side, 3), np.uint8)
    try:
        with open_video(path, decoder) as video:
            numbers = [int(position * video.frames) for position in positions]
            for number, picture in video.read(sorted(set(numbers))):
                frames[[place for place, wanted in enumerate(numbers) if wanted == number]] = square_rgb(picture, side)
    except DecodeError:
        return None
    return frames


def evenly(count: int) -> tuple[float, ...]:
    """So many positions, each in the middle of an equal part of a video."""
    return tuple((place + 0.5) / count for place in range(count))
