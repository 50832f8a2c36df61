"""Downpour, local SGD and synchronous training at equal clips on the embedded data, over seeds.

python -m tests.performance.downpour --seeds 0 1 2

The replicas take turns in one process: each step of each lasts about as long as the others', so that what is pushed is
as stale as among machines of one kind, and a slow replica makes a step while the others make ten. Pushes, fetches and
servers are `benchmark.scale`'s own. Prints one line a run and Markdown at the end.
"""

import argparse
import copy
import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.clip import ClipBatch
from benchmark.data import ClipsPerVideo, SyntheticActions
from benchmark.data.loader import EpochBatches
from benchmark.models import SingleFrame
from benchmark.process import tune_process
from benchmark.scale.downpour import Replica, Servers
from benchmark.scale.servers import ServerOptions

_REPLICAS, _BATCH, _RATE, _MOMENTUM = 4, 8, 0.01, 0.9

VARIANTS: dict[str, dict[str, Any]] = {
    "synchronous": {},
    "Downpour, n=1, momentum at the replicas": {"every": 1, "options": ServerOptions(momentum_at="replica")},
    "Downpour, n=5, momentum at the replicas": {"every": 5, "options": ServerOptions(momentum_at="replica")},
    "Downpour, n=1, momentum 0.9 at the servers": {"every": 1, "options": ServerOptions(momentum_at="server")},
    "DiLoCo, every 10 steps": {"local": 10, "outer": (0.7, 0.9)},
    "Downpour, n=5, Adagrad": {"every": 5, "options": ServerOptions("adagrad", adagrad_rate=0.003)},
    "local SGD, every 10 steps": {"local": 10, "outer": (1.0, 0.0)},
    "Downpour, n=1, no momentum": {"every": 1, "options": ServerOptions(momentum_at="none")},
    "Downpour, n=1, one replica ten times slower": {
        "every": 1, "options": ServerOptions(momentum_at="replica"), "slow": 10.0,
    },
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


class Trained:
    """A copy of the network with an optimiser of its own."""

    def __init__(self, network: SingleFrame, momentum: float) -> None:
        self.network = copy.deepcopy(network)
        self.parameters = list(self.network.parameters())
        self.optimizer = torch.optim.SGD(self.parameters, _RATE, momentum=momentum, weight_decay=0.0005)

    def step(self, batch: ClipBatch) -> None:
        """One step of the optimiser."""
        self.optimizer.zero_grad()
        targets = batch.labels / batch.labels.sum(1, keepdim=True)
        F.cross_entropy(self.network(batch.frames).float(), targets).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def weights(self) -> np.ndarray:
        """(N,) float32."""
        return np.concatenate([each.detach().numpy().reshape(-1) for each in self.parameters])

    def take(self, weights: np.ndarray | None) -> None:
        """Go on with these, if there are any."""
        if weights is None:
            return
        first = 0
        with torch.no_grad():
            for each in self.parameters:
                each.copy_(torch.from_numpy(weights[first : first + each.numel()].copy()).view_as(each))
                first += each.numel()


def synchronous(clips: Clips) -> tuple[SingleFrame, float, int]:
    """One process with the batch of all replicas."""
    one, seen = Trained(clips.network, _MOMENTUM), 0
    for batch in clips.batches(0, 1, _BATCH * _REPLICAS):
        one.step(batch)
        seen += len(batch)
    return one.network, 0.0, seen


def downpour(clips: Clips, every: int, options: ServerOptions, slow: float = 1.0) -> tuple[SingleFrame, float, int]:
    """Replicas that take turns in simulated time; a slow one is stopped when the others have ended."""
    servers = Servers(2, options)
    own = [Trained(clips.network, _MOMENTUM if options.momentum_at == "replica" else 0.0) for _ in range(_REPLICAS)]
    servers.begin(own[0].weights())
    replicas = [Replica(number, servers, every, every) for number in range(_REPLICAS)]
    for replica, trained in zip(replicas, own, strict=True):
        trained.take(replica.fetch(trained.weights))
    streams = [clips.batches(number, _REPLICAS, _BATCH) for number in range(_REPLICAS)]
    rng = np.random.default_rng(clips.seed)
    turns = [(rng.random(), number) for number in range(_REPLICAS)]
    heapq.heapify(turns)
    running, seen = set(range(_REPLICAS)), 0
    while running - ({_REPLICAS - 1} if slow > 1 else set()):
        now, number = heapq.heappop(turns)
        batch = next(streams[number], None)
        if batch is None:
            running.discard(number)
            continue
        own[number].step(batch)
        seen += len(batch)
        own[number].take(replicas[number].step(own[number].weights, _RATE))
        takes = rng.uniform(0.9, 1.1) * (slow if number == _REPLICAS - 1 else 1.0)
        heapq.heappush(turns, (now + takes, number))
    own[0].take(servers.fetch()[1])
    said = servers.state()["staleness"].values()
    return own[0].network, sum(each["total"] for each in said) / max(1, sum(each["pushes"] for each in said)), seen


def local(clips: Clips, every: int, outer: tuple[float, float]) -> tuple[SingleFrame, float, int]:
    """Replicas that meet every few steps, as `LocalSGD` has them do."""
    own = [Trained(clips.network, _MOMENTUM) for _ in range(_REPLICAS)]
    shared, velocity, seen = own[0].weights(), np.zeros_like(own[0].weights()), 0
    rate, momentum = outer
    steps = list(zip(*(clips.batches(number, _REPLICAS, _BATCH) for number in range(_REPLICAS)), strict=True))
    for step, batches in enumerate(steps, 1):
        for trained, batch in zip(own, batches, strict=True):
            trained.step(batch)
            seen += len(batch)
        if step % every == 0 or step == len(steps):
            change = shared - np.mean([trained.weights() for trained in own], 0)
            velocity = momentum * velocity + change
            shared = (shared - rate * (change + momentum * velocity if momentum else change)).astype(np.float32)
            for trained in own:
                trained.take(shared)
    return own[0].network, 0.0, seen


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--source_groups", type=int, default=9)
    parser.add_argument("--width", type=float, default=0.125)
    chosen = parser.parse_args(argv)
    tune_process()
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in VARIANTS}
    for seed in chosen.seeds:
        clips = Clips(seed, chosen.epochs, chosen.source_groups, chosen.width)
        for name, options in VARIANTS.items():
            torch.manual_seed(seed)
            if "local" in options:
                network, staleness, seen = local(clips, options["local"], options["outer"])
            elif options:
                network, staleness, seen = downpour(clips, **options)
            else:
                network, staleness, seen = synchronous(clips)
            found[name].append((clips.hit1(network), staleness, seen))
            print(seed, name, *found[name][-1], flush=True)
    print("| | clip Hit@1, mean (each seed) | mean staleness | clips |\n|---|---|---|---|")
    for name, runs in found.items():
        values = [hit for hit, _, _ in runs]
        each = ", ".join(f"{value:.3f}" for value in values)
        stale, clips_seen = np.mean([stale for _, stale, _ in runs]), np.mean([number for _, _, number in runs])
        print(f"| {name} | {np.mean(values):.3f} ({each}) | {stale:.1f} | {clips_seen:,.0f} |")


if __name__ == "__main__":
    main()
