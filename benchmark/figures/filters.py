"""The filters of a network's first layer (Figure 3): found among its weights, laid out as tiles, and measured.

Letters: F filters, T frames that a filter sees, S side of a filter in pixels. Filters are (F, T, 3, S, S) RGB.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_STREAM = re.compile(r"streams\.trunks\.(\w+)\.conv1\.weight")
_PADDED = 64  # side of the transform that spatial frequency is read from
_GAP = 1
_REPLICATES = 2000


@dataclasses.dataclass(frozen=True)
class FilterStatement:
    """What a stream's filters look at.

    Args:
        filters: F.
        colour_share: Share of their energy that differs between red, green and blue, 0 to 1.
        frequency: Mean spatial frequency, in cycles a pixel of what the stream sees.
    """

    filters: int
    colour_share: float
    frequency: float


NOISE = FilterStatement(0, 2 / 3, 0.3826)
"""What filters of pure noise would measure: two of three dimensions are colour, and all frequencies count the same."""


def first_filters(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Filters of the first layer by the name of their stream, each (F, T, 3, S, S) float64.

    Args:
        weights: A network's, by name. Of the paper's networks, the first convolution of each stream; of any other,
            every convolution of three channels with a kernel larger than a pixel.

    Returns:
        Nothing where no layer looks at colours directly.
    """
    named = {match[1]: value for name, value in weights.items() if (match := _STREAM.search(name))}
    if named:  # channels of consecutive frames are stacked in time order
        return {
            stream: np.asarray(value, np.float64).reshape(len(value), -1, 3, *value.shape[2:])
            for stream, value in named.items()
        }
    found = {}
    for name, value in weights.items():
        if value.ndim in {4, 5} and value.shape[1] == 3 and min(value.shape[-2:]) > 1:
            held = np.asarray(value, np.float64)
            found[name.removesuffix(".weight")] = held[:, None] if held.ndim == 4 else held.swapaxes(1, 2)
    return found


def measure(filters: np.ndarray) -> FilterStatement:
    """What filters (F, T, 3, S, S) look at, each counted by its energy."""
    return FilterStatement(len(filters), *map(float, _measures(_sums(filters))))


def contrasts(first: np.ndarray, second: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """`colour_share` and `frequency` of one stream less another's, with the ends of a 95% interval.

    The interval is a bootstrap over filters, which takes those of a stream as independent of each other.

    Args:
        first: (F, T, 3, S, S).
        second: Of another stream.
    """
    rng, sums = np.random.default_rng(0), [_sums(filters) for filters in (first, second)]
    draws = [part[rng.integers(len(part), size=(_REPLICATES, len(part)))] for part in sums]
    values, drawn = ([_measures(part) for part in parts] for parts in (sums, draws))
    found = {}
    for place, name in enumerate(("colour_share", "frequency")):
        low, high = np.quantile(drawn[0][place] - drawn[1][place], (0.025, 0.975))
        found[name] = (float(values[0][place] - values[1][place]), float(low), float(high))
    return found


def _sums(filters: np.ndarray) -> np.ndarray:
    """(F, 4): energy of each filter, its energy in colour, its power, and its power times frequency."""
    energy, grey = (filters**2).sum((1, 2, 3, 4)), 3 * (filters.mean(2) ** 2).sum((1, 2, 3))
    power = (np.abs(np.fft.fft2(filters, (_PADDED, _PADDED))) ** 2).sum((1, 2))
    axis = np.fft.fftfreq(_PADDED)
    radius = np.hypot(axis[:, None], axis[None, :])
    return np.stack([energy, energy - grey, power.sum((1, 2)), (power * radius).sum((1, 2))], 1)


def _measures(sums: np.ndarray) -> tuple[Any, Any]:
    """Share of colour and mean frequency of (..., F, 4); NaN of filters without energy."""
    energy, colour, power, weighted = np.moveaxis(sums.sum(-2), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return colour / energy, weighted / power


def tiles(filters: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Filters (F, T, 3, S, S) side by side, as they move: (T, H, W, 3) uint8.

    Each filter spans the whole range around a middle grey, the same in all its frames.

    Args:
        filters: One stream's.
        columns: Filters in a row; about a square by default.
    """
    count, frames, _, height, width = filters.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    rows = math.ceil(count / columns)
    largest = np.abs(filters).max((1, 2, 3, 4), keepdims=True)
    shades = 0.5 + 0.5 * np.divide(filters, largest, out=np.zeros_like(filters), where=largest > 0)
    sheet = np.ones((frames, rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3))
    for number, filter_ in enumerate(shades):
        row, column = divmod(number, columns)
        top, left = row * (height + _GAP) + _GAP, column * (width + _GAP) + _GAP
        sheet[:, top : top + height, left : left + width] = filter_.transpose(0, 2, 3, 1)
    return np.round(255 * sheet).astype(np.uint8)
