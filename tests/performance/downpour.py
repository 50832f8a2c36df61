"""Downpour, local SGD and synchronous training at equal clips on the embedded data, over seeds.

python -m tests.performance.downpour --seeds 0 1 2 --csv downpour.csv --plot downpour.svg

The learning rate of each way is chosen on a seed of its own, among multiples of the rate that steps as far a clip as
the synchronous run does; where the best is at an end of them, one beyond it is tried. Prints one line a run and
Markdown at the end.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.process import tune_process
from benchmark.scale.servers import Staleness
from tests.performance.replicas import EQUAL, RATE, Clips, Point, Run, downpour, local, synchronous

_LAST = 4  # points at the end of a curve whose mean chooses the rate
_MARGIN = 0.05


VARIANTS: dict[str, dict[str, Any]] = {
    "synchronous": {"rate": RATE},
    "Downpour, n=1, no momentum": {"rate": EQUAL, "every": 1, "momentum_at": "none"},
    "Downpour, n=5, no momentum": {"rate": EQUAL, "every": 5, "momentum_at": "none"},
    "Downpour, n=5, momentum at the replicas": {"rate": EQUAL * 0.1, "every": 5, "momentum_at": "replica"},
    "Downpour, n=1, momentum 0.9 at the servers": {"rate": EQUAL * 0.1, "every": 1, "momentum_at": "server"},
    "Downpour, n=5, Adagrad": {"rate": 0.004, "every": 5, "rule": "adagrad"},
    "Downpour, n=1, no momentum, one replica ten times slower": {
        "rate_of": "Downpour, n=1, no momentum", "every": 1, "momentum_at": "none", "slow": 10.0,
    },
    "local SGD, every 10 steps": {"rate": RATE, "local": 10, "outer": (1.0, 0.0)},
    "DiLoCo, every 10 steps": {"rate": RATE * 0.1 / 0.7, "local": 10, "outer": (0.7, 0.9)},
}  # fmt: skip


def trained(clips: Clips, name: str, rate: float) -> Run:
    """Train one way at one rate."""
    torch.manual_seed(clips.seed)
    options = {key: value for key, value in VARIANTS[name].items() if key not in ("rate", "rate_of")}
    if "local" in options:
        return local(clips, rate, options["local"], options["outer"])
    return downpour(clips, rate, **options) if options else synchronous(clips, rate)


class Table:
    """A line a point, written as soon as a run is over; what the file holds of choosing a rate is not done again.

    Args:
        path: Of the CSV file, or None.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._held = path, dict[tuple[str, int, str], list[Point]]()
        if path is None or not path.exists():
            self._write("w", [("variant", "seed", "rate", "clips", "hit1")])
            return
        with path.open(newline="", encoding="utf-8") as file:
            for name, seed, rate, clips, hit in list(csv.reader(file))[1:]:
                self._held.setdefault((name, int(seed), rate), []).append(Point(int(clips), float(hit)))

    def held(self, name: str, seed: int, rate: float) -> list[Point]:
        """The curve of an earlier run, or none."""
        return self._held.get((name, seed, f"{rate:.4g}"), [])

    def add(self, name: str, seed: int, rate: float, run: Run) -> None:
        """Write a run's curve, and say how it ended."""
        self._write("a", [(name, seed, f"{rate:.4g}", clips, f"{hit:.4f}") for clips, hit in run.curve])
        print(f"{seed} {name}: rate {rate:.4g}, Hit@1 {run.curve[-1].hit1:.3f}", flush=True)

    def _write(self, mode: str, rows: list[tuple[Any, ...]]) -> None:
        if self._path is not None:
            with self._path.open(mode, newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)


def chosen_rate(clips: Clips, name: str, multiples: Sequence[float], table: Table) -> float:
    """The rate whose curve ends highest; where it is the lowest or highest one, others beyond it are tried."""
    base, found = VARIANTS[name]["rate"], dict[float, float]()

    def tried(multiple: float) -> None:
        curve = table.held(name, clips.seed, base * multiple)
        if not curve:
            run = trained(clips, name, base * multiple)
            table.add(name, clips.seed, base * multiple, run)
            curve = run.curve
        found[multiple] = float(np.mean([point.hit1 for point in curve[-_LAST:]]))

    for multiple in sorted(multiples):
        tried(multiple)
    best = max(found, key=lambda each: found[each])
    if len(found) > 1 and best in (min(found), max(found)):
        tried(2 * best if best == max(found) else best / 2)
    return float(base * max(found, key=lambda each: found[each]))


def plot(path: Path, curves: dict[str, list[list[Point]]]) -> None:
    """Draw the mean curve of each way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    for name, runs in curves.items():
        points = min(map(len, runs))
        clips, hits = np.mean([run[:points] for run in runs], 0).T
        axes.plot(clips, hits, label=name, linestyle="-" if name == "synchronous" else "--" if "SGD" in name else "-.")
    axes.set_xlabel("clips")
    axes.set_ylabel("clip Hit@1, mean over seeds")
    figure.legend(loc="outside lower center", ncols=2, fontsize="x-small")
    figure.savefig(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rate_seed", type=int, default=100, help="seed that rates are chosen on")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[0.25, 0.5, 1, 2], help="multiples of each way's rate"
    )
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--source_groups", type=int, default=9)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--ways", nargs="+", default=[*VARIANTS], choices=[*VARIANTS])
    parser.add_argument("--csv", type=Path, help="file of the curves, which is added to")
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args(argv)
    tune_process()
    table = Table(chosen.csv)
    clips = Clips(chosen.rate_seed, chosen.epochs, chosen.source_groups, chosen.width)
    rates = dict[str, float]()
    for name in chosen.ways:
        options = VARIANTS[name]
        other = options.get("rate_of")  # nobody knows beforehand which machine will be slow
        rates[name] = rates[other] if other else chosen_rate(clips, name, chosen.rates, table)
    runs: dict[str, list[Run]] = {name: [] for name in chosen.ways}
    for seed in chosen.seeds:
        clips = Clips(seed, chosen.epochs, chosen.source_groups, chosen.width)
        for name, rate in rates.items():
            runs[name].append(trained(clips, name, rate))
            table.add(name, seed, rate, runs[name][-1])
    if chosen.plot is not None:
        plot(chosen.plot, {name: [run.curve for run in each] for name, each in runs.items()})
    wanted = np.mean([run.curve[-1].hit1 for run in runs["synchronous"]]) - _MARGIN
    print("| | rate | clip Hit@1, mean (each seed) | within the margin | staleness, mean (95th percentile) | clips |")
    print("|---|---|---|---|---|---|")
    for name, each in runs.items():
        hits = [run.curve[-1].hit1 for run in each]
        stale = sum((run.staleness.counts for run in each), Counter())
        said = Staleness(stale)
        cells = [
            name,
            f"{rates[name]:.2g}",
            f"{np.mean(hits):.2f} ({', '.join(f'{hit:.2f}' for hit in hits)})",
            "yes" if np.mean(hits) >= wanted else "no",
            f"{said.mean:.1f} ({said.percentile(0.95)})" if stale else "",
            f"{np.mean([run.curve[-1].clips for run in each]):,.0f}",
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
