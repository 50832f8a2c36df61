"""The features of the histogram baseline (section 4.1), and which share of the 25,000 numbers each of them has.

A local feature is counted by visual words in each cell of a spatial pyramid: the whole frame and its four quadrants.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from benchmark.errors import UserError

PYRAMID = (1, 2)
"""Cells along each side of a frame, level by level."""

CELLS = sum(side**2 for side in PYRAMID)
"""Histograms of a feature that is counted by place."""

DIMENSIONS = 25_000
"""Numbers that describe a video (section 4.1)."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """One kind of histogram.

    Args:
        name: For options and tables.
        kind: `words` where descriptors are counted by visual words learned on training videos; `bins` where what is
            counted has bins of its own.
        bins: Words, or bins, of one histogram.
        cells: Histograms: one for each cell of the pyramid, or one of the whole video.
        length: Numbers of a descriptor; of `bins` the numbers that a frame is counted by.
        most: Descriptors kept of a video, drawn evenly from all of its frames.
        title: What it is, for people.
    """

    name: str
    kind: Literal["words", "bins"]
    bins: int
    cells: int
    length: int
    most: int
    title: str

    @property
    def dimensions(self) -> int:
        """Its share of the numbers that describe a video."""
        return self.bins * self.cells


FEATURES = (
    Feature("hog", "words", 1000, CELLS, 36, 6000, "gradient orientations on a dense grid, two scales"),
    Feature("hog_corners", "words", 600, CELLS, 36, 3000, "gradient orientations at corners"),
    Feature("hof", "words", 1000, CELLS, 36, 6000, "directions of optical flow on a dense grid, two scales"),
    Feature("texton", "words", 1000, CELLS, 30, 6000, "responses of a filter bank on a dense grid"),
    Feature("cuboid", "words", 1000, CELLS, 192, 1000, "space-time gradients at periodic motion"),
    Feature("hue_saturation", "bins", 240, CELLS, 240, 0, "hue and saturation of every pixel"),
    Feature("colour_moments", "words", 156, CELLS, 9, 3000, "mean, spread and skew of colour in a 4x4 grid"),
    Feature("faces", "bins", 20, 1, 20, 0, "number of faces"),
)
"""In the order in which they are joined."""

NAMES = tuple(feature.name for feature in FEATURES)


def chosen_features(only: Sequence[str] | None, without: Sequence[str]) -> tuple[Feature, ...]:
    """Some of the features, in their own order.

    Args:
        only: Names of those to take; None takes all.
        without: Names of those to leave out.

    Raises:
        UserError: If a name is unknown or nothing is left.
    """
    unknown = sorted({*(only or ()), *without} - {*NAMES})
    if unknown:
        raise UserError(f"model.only and model.without name {', '.join(unknown)}; the features are {', '.join(NAMES)}")
    kept = tuple(f for f in FEATURES if (only is None or f.name in only) and f.name not in without)
    if not kept:
        raise UserError(
            f"model.only is {only if only is None else list(only)} and model.without is {list(without)}, which leaves "
            "no feature; name other ones"
        )
    return kept
