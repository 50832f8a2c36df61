"""Downpour, local SGD and synchronous training at equal clips on the embedded data, over seeds.

python -m tests.performance.downpour --seeds 0 1 2 --csv downpour.csv --plot downpour.svg

The learning rate of each way is chosen on a seed of its own, among multiples of the rate that steps as far a clip as
the synchronous run does; where the best is at an end of them, further ones are tried. The replicas take turns in one
process: each step of each lasts about as long as the others', so that what is pushed is as stale as among machines of
one kind, and a slow replica makes a step while the others make ten. Pushes, fetches and servers are `benchmark.scale`'s
own. Prints one line a run and Markdown at the end.
"""

import argparse
import copy
import csv
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.clip import ClipBatch
from benchmark.data import ClipsPerVideo, SyntheticActions
from benchmark.data.loader import EpochBatches
from benchmark.models import SingleFrame
from benchmark.process import tune_process
from benchmark.scale.downpour import Replica, Servers
from benchmark.scale.servers import ServerOptions, Staleness

_REPLICAS, _BATCH, _RATE, _MOMENTUM = 4, 8, 0.01, 0.9
_POINTS, _LAST = 12, 4  # of a curve, and those at its end whose mean chooses the rate
_FURTHER = 1  # rates beyond either end of those that are given
_MARGIN = 0.05

# As far a clip as the synchronous run: its momentum multiplies a rate by ten in the long run, and four replicas push
# four times while it makes one step.
_EQUAL = _RATE / (1 - _MOMENTUM) / _REPLICAS


class Point(NamedTuple):
    """Of a curve: clips that all replicas have seen, and the share of validation clips whose true class is on top."""

    clips: int
    hit1: float


class Run(NamedTuple):
    """What came of training: its curve, and how stale its pushes were."""

    curve: list[Point]
    staleness: Staleness


VARIANTS: dict[str, dict[str, Any]] = {
    "synchronous": {"rate": _RATE},
    "Downpour, n=1, no momentum": {"rate": _EQUAL, "every": 1, "momentum_at": "none"},
    "Downpour, n=5, no momentum": {"rate": _EQUAL, "every": 5, "momentum_at": "none"},
    "Downpour, n=5, momentum at the replicas": {"rate": _EQUAL * 0.1, "every": 5, "momentum_at": "replica"},
    "Downpour, n=1, momentum 0.9 at the servers": {"rate": _EQUAL * 0.1, "every": 1, "momentum_at": "server"},
    "Downpour, n=5, Adagrad": {"rate": 0.004, "every": 5, "rule": "adagrad"},
    "Downpour, n=1, no momentum, one replica ten times slower": {
        "rate_of": "Downpour, n=1, no momentum", "every": 1, "momentum_at": "none", "slow": 10.0,
    },
    "local SGD, every 10 steps": {"rate": _RATE, "local": 10, "outer": (1.0, 0.0)},
    "DiLoCo, every 10 steps": {"rate": _RATE * 0.1 / 0.7, "local": 10, "outer": (0.7, 0.9)},
}  # fmt: skip


class Clips:
    """Training and validation clips of the embedded data, read once.

    Args:
        seed: Of order and augmentation.
        epochs: That are trained.
        source_groups: Of the data.
        width: Of the network.
    """

    def __init__(self, seed: int, epochs: int, source_groups: int, width: float) -> None:
        counts = ClipsPerVideo(train=8, train_epoch=1, validation=4)
        data = SyntheticActions(
            source_groups=source_groups, seed=seed, batch_size=_BATCH, num_workers=0, clips_per_video=counts
        )
        torch.manual_seed(seed)
        self.network = SingleFrame(data.num_classes, resolution="multires", width=width)
        data.says_what_it_found = False
        data.serve(self.network)
        self.seed, self.epochs = seed, epochs
        self.rows = data.index.rows("train")
        self.validation = list(data.val_dataloader())
        self.loader: Any = data.train_dataloader().dataset
        self.collate: Any = data.train_dataloader().collate_fn
        self.read: dict[tuple[int, int, int], Any] = {}

    def batches(self, rank: int, processes: int, batch_size: int) -> Iterator[ClipBatch]:
        """Of one replica, through all epochs."""
        order = EpochBatches(
            self.rows, batch_size, clips_per_video=8, clips_per_epoch=1, seed=self.seed, rank=rank, processes=processes
        )
        for epoch in range(self.epochs):
            order.set_epoch(epoch)
            for keys in order:
                for key in keys:
                    if key not in self.read:
                        self.read[key] = self.loader[key]
                yield self.collate([self.read[key] for key in keys])

    def hit1(self, network: SingleFrame) -> float:
        """Share of the validation clips whose true class is the top one."""
        hits = total = 0
        network.eval()
        with torch.no_grad():
            for batch in self.validation:
                top = network.clip_probabilities(batch).argmax(1)
                hits += int(batch.labels[torch.arange(len(top)), top].sum())
                total += len(top)
        network.train()
        return hits / total


