"""What the measurement of growth found: the numbers, as lines of text and as a picture."""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLOURS = ("#2f6db3", "#c9803a", "#3f9b6c", "#9aa5b1")
SETTLED = 10  # epochs after which memory should not grow


@dataclasses.dataclass(frozen=True)
class Series:
    """One quantity against what was varied.

    Args:
        panel: The table, and the part of the picture.
        name: The quantity and its unit.
        varied: What was varied.
        passes: The value of every pass, or of every epoch of one run, by what was varied.
    """

    panel: str
    name: str
    varied: str
    passes: dict[int, list[float]]

    def text(self) -> str:
        """Medians with their range, and ratios to the first row; of a run over epochs how far it grew."""
        if self.varied == "epochs":
            return self._growth()
        first, lines = next(iter(self.passes.values())), [f"  {self.name}"]
        for value, values in self.passes.items():
            ratios = [here / there for here, there in zip(values, first, strict=True) if there]
            ratio = f"{statistics.median(ratios):9.2f}x" if ratios else ""
            spread = f"({_digits(min(values))} to {_digits(max(values))})"
            lines.append(
                f"    {value:>9,} {self.varied:16s} {_digits(statistics.median(values)):>8s} {spread:20s}{ratio}"
            )
        return "\n".join(lines)

    def _growth(self) -> str:
        values = [value for (value,) in self.passes.values()]
        last = len(values)
        early, settled = min(5, last), min(SETTLED, last)
        grown, late = values[-1] - values[early - 1], values[-1] - values[settled - 1]
        return (
            f"  {self.name:22s} epoch {early} {values[early - 1]:7.1f}, epoch {last} {values[-1]:7.1f}, "
            f"growth {grown:+6.1f}; from epoch {settled} {late:+6.1f}"
        )


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def draw(series: Sequence[Series], path: Path) -> None:
    """Draw all panels; the same numbers give the same file."""
    panels: dict[str, list[Series]] = {}
    for one in series:
        panels.setdefault(one.panel, []).append(one)
    with mpl.rc_context({"svg.hashsalt": "clipbench", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(16, 7), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, (title, lines) in zip(figure.subplots(2, 4).flat, panels.items(), strict=True):
            _draw_panel(axes, lines)
            axes.set(title=title, xlabel=lines[0].varied)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "clipbench"})


def _draw_panel(axes: Axes, lines: Sequence[Series]) -> None:
    varied, handles = lines[0].varied, []
    sides = {False: axes}
    if any(line.name.startswith("processor") for line in lines):
        sides[True] = axes.twinx()
        axes.set_ylabel("clips/s")
        sides[True].set_ylabel("processor ms a clip (dashed)")
    for colour, line in zip(COLOURS, lines, strict=False):
        middle = [statistics.median(values) for values in line.passes.values()]
        spread = [
            [here - min(values) for here, values in zip(middle, line.passes.values(), strict=True)],
            [max(values) - here for here, values in zip(middle, line.passes.values(), strict=True)],
        ]
        is_processor = line.name.startswith("processor")
        style: dict[str, Any] = {
            "marker": "" if varied == "epochs" else "o",
            "linestyle": "--" if is_processor else "-",
        }
        shown = None if varied == "epochs" else spread
        handles.append(
            sides[is_processor].errorbar(
                list(line.passes), middle, shown, color=colour, label=line.name, capsize=3, **style
            )
        )
    if varied == "videos":
        axes.set_xscale("log")
    elif varied != "epochs":
        axes.set_xticks(list(lines[0].passes))
    for side in sides.values():
        if len(sides) > 1 or varied == "epochs":
            side.set_ylim(bottom=0)
        else:
            side.set_yscale("log")
    axes.legend(handles=handles, fontsize=8)
