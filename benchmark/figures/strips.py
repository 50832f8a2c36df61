"""Videos as strips of frames, with bars: truth blue, right classes green, wrong ones red (Figures 4 and 5)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from benchmark.figures.style import BLUE, FAINT, GREEN, GREY, INK, RED, drawing, short

TOP = 5
_LAST = 60  # signs of a name that are shown: the end, as names may be paths
_ACROSS = 3  # videos in a row, of one opinion each
_WIDTH, _LINE = 4.0, 0.21  # inches of a strip, and of a bar


@dataclasses.dataclass(frozen=True)
class Opinion:
    """What one model says of a video.

    Args:
        model: Its name; empty where there is only one.
        classes: The most probable ones, best first.
        probabilities: Of these, 0 to 1.
    """

    model: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def of(cls, scores: np.ndarray, names: Sequence[str], model: str = "", top: int = TOP) -> "Opinion":
        """The best of scores (K,)."""
        best = np.argsort(-scores, kind="stable")[:top]
        return cls(model, tuple(names[n] for n in best), tuple(float(scores[n]) for n in best))


@dataclasses.dataclass(frozen=True)
class Strip:
    """One video to show.

    Args:
        video: Its name.
        frames: (N, S, S, 3) uint8 RGB; None where they cannot be read.
        truth: Names of its true classes; empty where they are not known.
        opinions: One or two.
    """

    video: str
    frames: np.ndarray | None
    truth: tuple[str, ...]
    opinions: tuple[Opinion, ...]


def draw_strips(strips: Sequence[Strip], path: Path) -> None:
    """Draw videos in rows.

    Args:
        strips: At least one.
        path: A .png file.
    """
    opinions = max(len(strip.opinions) for strip in strips)
    across = min(len(strips), _ACROSS if opinions == 1 else 2)
    rows = -(-len(strips) // across)
    count = max(len(strip.frames) for strip in strips if strip.frames is not None) if _any_frames(strips) else 5
    bars = max(len(opinion.classes) for strip in strips for opinion in strip.opinions)
    heights = (_WIDTH / count, _LINE * (bars + (1 if opinions == 1 else 2)))
    width = _WIDTH if opinions == 1 else 1.3 * _WIDTH
    with drawing(path, width * across, (sum(heights) + 0.5) * rows) as figure:
        parts = np.ravel(figure.subfigures(rows, across, squeeze=False, wspace=0.03, hspace=0.02))
        for part, strip in zip(parts, strips, strict=False):
            _draw(part, strip, heights, opinions)


def _any_frames(strips: Sequence[Strip]) -> bool:
    return any(strip.frames is not None for strip in strips)


def _draw(part: SubFigure, strip: Strip, heights: tuple[float, float], opinions: int) -> None:
    part.suptitle(short(strip.video[-_LAST:], _LAST), fontsize=7, color=FAINT)
    grid = part.add_gridspec(2, opinions, height_ratios=heights)
    above = part.add_subplot(grid[0, :])
    above.set_axis_off()
    if strip.frames is None:
        above.text(0.5, 0.5, "its frames cannot be read here", ha="center", color=FAINT, transform=above.transAxes)
    else:
        gap = np.full((strip.frames.shape[1], 2, 3), 255, np.uint8)
        parts = [part for frame in strip.frames for part in (frame, gap)]
        above.imshow(np.concatenate(parts[:-1], 1), interpolation="antialiased", aspect="equal")
    for place, opinion in enumerate(strip.opinions):
        _bars(part.add_subplot(grid[1, place]), strip.truth, opinion)


def _bars(axes: Axes, truth: tuple[str, ...], opinion: Opinion) -> None:
    """Truth as a whole bar on top, then a bar for each class."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(len(opinion.classes) - 0.5, -1.5))
    if opinion.model:
        axes.set_title(short(opinion.model, 44), fontsize=7, pad=2)
    said = short(", ".join(truth), 48) if truth else "no label"
    axes.barh(-1, 1, height=0.9, color=BLUE if truth else GREY)
    _write(axes, 0.02, -1, said, color="white", fontweight="bold")
    for place, (name, probability) in enumerate(zip(opinion.classes, opinion.probabilities, strict=True)):
        colour = GREY if not truth else GREEN if name in truth else RED
        axes.barh(place, 1, height=0.86, color="#f1f3f5")
        axes.barh(place, probability, height=0.86, color=colour, alpha=0.75)
        _write(axes, 0.02, place, short(name, 40), color=INK)
        _write(axes, 0.99, place, f"{probability:.0%}", color=INK, ha="right")


def _write(axes: Axes, x: float, place: float, text: str, **look: Any) -> None:
    """Text on a bar, cut off where it is too long."""
    axes.text(x, place, text, va="center", fontsize=8, clip_on=True, in_layout=False, **look)
