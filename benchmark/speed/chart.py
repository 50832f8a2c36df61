"""A picture of where the time goes: milliseconds a clip by stage."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes

from benchmark.figures.style import BLUE, ORANGE, drawing
from benchmark.speed.report import SpeedReport, Stage

_LOADING, _COMPUTE = BLUE, ORANGE


def _computing(report: SpeedReport) -> tuple[list[Stage], str]:
    """Stages of computing, and their precision."""
    training, scoring = report.training, report.scoring
    if training is not None:
        parts = [training.forward, training.backward, training.optimizer]
        return [*([training.transfer] if training.transfer else []), *parts], training.precision
    return ([*scoring.members, scoring.whole], scoring.precision) if scoring is not None else ([], "")


def write_chart(report: SpeedReport, path: Path) -> None:
    """Draw bars with the spread of the rounds, loading above and computing below.

    Args:
        report: What was measured.
        path: A .png file.
    """
    loading = list(report.loading.stages)
    computing, precision = _computing(report)
    height = 0.4 * (len(loading) + len(computing)) + 2
    with drawing(path, 9, height) as figure:
        _draw(figure.subplots(), report, loading, computing, precision)


def _draw(axes: Axes, report: SpeedReport, loading: list[Stage], computing: list[Stage], precision: str) -> None:
    stages: list[tuple[Stage, str]] = [(stage, _LOADING) for stage in loading]
    stages += [(stage, _COMPUTE) for stage in computing]
    for place, (stage, colour) in enumerate(stages):
        rounds, middle = stage.milliseconds_per_clip, stage.milliseconds
        spread = [[middle - min(rounds)], [max(rounds) - middle]]
        label = {_LOADING: "loading, one process", _COMPUTE: f"computing, {precision}"}[colour]
        is_first = place in (0, len(loading))
        axes.barh(place, middle, xerr=spread, color=colour, capsize=3, label=label if is_first else None)
        axes.annotate(f" {middle:.2f}", (max(rounds), place), va="center", fontsize=8)
    axes.set_yticks(range(len(stages)), [stage.name for stage, _ in stages])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds a clip, median and range of the rounds")
    axes.set_title("\n".join(textwrap.wrap(f"{report.name} on {report.machine.title}", 90)), fontsize=10)
    axes.legend(fontsize=8)
