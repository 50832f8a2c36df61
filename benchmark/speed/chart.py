"""A picture of where the time goes: milliseconds a clip by stage."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes

from benchmark.figures.style import BLUE, GREEN, ORANGE, drawing
from benchmark.speed.report import SpeedReport, Stage

_LOADING, _COMPUTE, _FIT = BLUE, ORANGE, GREEN


def _computing(report: SpeedReport) -> tuple[list[Stage], str]:
    """Stages of computing, and their precision."""
    training, scoring = report.training, report.scoring
    if training is not None:
        parts = [training.forward, training.backward, training.optimizer]
        return [*([training.transfer] if training.transfer else []), *parts], training.precision
    return ([*scoring.members, scoring.whole], scoring.precision) if scoring is not None else ([], "")


def write_chart(report: SpeedReport, path: Path) -> None:
    """Draw bars with the spread of the rounds: loading, computing, and what a fit comes to.

    Args:
        report: What was measured.
        path: A .png file.
    """
    loading = list(report.loading.stages)
    computing, precision = _computing(report)
    fit = [] if report.training is None else [report.training.waiting, report.training.end_to_end]
    parts = [("loading, one process", _LOADING, [*loading, report.loading.whole])]
    parts.append((f"computing, {precision}", _COMPUTE, computing))
    workers = 0 if report.training is None else report.training.workers
    parts.append((f"a fit, {workers} loader processes", _FIT, fit))
    height = 0.4 * sum(len(stages) for _, _, stages in parts) + 2
    with drawing(path, 9, height) as figure:
        _draw(figure.subplots(), report, parts)


def _draw(axes: Axes, report: SpeedReport, parts: list[tuple[str, str, list[Stage]]]) -> None:
    stages = [
        (stage, colour, None if number else label) for label, colour, held in parts for number, stage in enumerate(held)
    ]
    for place, (stage, colour, label) in enumerate(stages):
        rounds, middle = stage.milliseconds_per_clip, stage.milliseconds
        spread = [[middle - min(rounds)], [max(rounds) - middle]]
        axes.barh(place, middle, xerr=spread, color=colour, capsize=3, label=label)
        axes.annotate(f" {middle:.2f}", (max(rounds), place), va="center", fontsize=8)
    axes.set_yticks(range(len(stages)), [stage.name for stage, *_ in stages])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds a clip, median and range of the rounds")
    axes.set_title("\n".join(textwrap.wrap(f"{report.name} on {report.machine.title}", 90)), fontsize=10)
    axes.legend(fontsize=8)
