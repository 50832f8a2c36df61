"""A picture of Tables 3 and 4: bars with their spread, and the paper's numbers as marks."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes

from benchmark.figures.style import BLUE, GREEN, GREY, ORANGE, drawing
from benchmark.transfer.regimes import REGIMES
from benchmark.transfer.tables import TransferResults

_COLOURS = (GREY, BLUE, GREEN, ORANGE)


def write_plot(results: TransferResults, path: Path) -> None:
    """Draw accuracy by regime and average precision by group; the same results give the same file.

    The paper's numbers are marked where these are of the same dataset.

    Args:
        results: The cells.
        path: A .svg or .png file.
    """
    with drawing(path, 11, 4.4) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        _draw(results, left, right)
        handles = [each for axes in (left, right) for each in zip(*axes.get_legend_handles_labels(), strict=True)]
        if handles:
            figure.legend(*zip(*handles, strict=True), loc="outside lower center", ncols=5, fontsize=8, frameon=False)


def _draw(results: TransferResults, left: Axes, right: Axes) -> None:
    groups = [group for group in results.groups() if group in results.held_groups()]
    for place, regime in enumerate(results.regimes):
        colour = _COLOURS[list(REGIMES).index(regime)]
        mean = results.mean(regime, "video_hit1")
        left.bar(place, 100 * (mean.value or 0), yerr=100 * (mean.spread or 0), color=colour, capsize=3)
        if mean.value is None:
            left.text(place, 1, results.hole(regime).partition(":")[0], ha="center", rotation=90)
        if results.is_papers_data and (claimed := results.paper_accuracy(regime)) is not None:
            left.plot(place, 100 * claimed, "kD", markersize=5)
        width = 0.8 / len(results.regimes)
        for number, group in enumerate([*groups, None]):
            name = "map" if group is None else f"map/{group}"
            found, here = results.mean(regime, name), number + (place + 0.5) * width - 0.4
            if found.value is not None:
                label = REGIMES[regime] if group is None else None
                right.bar(here, found.value, width, yerr=found.spread or 0, color=colour, capsize=2, label=label)
            if results.is_papers_data and (claimed := results.paper("Table 4", regime, name)) is not None:
                right.plot(here, claimed, "kD", markersize=4)
    if results.is_papers_data:
        left.plot([], [], "kD", markersize=5, label="the paper")
    left.set(ylabel="accuracy in %, mean and spread of folds", ylim=(0, 100))
    left.set_xticks(range(len(results.regimes)), [_wrapped(REGIMES[r], 10) for r in results.regimes])
    right.set(ylabel="mAP", ylim=(0, 1))
    right.set_xticks(range(len(groups) + 1), [_wrapped(group, 12) for group in [*groups, "All groups"]])


def _wrapped(name: str, width: int) -> str:
    return "\n".join(textwrap.wrap(name, width, break_long_words=False))
