"""Charts of finished tests: classes that differ, confusions, training, cost, groups of classes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmark.errors import UserError
from benchmark.figures.style import BLUE, FAINT, GREEN, INK, ORANGE, SERIES, drawing, short
from benchmark.metrics.descriptors import score_of
from benchmark.results.class_differences import ClassDifference
from benchmark.results.class_shares import ClassShare
from benchmark.results.curves import Curves
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record, Value
from benchmark.results.scores import confusions

MOST_NAMED_CLASSES = 60
"""With more classes a confusion matrix has no room for their names."""

_MOST_GROUPS = 12


def draw_class_differences(
    better: Sequence[ClassDifference], worse: Sequence[ClassDifference], names: tuple[str, str], path: Path
) -> None:
    """Draw the classes on which two models differ most, as bars with 95% intervals (Table 2).

    Args:
        better: With the first model, largest difference first.
        worse: With the first model, largest difference first.
        names: Of both models.
        path: A .png file.
    """
    rows = [*better, *reversed(worse)]
    with drawing(path, 7.5, 1.2 + 0.24 * len(rows)) as figure:
        axes = figure.subplots()
        for place, row in enumerate(rows):
            axes.barh(place, row.difference, color=GREEN if row.difference > 0 else ORANGE, height=0.75)
            low, high = row.interval
            if not math.isnan(low):
                axes.plot([low, high], [place, place], color=INK, linewidth=1)
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [short(row.name, 36) for row in rows])
        axes.invert_yaxis()
        axes.grid(axis="x")
        axes.set_xlabel(f"difference in average precision: {short(names[0], 50)}\nless {short(names[1], 50)}")


def draw_confusions(ledger: Ledger, path: Path) -> None:
    """Draw the confusion matrix: of each true class, the share of its videos given to each class.

    Args:
        ledger: A test's.
        path: A .png file.
    """
    counts, names = confusions(ledger), ledger.info.class_names
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    named = len(names) <= MOST_NAMED_CLASSES
    side = min(9.0, max(4.2, 0.22 * len(names) + 2))
    with drawing(path, side + 0.8, side) as figure:
        axes = figure.subplots()
        shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        bar = figure.colorbar(shown, ax=axes, shrink=0.7)
        bar.set_label("share of the true class's videos")
        axes.set(xlabel="best-scored class", ylabel="true class")
        if named:
            ticks = [short(name, 24) for name in names]
            axes.set_xticks(range(len(names)), ticks, rotation=90, fontsize=7)
            axes.set_yticks(range(len(names)), ticks, fontsize=7)
        if len(names) <= 20:
            for row, column in zip(*np.nonzero(counts), strict=True):
                colour = "white" if shares[row, column] > 0.55 else INK
                text = str(counts[row, column])
                axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour)


def draw_classes(shares: Sequence[ClassShare], path: Path) -> None:
    """Draw the share of each class's videos whose best-scored class is a true one, as bars with 95% intervals.

    Args:
        shares: Of at least one class, in the order that is shown.
        path: A .png file.
    """
    columns = 1 if len(shares) <= MOST_NAMED_CLASSES else 3
    rows = -(-len(shares) // columns)
    with drawing(path, 7.5 if columns == 1 else 15, 0.9 + 0.2 * rows) as figure:
        for column, axes in enumerate(np.ravel(figure.subplots(1, columns, squeeze=False))):
            part = shares[column * rows : (column + 1) * rows]
            for place, share in enumerate(part):
                axes.barh(place, 100 * share.value, color=BLUE, height=0.75)
                if not math.isnan(share.low):
                    axes.plot([100 * share.low, 100 * share.high], [place, place], color=INK, linewidth=1)
            axes.set_yticks(range(len(part)), [f"{short(s.name, 32)} ({s.videos:,})" for s in part], fontsize=7.5)
            axes.set(xlim=(0, 100), ylim=(rows - 0.5, -0.5), xlabel="video Hit@1 in %")
            axes.grid(axis="x")


def draw_curves(runs: Mapping[str, Curves], path: Path) -> None:
    """Draw the training of one or more fits: loss, and Hit@1 of the validation clips and videos.

    Args:
        runs: `read_curves` of each, by name.
        path: A .png file.
    """
    panels = (("train/loss_epoch", "training loss"), ("val/clip_hit1", "validation, clip Hit@1 in %"),
              ("val/video_hit1", "validation, video Hit@1 in %"))  # fmt: skip
    with drawing(path, 10, 3.6) as figure:
        for axes, (key, title) in zip(figure.subplots(1, 3), panels, strict=True):
            for number, (name, curves) in enumerate(runs.items()):
                epochs, values = curves.get(key, ([], []))
                scale = 100 if "hit" in key else 1
                points = "o" if len(epochs) < 3 else ""
                axes.plot(epochs, [scale * value for value in values], points + "-", label=short(name, 40),
                          color=SERIES[number % len(SERIES)], linewidth=1.4, markersize=4)  # fmt: skip
            axes.set(xlabel="epoch", title=title)
            axes.grid()
            if key != "train/loss_epoch":
                axes.set_ylim(0, 100)
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)


def draw_cost_split(curves: Curves, path: Path) -> None:
    """Draw the time that a clip took in training, split into waiting for it and computing.

    Args:
        curves: `read_curves` of a fit.
        path: A .png file.

    Raises:
        UserError: If no speed was logged.
    """
    whole, compute = (dict(zip(*curves.get(f"train/{name}clips_per_second", ([], [])), strict=True))
                      for name in ("", "compute_"))  # fmt: skip
    epochs = [epoch for epoch in whole if whole[epoch] > 0 and compute.get(epoch, 0) > 0]
    if not epochs:
        raise UserError("no speed was logged")
    computing = [1000 / compute[epoch] for epoch in epochs]
    waiting = [max(0.0, 1000 / whole[epoch] - busy) for epoch, busy in zip(epochs, computing, strict=True)]
    with drawing(path, 7.5, 2.8) as figure:
        axes = figure.subplots()
        axes.bar(epochs, computing, color=ORANGE, label="computing")
        axes.bar(epochs, waiting, bottom=computing, color=BLUE, label="waiting for clips")
        axes.set(xlabel="epoch", ylabel="milliseconds a clip")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)


def draw_costs(records: Mapping[str, Record], path: Path) -> None:
    """Draw video Hit@1 with its interval against clips scored in a second.

    Args:
        records: By the name that is shown; those without a measured speed are left out.
        path: A .png file.

    Raises:
        UserError: If no speed was measured.
    """
    measured = {name: r for name, r in records.items() if r.throughput.clips_per_second}
    if not measured:
        raise UserError("no record has a measured speed")
    with drawing(path, 8, 4.6) as figure:
        axes = figure.subplots()
        for number, (name, record) in enumerate(measured.items()):
            hit, speed = record.metrics["video_hit1"], record.throughput.clips_per_second or 0.0
            colour = SERIES[number % len(SERIES)]
            axes.errorbar(speed, _percent(hit.value), yerr=_reach(hit, 100), fmt="o", color=colour, capsize=3,
                          linewidth=1, label=short(name, 60))  # fmt: skip
        axes.set(xscale="log", xlabel="clips scored in a second, decoding included, on its own machine",
                 ylabel="video Hit@1 in % (95% interval)", ylim=(0, 100))  # fmt: skip
        for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis(FuncFormatter(lambda speed, _: f"{speed:,.4g}" if f"{speed:.0e}"[0] in "125" else ""))
        axes.grid()
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)


def draw_groups(tests: Mapping[str, Mapping[str, Value]], path: Path, prefix: str = "map/") -> None:
    """Draw mean average precision of each group of classes with its interval, and of all classes.

    Args:
        tests: The numbers of each test, by the name that is shown.
        path: A .png file.
        prefix: Of the groups' scores.

    Raises:
        UserError: If no test has groups.
    """
    groups = list(dict.fromkeys(n for held in tests.values() for n in held if n.startswith(prefix)))[:_MOST_GROUPS]
    if not groups:
        raise UserError("the classes have no groups")
    names = [*groups, "map"]
    width = 0.84 / len(tests)
    with drawing(path, max(7.0, 0.28 * len(tests) * len(names) + 2), 4.4) as figure:
        axes = figure.subplots()
        for number, (name, metrics) in enumerate(tests.items()):
            held = [metrics.get(key) for key in names]
            places = [place - 0.42 + (number + 0.5) * width for place in range(len(names))]
            heights = [0.0 if value is None else value.value or 0.0 for value in held]
            colour = SERIES[number % len(SERIES)]
            axes.bar(places, heights, width * 0.94, color=colour, label=short(name, 60))
            for place, value in zip(places, held, strict=True):
                if value is not None and value.low is not None and value.high is not None:
                    axes.plot([place, place], [value.low, value.high], color=INK, linewidth=1)
        axes.set(ylim=(0, 1), ylabel=f"{score_of('map').title} (95% interval)")
        axes.set_xticks(range(len(names)), [short(key.removeprefix(prefix), 30) for key in groups] + ["all classes"])
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _reach(value: Value, scale: float) -> list[list[float]] | None:
    """How far an interval goes below and above its value."""
    if value.value is None or value.low is None or value.high is None:
        return None
    return [[scale * (value.value - value.low)], [scale * (value.high - value.value)]]
