"""Global features: hue and saturation, moments of colour, and the number of faces.

Letters: H height, W width.
"""

import functools
from typing import Any

import cv2
import numpy as np
import skimage.data
from skimage.feature import Cascade

HUES, SATURATIONS = 20, 12
MOMENTS_GRID = 4
"""Parts along each side of a frame of which moments of colour are taken."""

MOST_FACES = 19
"""More are counted as so many."""

FACE_SIDE = 240
"""Shorter side in pixels of a frame in which faces are looked for."""

_SMALLEST_FACE = 24  # pixels, what the cascade was trained on


def hue_saturation(rgb: np.ndarray) -> np.ndarray:
    """Pixels of each hue and saturation in each quadrant.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        (4, 240) float64: quadrants row by row; hues from red over green and blue, 12 saturations each from grey on.
    """
    shown = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    bins = (
        shown[..., 0].astype(np.int64) * HUES // 180 * SATURATIONS + shown[..., 1].astype(np.int64) * SATURATIONS // 256
    )
    height, width = bins.shape
    quadrant = (np.arange(height) >= height / 2)[:, None] * 2 + (np.arange(width) >= width / 2)
    counts = np.bincount((quadrant * (HUES * SATURATIONS) + bins).ravel(), minlength=4 * HUES * SATURATIONS)
    return counts.reshape(4, -1).astype(np.float64)


def colour_moments(rgb: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and cube root of the third central moment of L*, a* and b* (Stricker and Orengo, 1995).

    Args:
        rgb: (H, W, 3) uint8, at least 4x4.

    Returns:
        (16, 9) float32: parts of the frame row by row; means, deviations, roots, in units of OpenCV's 8 bits, 0 to 1.
    """
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32) / 255
    means = _means(lab)
    away = lab - lab.mean((0, 1))  # powers of small numbers keep their digits
    first, second, third = (_means(power) for power in (away, away**2, away**2 * away))
    spread = np.maximum(second - first**2, 0)
    return np.concatenate([means, np.sqrt(spread), np.cbrt(third - 3 * first * second + 2 * first**3)], 1)


def _means(image: np.ndarray) -> np.ndarray:
    """(16, 3): means of the parts of an image (H, W, 3) float32."""
    return cv2.resize(image, (MOMENTS_GRID, MOMENTS_GRID), interpolation=cv2.INTER_AREA).reshape(-1, 3)


def count_faces(rgb: np.ndarray) -> int:
    """Number of upright faces that scikit-image's LBP cascade finds.

    Args:
        rgb: (H, W, 3) uint8.
    """
    short = min(rgb.shape[:2])
    if short < _SMALLEST_FACE:
        return 0
    found = _cascade().detect_multi_scale(
        rgb,
        scale_factor=1.1,
        step_ratio=1.5,  # coarser steps pass by faces that finer ones find
        min_size=(_SMALLEST_FACE, _SMALLEST_FACE),
        max_size=(short, short),
    )
    return len(found)


@functools.cache
def _cascade() -> Any:
    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]
