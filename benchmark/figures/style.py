"""The one look of all pictures: colours, type, and files that are the same bytes for the same numbers."""

import contextlib
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.files import whole

BLUE, GREEN, RED, ORANGE, GREY = "#2f6db3", "#3f9b6c", "#c0392b", "#c9803a", "#9aa5b1"
SERIES = (BLUE, ORANGE, GREEN, "#8e5ea2", RED, "#5b6b7b", "#b59b2b", "#3aa6a6", "#d17aa8")
INK, FAINT = "#1b1f24", "#57606a"

_SETTINGS: Any = {
    "font.size": 9,
    "svg.hashsalt": "clipbench",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called `$x`
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e3e7ec",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_METADATA = {"svg": {"Date": None, "Creator": "clipbench"}, "png": {"Software": None}}
_DOTS_PER_INCH = 130


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Within it, pictures have the one look, and a sign that no font has is drawn as a box without a warning."""
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


@contextlib.contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure to draw on, which is written whole when nothing failed.

    Args:
        path: A .png or .svg file.
        width: In inches.
        height: In inches.
    """
    kind = path.suffix[1:]
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with whole(path, shared=True) as unfinished:
            figure.savefig(unfinished, format=kind, dpi=_DOTS_PER_INCH, metadata=_METADATA[kind])


def short(text: str, most: int) -> str:
    """A name for a picture: without signs that would draw over others, and cut off where it is long."""
    plain = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
