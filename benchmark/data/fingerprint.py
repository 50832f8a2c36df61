"""A fingerprint of three frames of a video, as this suite decodes them."""

from pathlib import Path

import cv2
import numpy as np

from benchmark.content import CUTS, POSITIONS, WORDS, word_of
from benchmark.data.container import DecodeError
from benchmark.data.decode import open_video
from benchmark.data.preprocess import square_rgb

_FRAME_SIDE, _SIDE, _KEPT = 200, 32, 8


def fingerprint_of(path: Path) -> np.ndarray | None:
    """(6,) uint64, see `benchmark.content`; None where the video cannot be read or shows nothing."""
    words = np.zeros((len(CUTS), len(POSITIONS)), np.uint64)
    try:
        with open_video(path) as video:
            numbers = [int(position * video.frames) for position in POSITIONS]
            for number, picture in video.read(sorted(set(numbers))):
                frame = frame_words(square_rgb(picture, _FRAME_SIDE))
                for place in (place for place, wanted in enumerate(numbers) if wanted == number):
                    words[:, place] = frame
    except DecodeError:
        return None
    return words.reshape(WORDS) if words.any() else None


def frame_words(rgb: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 RGB to (2,) uint64: the frame whole, and without its borders."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    words = []
    for cut in CUTS:
        edge = round(cut * len(grey))
        inner = grey[edge : len(grey) - edge, edge : len(grey) - edge]
        small = cv2.resize(inner, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        words.append(word_of(cv2.dct(small)[:_KEPT, :_KEPT], float(small.std())))
    return np.array(words, np.uint64)