class Curve:
    """Points at even distances of a run.

    Args:
        clips: That are trained on and validated.
    """

    def __init__(self, clips: Clips) -> None:
        self._clips, self._next = clips, 1
        self._between = len(clips.rows) * clips.epochs / _POINTS
        self.seen, self.points = 0, list[Point]()

    def add(self, clips: int, network: Callable[[], SingleFrame]) -> None:
        """Count clips that were trained on; validate if it is time."""
        self.seen += clips
        if self.seen >= self._next * self._between:
            self._next += 1
            self._validate(network())

    def ended(self, network: SingleFrame) -> list[Point]:
        """All points; the last one is of the network that training ends with."""
        if self.points and self.points[-1].clips == self.seen:
            self.points.pop()
        self._validate(network)
        return self.points

    def _validate(self, network: SingleFrame) -> None:
        self.points.append(Point(self.seen, self._clips.hit1(network)))


class Trained:
    """A copy of the network with an optimiser of its own."""

    def __init__(self, network: SingleFrame, rate: float, momentum: float) -> None:
        self.network = copy.deepcopy(network)
        self.parameters = list(self.network.parameters())
        self.optimizer = torch.optim.SGD(self.parameters, rate, momentum=momentum, weight_decay=0.0005)

    def step(self, batch: ClipBatch) -> int:
        """Make one step of the optimiser; returns the clips in it."""
        self.optimizer.zero_grad()
        targets = batch.labels / batch.labels.sum(1, keepdim=True)
        F.cross_entropy(self.network(batch.frames).float(), targets).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return len(batch)

    def weights(self) -> np.ndarray:
        """(N,) float32."""
        return np.concatenate([each.detach().numpy().reshape(-1) for each in self.parameters])

    def take(self, weights: np.ndarray | None) -> SingleFrame:
        """Go on with these, if there are any."""
        first = 0
        with torch.no_grad():
            for each in self.parameters if weights is not None else []:
                each.copy_(torch.from_numpy(weights[first : first + each.numel()].copy()).view_as(each))  # type: ignore[index]
                first += each.numel()
        return self.network


def synchronous(clips: Clips, rate: float) -> Run:
    """One process with the batch of all replicas."""
    one, curve = Trained(clips.network, rate, _MOMENTUM), Curve(clips)
    for batch in clips.batches(0, 1, _BATCH * _REPLICAS):
        curve.add(one.step(batch), lambda: one.network)
    return Run(curve.ended(one.network), Staleness())


def downpour(clips: Clips, rate: float, every: int, slow: float = 1.0, **options: Any) -> Run:
    """Replicas that take turns in simulated time; a slow one is stopped when the others have ended."""
    is_adagrad = options.get("rule") == "adagrad"
    servers = Servers(2, ServerOptions(**options, **({"adagrad_rate": rate} if is_adagrad else {})))
    own_rate = _EQUAL if is_adagrad else rate
    momentum = _MOMENTUM if options.get("momentum_at") == "replica" else 0.0
    own = [Trained(clips.network, own_rate, momentum) for _ in range(_REPLICAS)]
    shared, curve = Trained(clips.network, 0.0, 0.0), Curve(clips)
    servers.begin(shared.weights())
    replicas = [Replica(number, servers, every, every) for number in range(_REPLICAS)]
    for replica, trained in zip(replicas, own, strict=True):
        trained.take(replica.fetch(trained.weights))
    streams = [clips.batches(number, _REPLICAS, _BATCH) for number in range(_REPLICAS)]
    rng = np.random.default_rng(clips.seed)
    turns = [(rng.random(), number) for number in range(_REPLICAS)]
    heapq.heapify(turns)
    running = set(range(_REPLICAS))
    while running - ({_REPLICAS - 1} if slow > 1 else set()):
        now, number = heapq.heappop(turns)
        batch = next(streams[number], None)
        if batch is None:
            running.discard(number)
            continue
        trained = own[number]
        seen = trained.step(batch)
        trained.take(replicas[number].step(trained.weights, own_rate))
        curve.add(seen, lambda: shared.take(servers.fetch()[1]))
        takes = rng.uniform(0.9, 1.1) * (slow if number == _REPLICAS - 1 else 1.0)
        heapq.heappush(turns, (now + takes, number))
    counts: Counter[int] = Counter()
    for said in servers.state()["staleness"].values():
        counts.update(said)
    return Run(curve.ended(shared.take(servers.fetch()[1])), Staleness(counts))


