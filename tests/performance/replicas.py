"""Replicas that take turns in one process, and synchronous training at equal clips: what `downpour.py` compares.

Each step of each replica lasts about as long as the others', so that what is pushed is as stale as among machines of
one kind, and a slow replica makes a step while the others make ten. Pushes, fetches and servers are `benchmark.scale`'s
own.
"""

import copy
import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.clip import ClipBatch
from benchmark.data import ClipsPerVideo, SyntheticActions
from benchmark.data.loader import EpochBatches
from benchmark.models import SingleFrame
from benchmark.scale.downpour import Replica
from benchmark.scale.servers import ServerOptions, Servers, Staleness

REPLICAS, BATCH, RATE, MOMENTUM = 4, 8, 0.01, 0.9
POINTS = 12  # of a curve

# As far a clip as the synchronous run: its momentum multiplies a rate by ten in the long run, and four replicas push
# four times while it makes one step.
EQUAL = RATE / (1 - MOMENTUM) / REPLICAS


class Point(NamedTuple):
    """Of a curve: clips that all replicas have seen, and the share of validation clips whose true class is on top."""

    clips: int
    hit1: float


class Run(NamedTuple):
    """What came of training: its curve, and how stale its pushes were."""

    curve: list[Point]
    staleness: Staleness


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
            source_groups=source_groups, seed=seed, batch_size=BATCH, num_workers=0, clips_per_video=counts
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
        self._between = len(clips.rows) * clips.epochs / POINTS
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
    one, curve = Trained(clips.network, rate, MOMENTUM), Curve(clips)
    for batch in clips.batches(0, 1, BATCH * REPLICAS):
        curve.add(one.step(batch), lambda: one.network)
    return Run(curve.ended(one.network), Staleness())


def downpour(clips: Clips, rate: float, every: int, slow: float = 1.0, **options: Any) -> Run:
    """Replicas that take turns in simulated time; a slow one is stopped when the others have ended."""
    is_adagrad = options.get("rule") == "adagrad"
    servers = Servers(2, ServerOptions(**options | ({"adagrad_rate": rate} if is_adagrad else {})))
    own_rate = EQUAL if is_adagrad else rate
    momentum = MOMENTUM if options.get("momentum_at") == "replica" else 0.0
    own = [Trained(clips.network, own_rate, momentum) for _ in range(REPLICAS)]
    shared, curve = Trained(clips.network, 0.0, 0.0), Curve(clips)
    servers.begin(shared.weights())
    replicas = [Replica(number, servers, every, every) for number in range(REPLICAS)]
    for replica, trained in zip(replicas, own, strict=True):
        trained.take(replica.fetch(trained.weights))
    streams = [clips.batches(number, REPLICAS, BATCH) for number in range(REPLICAS)]
    rng = np.random.default_rng(clips.seed)
    turns = [(rng.random(), number) for number in range(REPLICAS)]
    heapq.heapify(turns)
    running = set(range(REPLICAS))
    while running - ({REPLICAS - 1} if slow > 1 else set()):
        now, number = heapq.heappop(turns)
        batch = next(streams[number], None)
        if batch is None:
            running.discard(number)
            continue
        trained = own[number]
        seen = trained.step(batch)
        trained.take(replicas[number].step(trained.weights, own_rate))
        curve.add(seen, lambda: shared.take(servers.fetch()[1]))
        takes = rng.uniform(0.9, 1.1) * (slow if number == REPLICAS - 1 else 1.0)
        heapq.heappush(turns, (now + takes, number))
    counts: Counter[int] = Counter()
    for said in servers.state()["staleness"].values():
        counts.update(said)
    return Run(curve.ended(shared.take(servers.fetch()[1])), Staleness(counts))


def local(clips: Clips, rate: float, every: int, outer: tuple[float, float]) -> Run:
    """Replicas that meet every few steps, as `LocalSGD` has them do; the curve shows what they share."""
    own = [Trained(clips.network, rate, MOMENTUM) for _ in range(REPLICAS)]
    together, curve = Trained(clips.network, 0.0, 0.0), Curve(clips)
    shared, velocity = together.weights(), np.zeros_like(together.weights())
    share, momentum = outer
    streams = (clips.batches(number, REPLICAS, BATCH) for number in range(REPLICAS))

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
