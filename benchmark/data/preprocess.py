"""Geometry on uint8: a decoded picture of any size becomes one square RGB frame.

Section 3.3: crop to the centre square, resize to 200x200; then a random region and flip for training. What depends on
the network (views, normalisation, fovea and context) happens later, on the device.
"""

import dataclasses
import math
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np

from benchmark.data.container import MOST_PIXELS, DecodeError
from benchmark.errors import UserError

# Loader workers already use every core; threads inside OpenCV would only fight them.
cv2.setNumThreads(0)


class Orientation(NamedTuple):
    """How a stored picture is shown: rows and columns exchanged, then left for right, then top for bottom."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def shown(self, image: np.ndarray) -> np.ndarray:
        """A view of an image, (H, W, C), as it is shown."""
        if self.transposed:
            image = image.transpose(1, 0, 2)
        if self.mirrored:
            image = image[:, ::-1]
        return image[::-1] if self.upside_down else image


UPRIGHT = Orientation()
SQUARE_PIXELS = Fraction(1)


@dataclasses.dataclass(frozen=True)
class Picture:
    """One decoded picture, as planes where that is cheap to convert and as RGB otherwise.

    Args:
        yuv: Planes Y (H, W), U and V (ceil(H/2), ceil(W/2)) uint8, BT.601 with limited range.
        rgb: (H, W, 3) uint8.
        orientation: How it is shown.
        pixel_shape: Width of a stored pixel as a multiple of its height.

    Raises:
        ValueError: Unless exactly one of `yuv` and `rgb` is given.
    """

    yuv: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    rgb: np.ndarray | None = None
    orientation: Orientation = UPRIGHT
    pixel_shape: Fraction = SQUARE_PIXELS

    def __post_init__(self) -> None:
        if (self.yuv is None) == (self.rgb is None):
            raise ValueError("a picture has either yuv or rgb")


def square_rgb(picture: Picture, side: int, out: np.ndarray | None = None) -> np.ndarray:
    """The centre square of a picture as it is shown, resized.

    Args:
        picture: Any size.
        side: Side of the result in pixels, even.
        out: (side, side, 3) uint8, contiguous, where the result is written; None makes a new array.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    square = np.empty((side, side, 3), np.uint8) if out is None else out
    planes = square_planes(picture, side)
    if planes is not None:
        rgb_from_i420(planes, square)
    elif picture.rgb is not None:
        _resize(_centre_square(picture.rgb, picture.pixel_shape), side, square)
    elif picture.yuv is not None:
        _resize(_centre_square(_rgb_from_planes(*picture.yuv), picture.pixel_shape), side, square)
    if any(picture.orientation):
        square[...] = picture.orientation.shown(square).copy()
    return square


def whole_rgb(picture: Picture, short_side: int) -> np.ndarray:
    """A whole picture as it is shown, resized.

    Args:
        picture: Any size.
        short_side: Length of its shorter side in pixels afterwards; the longer one keeps the proportions.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DecodeError: If the result would be larger than any picture that is read, as of one a few pixels high.
    """
    if picture.rgb is not None:
        image = picture.rgb
    elif picture.yuv is not None:
        image = _rgb_from_planes(*picture.yuv)
    height, width = Fraction(image.shape[0]), image.shape[1] * picture.pixel_shape
    scale = short_side / min(height, width)
    size = round(width * scale), round(height * scale)
    if size[0] * size[1] > MOST_PIXELS:
        raise DecodeError(f"its pictures are {size[0]}x{size[1]} at the size they are read at, a line and no picture")
    shrinks = size[0] <= image.shape[1] and size[1] <= image.shape[0]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(picture.orientation.shown(small))


def _is_even(y: np.ndarray) -> bool:
    """Whether the centre square begins and ends on whole chroma samples."""
    height, width = (int(side) for side in y.shape)
    short = min(height, width)
    return short % 2 == 0 and (height - short) % 4 == 0 and (width - short) % 4 == 0