def local(clips: Clips, rate: float, every: int, outer: tuple[float, float]) -> Run:
    """Replicas that meet every few steps, as `LocalSGD` has them do; the curve shows what they share."""
    own = [Trained(clips.network, rate, _MOMENTUM) for _ in range(_REPLICAS)]
    together, curve = Trained(clips.network, 0.0, 0.0), Curve(clips)
    shared, velocity = together.weights(), np.zeros_like(together.weights())
    share, momentum = outer
    streams = (clips.batches(number, _REPLICAS, _BATCH) for number in range(_REPLICAS))

    def meet() -> None:
        nonlocal shared, velocity
        change = shared - np.mean([trained.weights() for trained in own], 0)
        velocity = momentum * velocity + change
        shared = (shared - share * (change + momentum * velocity if momentum else change)).astype(np.float32)
        for trained in own:
            trained.take(shared)

    for step, batches in enumerate(zip(*streams, strict=True), 1):
        seen = sum(trained.step(batch) for trained, batch in zip(own, batches, strict=True))
        if step % every == 0:
            meet()
        curve.add(seen, lambda: together.take(shared))  # between two meetings what they have shared last
    meet()
    return Run(curve.ended(together.take(shared)), Staleness())


def trained(clips: Clips, name: str, rate: float) -> Run:
    """Train one way at one rate."""
    torch.manual_seed(clips.seed)
    options = {key: value for key, value in VARIANTS[name].items() if key not in ("rate", "rate_of")}
    if "local" in options:
        return local(clips, rate, options["local"], options["outer"])
    return downpour(clips, rate, **options) if options else synchronous(clips, rate)


class Table:
    """A line a point, written as soon as a run is over.

    Args:
        path: Of the CSV file, or None.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._write("w", [("variant", "seed", "rate", "clips", "hit1")])

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
        run = trained(clips, name, base * multiple)
        table.add(name, clips.seed, base * multiple, run)
        found[multiple] = float(np.mean([point.hit1 for point in run.curve[-_LAST:]]))

    for multiple in sorted(multiples):
        tried(multiple)
    for _ in range(_FURTHER if len(found) > 1 else 0):
        best = max(found, key=lambda each: found[each])
        if best == max(found):
            tried(2 * best)
        elif best == min(found):
            tried(best / 2)
    return float(base * max(found, key=lambda each: found[each]))


def plot(path: Path, curves: dict[str, list[list[Point]]]) -> None:
    """Draw the mean curve of each way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, runs in curves.items():
        points = min(map(len, runs))
        clips, hits = np.mean([run[:points] for run in runs], 0).T
        axes.plot(clips, hits, label=name, linestyle="-" if name == "synchronous" else "--" if "SGD" in name else "-.")
    axes.set_xlabel("clips")
    axes.set_ylabel("clip Hit@1, mean over seeds")
    axes.legend(fontsize="x-small")
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
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args(argv)
    tune_process()
    table = Table(chosen.csv)
    clips = Clips(chosen.rate_seed, chosen.epochs, chosen.source_groups, chosen.width)
    rates = dict[str, float]()
    for name, options in VARIANTS.items():
        other = options.get("rate_of")  # nobody knows beforehand which machine will be slow
        rates[name] = rates[other] if other else chosen_rate(clips, name, chosen.rates, table)
    runs: dict[str, list[Run]] = {name: [] for name in VARIANTS}
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
