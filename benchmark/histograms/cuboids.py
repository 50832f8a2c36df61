"""Cuboids (Dollár et al., 2005): space-time gradients at the points where a video moves periodically.

A Gaussian smooths each frame, and a quadrature pair of Gabor filters goes through time; the points are the local maxima
of their energy. Letters: T frames, H height, W width, n points.
"""

import functools
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct
from scipy.ndimage import correlate1d

DEVIATION = 2.0
"""Of the Gaussian, in pixels."""

DURATION = 3.0
"""Of the Gabor filters' envelope, in frames."""

FREQUENCY = 4 / DURATION
"""Of their wave, in radians a frame: of the paper's two parameters this one is bound to the other. Read as cycles a
frame it would be faster than the frames."""

WIDTH, LENGTH = 13, 19
"""Pixels along a side, and frames, of a cuboid: 6 times DEVIATION and DURATION, rounded up to odd numbers."""

COEFFICIENTS = 4
"""Kept of the cosine transform along each axis. The original reduces the gradients by principal components, which for
smooth signals the cosine transform comes close to; it needs no training."""

CHUNK = 64
"""Frames looked at together."""

_HALF = LENGTH // 2
_WEAKEST = 1e-4  # energy of a contrast of 1%, below which there is but noise


@functools.cache
def gabor_pair() -> tuple[np.ndarray, np.ndarray]:
    """The even and the odd filter, (13,) each; neither answers to what stays as it is."""
    time = np.arange(-2 * DURATION, 2 * DURATION + 1)
    envelope = np.exp(-((time / DURATION) ** 2))
    even = -np.cos(FREQUENCY * time) * envelope
    even -= envelope * even.sum() / envelope.sum()
    return even, -np.sin(FREQUENCY * time) * envelope


def energy(frames: np.ndarray) -> np.ndarray:
    """How strongly each point moves periodically.

    Args:
        frames: (T, H, W) float32 brightness, 0 to 1.

    Returns:
        (T, H, W) float32; the first and the last 6 frames do not know what is beyond.
    """
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), DEVIATION) for frame in frames])
    even, odd = _filter_matrices(len(frames)) @ smooth.reshape(len(frames), -1)
    return np.asarray(even**2 + odd**2).reshape(frames.shape)


@functools.lru_cache(maxsize=8)
def _filter_matrices(length: int) -> np.ndarray:
    """(2, T, T) float32: both filters at each of T frames, of which the first and the last are taken to go on."""
    ends = (correlate1d(np.eye(length), taps, 0, mode="nearest") for taps in gabor_pair())
    return np.stack([*ends]).astype(np.float32)


def _local_maxima(response: np.ndarray) -> np.ndarray:
    """(T, H, W) bool: what nothing within 3 frames and 4 pixels exceeds."""
    square = np.ones((9, 9), np.uint8)
    around = np.stack([cv2.dilate(frame, square) for frame in response])
    highest = around.copy()
    for frames in range(1, 4):
        np.maximum(highest[frames:], around[:-frames], out=highest[frames:])
        np.maximum(highest[:-frames], around[frames:], out=highest[:-frames])
    return np.asarray(response == highest)


def strongest(response: np.ndarray, most: int) -> np.ndarray:
    """The strongest local maxima whose cuboid is inside the frames, (n, 3) int64: frame, row, column."""
    _, height, width = response.shape
    margin = WIDTH // 2
    inner = np.zeros(response.shape, bool)
    inner[_HALF:-_HALF, margin : height - margin, margin : width - margin] = True
    peaks = _local_maxima(response) & (response > _WEAKEST) & inner
    points = np.argwhere(peaks)
    order = np.argsort(-response[peaks], kind="stable")[:most]
    return points[np.sort(order)]


@functools.cache
def _transform(length: int) -> np.ndarray:
    """(4, length) float32: the slowest waves of the orthonormal cosine transform."""
    waves: np.ndarray = dct(np.eye(length), axis=0, norm="ortho")[:COEFFICIENTS]
    return waves.astype(np.float32)


def describe(frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Gradients of the cuboids around some points.

    Args:
        frames: (T, H, W) float32 brightness.
        points: (n, 3) int64, as `strongest` gives them.

    Returns:
        (n, 192) float32 of length 1: along time, rows and columns, the slowest 4x4x4 waves of each.
    """
    if not len(points):
        return np.zeros((0, 3 * COEFFICIENTS**3), np.float32)
    time, row, column = (points - [_HALF, WIDTH // 2, WIDTH // 2]).T
    cuboids = sliding_window_view(frames, (LENGTH, WIDTH, WIDTH))[time, row, column]
    gradients = np.stack(np.gradient(cuboids, axis=(1, 2, 3)), 1)
    short, side = _transform(LENGTH), _transform(WIDTH)
    waves = np.einsum("nctyx,at,by,dx->ncabd", gradients, short, side, side, optimize=True).reshape(len(points), -1)
    unit: np.ndarray = waves / (np.linalg.norm(waves, axis=1, keepdims=True) + 1e-6)
    return unit.astype(np.float32)


class CuboidStream:
    """Finds and describes cuboids in frames that come one by one, holding less than 100 of them.

    Args:
        most: Cuboids a frame; what a stretch of 64 frames does not have, later ones may.
    """

    def __init__(self, most: float) -> None:
        self.most, self._owed = most, 0.0
        self._frames: list[np.ndarray] = []

    def add(self, frame: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Take the next frame, (H, W) float32 brightness from 0 to 1; yields what `_found` does, once in a while."""
        if not self._frames:  # what was before the first frame is taken to be like it
            self._frames = [frame] * _HALF
        self._frames.append(frame)
        if len(self._frames) == CHUNK + 2 * _HALF:
            yield self._found()
            self._frames = self._frames[CHUNK:]

    def end(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Take the last frame to stay; yields what is left."""
        if len(self._frames) > _HALF:
            self._frames += [self._frames[-1]] * _HALF
            yield self._found()

    def _found(self) -> tuple[np.ndarray, np.ndarray]:
        """Places (n, 2), row and column, and descriptors (n, 192) of one stretch."""
        frames = np.stack(self._frames)
        self._owed += self.most * (len(frames) - 2 * _HALF)
        points = strongest(energy(frames), int(self._owed))
        self._owed -= len(points)
        return points[:, 1:], describe(frames, points)