def square_planes(picture: Picture, side: int) -> np.ndarray | None:
    """The centre square as planes: only pixels that survive are touched.

    Args:
        picture: Any size.
        side: Side of the square in pixels, even.

    Returns:
        (side * 3 / 2, side) uint8 I420, not yet turned as it is shown; None where planes would make other pixels.
    """
    if picture.yuv is None or picture.pixel_shape != SQUARE_PIXELS or not _is_even(picture.yuv[0]):
        return None
    half = side // 2
    planes = np.empty((side * 3 // 2, side), np.uint8)
    chroma = planes[side:].reshape(2, half, half)
    y, u, v = picture.yuv
    _resize(_centre_square(y), side, planes[:side])
    _resize(_centre_square(u), half, chroma[0])
    _resize(_centre_square(v), half, chroma[1])
    return planes


def rgb_from_i420(planes: np.ndarray, out: np.ndarray) -> None:
    """Convert planes (S * 3 / 2, S) uint8 I420 into (S, S, 3) uint8 RGB."""
    cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420, dst=out)


def _rgb_from_planes(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Full-size conversion, for where the centre square may cut a chroma sample in two."""
    height, width = y.shape
    even = np.empty((height + height % 2, width + width % 2), np.uint8)
    even[:height, :width] = y
    even[height:, :width] = y[-1:]
    even[:, width:] = even[:, width - 1 : width]
    stacked = np.concatenate([even.reshape(-1), u.reshape(-1), v.reshape(-1)])
    rgb = cv2.cvtColor(stacked.reshape(even.shape[0] * 3 // 2, even.shape[1]), cv2.COLOR_YUV2RGB_I420)
    return rgb[:height, :width]


def _centre_square(image: np.ndarray, pixel_shape: Fraction = SQUARE_PIXELS) -> np.ndarray:
    """The stored pixels, whole ones, that are shown as the centre square."""
    height, width = image.shape[:2]
    short = min(Fraction(height), width * pixel_shape)
    rows, columns = max(round(short), 1), max(round(short / pixel_shape), 1)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def _resize(image: np.ndarray, side: int, out: np.ndarray) -> None:
    """Area average when shrinking, so that fine texture does not alias; linear where that comes to nearly the same.

    Up to a quarter larger, an area average weighs two neighbours as well (at 6 to 5, the common 240 to 200, no weight
    differs by more than 1/15), and OpenCV has it five times slower.
    """
    rows, columns = (cv2.INTER_AREA if length > 1.25 * side else cv2.INTER_LINEAR for length in image.shape[:2])
    if rows != columns:  # OpenCV averages only where both shrink
        image = cv2.resize(image, (image.shape[1], side), interpolation=rows)
    cv2.resize(image, (side, side), dst=out, interpolation=columns)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training clips vary, each the same for all frames of a clip; the defaults are the paper's (section 3.3).

    A clip is always mirrored with probability 0.5.

    Args:
        smallest_region: Side of the smallest random region as a fraction of the frame's, above 0. Regions of all areas
            from it to the whole frame are resized to the model's input. None cuts regions of the input's size.
        aspect_ratio: Largest ratio between width and height of a resized region, or between height and width; from 1.
        colour: How far brightness, contrast and saturation may each be multiplied up or down, 0 to below 1.
        grey: Share of the clips that lose their colours, 0 to 1.

    Raises:
        UserError: If a value is out of range.
    """

    smallest_region: float | None = None
    aspect_ratio: float = 1.0
    colour: float = 0.0
    grey: float = 0.0

    def __post_init__(self) -> None:
        # Written so that NaN, which compares false with everything, is refused too.
        if self.smallest_region is not None and not 0 < self.smallest_region <= 1:
            raise UserError(
                f"data.augmentation.smallest_region is {self.smallest_region}; "
                "it must be above 0 and at most 1, or null"
            )
        if not (self.aspect_ratio >= 1 and 0 <= self.colour < 1 and 0 <= self.grey <= 1):
            raise UserError(
                f"data.augmentation has aspect_ratio {self.aspect_ratio}, colour {self.colour} and grey {self.grey}; "
                "the first must be 1 or more, the second from 0 to below 1, the third from 0 to 1"
            )


def augment(
    frames: np.ndarray, side: int, rng: np.random.Generator, augmentation: Augmentation = Augmentation()
) -> np.ndarray:
    """A random region, mirrored with probability 0.5 and recoloured, the same for all frames of a clip (section 3.3).

    Args:
        frames: (T, H, W, C) uint8 RGB.
        side: Side of the result in pixels.
        rng: Source of the draws.
        augmentation: What varies, and how far.

    Returns:
        (T, side, side, C) uint8, contiguous.
    """
    height, width = _region_size(frames.shape[1:3], side, rng, augmentation)
    top = int(rng.integers(frames.shape[1] - height + 1))
    left = int(rng.integers(frames.shape[2] - width + 1))
    region = frames[:, top : top + height, left : left + width]
    is_mirrored = rng.random() < 0.5
    if (height, width) != (side, side):
        region = np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_LINEAR) for frame in region])
    region = np.ascontiguousarray(region)
    if is_mirrored:  # all frames at once, several times as fast as NumPy's reversed copy
        region = cv2.flip(region.reshape(-1, side, 3), 1).reshape(region.shape)
    if augmentation.colour or augmentation.grey:
        matrix = _colour_matrix(rng, augmentation)
        region = cv2.transform(region.reshape(-1, side, 3), matrix).reshape(region.shape)
    return region


def _region_size(
    frame: tuple[int, int], side: int, rng: np.random.Generator, augmentation: Augmentation
) -> tuple[int, int]:
    """Height and width of the random region, drawn evenly over areas."""
    if augmentation.smallest_region is None:
        return side, side
    share = math.sqrt(rng.uniform(augmentation.smallest_region**2, 1))
    stretch = math.exp(rng.uniform(-1, 1) * math.log(augmentation.aspect_ratio))
    height, width = round(frame[0] * share / stretch), round(frame[1] * share * stretch)
    return min(max(height, 1), frame[0]), min(max(width, 1), frame[1])


def _colour_matrix(rng: np.random.Generator, augmentation: Augmentation) -> np.ndarray:
    """(3, 4): brightness, then contrast about the paper's mean of 117, then saturation about the BT.601 luma."""
    brightness, contrast, saturation = 1 + augmentation.colour * rng.uniform(-1, 1, 3)
    if rng.random() < augmentation.grey:
        saturation = 0.0
    mixed = saturation * np.eye(3) + (1 - saturation) * np.array([0.299, 0.587, 0.114])
    return np.hstack([contrast * brightness * mixed, np.full((3, 1), 117 * (1 - contrast))])
