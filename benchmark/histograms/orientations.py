"""Histograms of oriented gradients (Dalal and Triggs, 2005) and of optical flow, at any places of a frame.

Both describe a block of 16x16 pixels by its 2x2 cells. scikit-image has the former on a grid alone, and nothing for
flow; on its grid ours is equal to it. Letters: H height, W width, n blocks.
"""

import dataclasses

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

CELL = 8
"""Side of a cell in pixels."""

BLOCK = 2 * CELL
"""Side of a block in pixels."""

ORIENTATIONS = 9
"""Of a gradient, without its sign."""

DIRECTIONS = 8
"""Of flow, with its sign; a ninth bin counts what does not move."""

STILL = 0.2
"""Pixels a frame below which a pixel does not move."""

_CLIPPED = 0.2
_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Oriented:
    """Which way each pixel of a frame points, and how much it counts.

    Args:
        bins: (H, W) int64.
        weights: (H, W) float32.
        count: Number of bins.
        clipped: Whether a block's largest numbers are clipped, as by Dalal and Triggs (L2-Hys).
    """

    bins: np.ndarray
    weights: np.ndarray
    count: int
    clipped: bool

    def blocks(self, corners: np.ndarray) -> np.ndarray:
        """Histograms of some blocks, each of length 1, or 0 where nothing points anywhere.

        Args:
            corners: (n, 2) int64, row and column of the upper left pixel of each block.

        Returns:
            (n, 4 * count) float32: cells row by row.
        """
        rows, columns = corners.T
        own = sliding_window_view(self.bins, (BLOCK, BLOCK))[rows, columns]
        cell = np.arange(BLOCK) // CELL
        place = (np.arange(len(corners))[:, None, None] * 4 + cell[:, None] * 2 + cell) * self.count + own
        added = sliding_window_view(self.weights, (BLOCK, BLOCK))[rows, columns]
        sums = np.bincount(place.ravel(), added.ravel(), len(corners) * 4 * self.count)
        found = _unit(sums.reshape(len(corners), 4 * self.count).astype(np.float32))
        return _unit(np.minimum(found, _CLIPPED)) if self.clipped else found


def gradients(grey: np.ndarray) -> Oriented:
    """Orientations of the gradients of (H, W) float32 brightness, 9 over half a turn, by their strength."""
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    down[1:-1] = grey[2:] - grey[:-2]
    strength, angle = cv2.cartToPolar(across, down)  # angles from 0 to a whole turn
    bins = (angle * (ORIENTATIONS / np.pi)).astype(np.int64) % ORIENTATIONS
    return Oriented(bins, strength, ORIENTATIONS, clipped=True)


def motions(flow: np.ndarray) -> Oriented:
    """Directions of flow, (H, W, 2) float32 pixels to the right and down, by its speed.

    Bins 0 to 7 are right, over down, to left and up; what does not move is in bin 8.
    """
    speed, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    bins = np.rint(angle * (DIRECTIONS / (2 * np.pi))).astype(np.int64) % DIRECTIONS  # each bin's middle is a direction
    is_still = speed < STILL
    bins[is_still] = DIRECTIONS
    return Oriented(bins, np.where(is_still, np.float32(STILL), speed), DIRECTIONS + 1, clipped=False)


class Flow:
    """Optical flow between frames that follow each other (Kroeger et al., 2016)."""

    def __init__(self) -> None:
        self._method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(H, W, 2) float32, how far each pixel of the first frame has moved to the right and down.

        Args:
            first: (H, W) uint8, at least 16x16.
            second: The same.
        """
        return np.asarray(self._method.calc(first, second, None))  # type: ignore[call-overload]  # its stubs want a guess


def _unit(values: np.ndarray) -> np.ndarray:
    """Rows divided by their length."""
    unit: np.ndarray = values / np.sqrt((values**2).sum(1, keepdims=True) + _EPSILON**2)
    return unit
