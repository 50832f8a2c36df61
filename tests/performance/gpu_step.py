"""One network in one way on a device: prepared, then timed when its turn comes. See `tests.performance.gpu`."""

import contextlib
import copy
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.cost import wait_for
from tests.models.plain import SIDE, PlainNetwork
from tests.performance.training_steps import CLASSES, FRAMES, STRATEGIES

PLAIN = ("plain_float32", "plain_bfloat16", "plain_compiled")
OURS = ("ours", "ours_uncompiled")
ROUNDS, FEWEST_ROUNDS, WARMUP, SECONDS = 5, 3, 5, 0.1
PATIENCE_SECONDS = 2.0
"""A step that takes longer than a fraction of this is warmed up and timed fewer times."""
LARGE, SMALL = 256, 32
READY = "ready for the turn"
UNPREPARED = f"{READY}, part of which is still to be prepared"
FAILED = "failed: "
"""Begin lines that the script looks for."""


@dataclasses.dataclass(frozen=True)
class Size:
    """How large what is measured is: the paper's on a GPU, a trifle in a dry run.

    Args:
        channels: Filters of the five convolutions.
        hidden: Units of a fully connected layer.
        width: The same as a share.
        large: Clips of a large batch.
        small: Clips of a small one.
    """

    channels: tuple[int, ...] = (96, 256, 384, 384, 256)
    hidden: int = 4096
    width: float = 1.0
    large: int = LARGE
    small: int = SMALL


TRIFLE = Size((5, 13, 19, 19, 13), 205, 0.05, 4, 2)


def size_on(device: torch.device) -> Size:
    """What is measured there."""
    return TRIFLE if device.type == "cpu" else Size()


def build(name: str, size: Size, *, is_plain: bool) -> nn.Module:
    """A network with 487 classes."""
    strategy, resolution = name.removesuffix("_multires"), "multires" if name.endswith("_multires") else "full"
    ours, extents, towers = STRATEGIES[strategy]
    if not is_plain:
        return ours(CLASSES, resolution=resolution, width=size.width)
    widths = {"channels": size.channels, "hidden": size.hidden, "classes": CLASSES}
    return PlainNetwork(resolution, extents=extents, towers=towers, **widths)  # type: ignore[arg-type]


def side_of(name: str) -> int:
    """Of the input in pixels."""
    return SIDE["multires" if name.endswith("_multires") else "full"]


class Bench:
    """One network in one way.

    Args:
        name: The network.
        way: Of `PLAIN` or `OURS`.
        device: Where it computes.
    """

    def __init__(self, name: str, way: str, device: torch.device) -> None:
        self.name, self.way, self.device = name, way, device
        self.size = size_on(device)
        self.is_plain = way in PLAIN
        torch.manual_seed(0)
        torch.backends.cudnn.allow_tf32 = False
        # The search for the fastest algorithms waits for the turn: what the others compute meanwhile would disturb it.
        # cuDNN's plans are kept by shape and by whether they must be deterministic, and none is searched for again, so
        # preparing takes deterministic ones and leaves the place of the others free. A captured graph keeps its own.
        is_captured = "graphs" in way
        torch.backends.cudnn.benchmark = is_captured
        torch.backends.cudnn.deterministic = not self.is_plain and not is_captured
        self.network = build(name, self.size, is_plain=self.is_plain).to(device)
        self.reference = None if self.is_plain else copy.deepcopy(self.network)
        if way == "plain_compiled" or (not self.is_plain and "uncompiled" not in way):
            options = {"mode": "reduce-overhead"} if is_captured else {}
            self.network.compile(dynamic=False, **options)
        self.is_bf16 = way != "plain_float32"
        self.optimizer = self.optimizer_of(self.network)
        self.batches: dict[int, tuple[Tensor, Tensor]] = {}
        self.found: dict[str, float] = {}
        self.is_prepared = False

    def optimizer_of(self, network: nn.Module) -> torch.optim.Optimizer:
        """SGD, fused where it is ours."""
        fused = None if self.is_plain else True
        return torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9, weight_decay=5e-4, fused=fused)

    def cases(self) -> list[tuple[str, int]]:
        """Work and clips of a batch."""
        sizes = [self.size.large] if self.is_plain else [self.size.large, self.size.small]
        if "graphs" in self.way:
            sizes = [self.size.small]
        return [(work, clips) for clips in sizes for work in ("train", "test")]

    def prepare(self) -> None:
        """Compile, and compare losses with those of the network as it is."""
        if self.reference is not None:
            with going_on("losses"):
                self.found["losses differ by"] = self.difference(self.reference)
            self.reference = None
        left = self.cases()
        for work, clips in self.cases():
            with going_on(f"preparing {work} {clips}"):
                step = self.step(work, clips)
                for _ in range(3):
                    step()
                wait_for(self.device)
                left.remove((work, clips))
        self.is_prepared = not left

    def measure(self) -> None:
        """What `found` is to have of the cases, told as soon as it is known. Nothing else computes meanwhile."""
        torch.backends.cudnn.benchmark = not self.is_plain
        torch.backends.cudnn.deterministic = False
        for work, clips in self.cases():
            with going_on(f"{work} {clips}"):
                self.found[f"{work} {clips}"] = self.rate(work, clips)
                print(json.dumps({"network": self.name, "way": self.way, **self.found}), flush=True)

    def difference(self, plain: nn.Module) -> float:
        """Largest difference of the losses of a few training steps from those of a copy, as a share."""
        dropouts = [(m, m.p) for n in (self.network, plain) for m in n.modules() if isinstance(m, nn.Dropout)]
        losses: list[list[float]] = []
        before = {name: value.clone() for name, value in self.network.state_dict().items()}
        try:
            for dropout, _ in dropouts:
                dropout.p = 0.0
            for network in (self.network, plain):
                step = self.step("train", self.size.small, network, self.optimizer_of(network))
                losses.append([float(step().item()) for _ in range(6)])
                network.zero_grad()
        finally:  # rates are of the network as it was, also where this fails
            for dropout, p in dropouts:
                dropout.p = p
            self.network.zero_grad()
            self.network.load_state_dict(before)
        pairs = zip(losses[0], losses[1], strict=True)
        return max(abs(ours / theirs - 1) for ours, theirs in pairs)

    def rate(self, work: str, clips: int) -> float:
        """Clips/s."""
        step = self.step(work, clips)
        step()  # compiles what could not be prepared, and searches for algorithms: not for the warm-up's patience
        wait_for(self.device)
        begun = time.perf_counter()
        for _ in range(WARMUP):
            step()
            wait_for(self.device)
            if time.perf_counter() - begun > PATIENCE_SECONDS:
                break
        return clips / statistics.median(self.rounds(step))

    def rounds(self, step: Callable[[], object]) -> list[float]:
        """Seconds of a step, by round."""
        start = time.perf_counter()
        step()
        wait_for(self.device)
        steps = max(1, round(SECONDS / (time.perf_counter() - start)))
        seconds = list[float]()
        while len(seconds) < ROUNDS and (len(seconds) < FEWEST_ROUNDS or sum(seconds) < PATIENCE_SECONDS):
            start = time.perf_counter()
            for _ in range(steps):
                step()
            wait_for(self.device)
            seconds.append((time.perf_counter() - start) / steps)
        return seconds

    def step(
        self, work: str, clips: int, network: nn.Module | None = None, optimizer: torch.optim.Optimizer | None = None
    ) -> Callable[[], Tensor]:
        """One batch; gives its loss, or what a test makes of it."""
        network, optimizer = network or self.network, optimizer or self.optimizer
        frames, side = FRAMES[self.name.removesuffix("_multires")], side_of(self.name)
        if clips not in self.batches:
            shape = (clips, frames, side, side, 3)
            batch = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
            self.batches[clips] = batch, torch.arange(clips, device=self.device) % CLASSES
        batch, labels = self.batches[clips]

        def forward() -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16):
                logits: Tensor = network(batch)
            return logits.float()

        def train() -> Tensor:
            loss = F.cross_entropy(forward(), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            return loss.detach()

        def test() -> Tensor:
            with torch.no_grad():
                return forward().softmax(1)

        network.train(work == "train")
        return train if work == "train" else test

    def profile(self) -> str:
        """Where the time of training steps goes."""
        step = self.step("train", self.cases()[0][1])
        step()
        wait_for(self.device)
        with torch.profiler.profile() as profile:
            for _ in range(3):
                step()
            wait_for(self.device)
        return str(profile.key_averages().table(sort_by="self_cuda_time_total", row_limit=22, max_name_column_width=90))


@contextlib.contextmanager
def going_on(what: str) -> Iterator[None]:
    """Say that a part failed and why, and let those behind it run.

    Any error is meant: without memory, cuDNN and cuBLAS raise a plain RuntimeError, and compilers errors of their own.
    """
    try:
        yield
    except Exception as error:
        print(f"{FAILED}{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)


def one(name: str, way: str, device: torch.device, *, is_profiled: bool) -> None:
    """Prepare, say so, wait for the turn, measure."""
    bench = None
    with going_on("preparing"):  # those beside it have given their memory back by its turn
        bench = Bench(name, way, device)
        bench.prepare()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    print(READY if bench and bench.is_prepared else UNPREPARED, flush=True)
    if not sys.stdin.readline():  # the script is gone, and all that wait would measure at once
        return
    bench = bench or Bench(name, way, device)
    bench.measure()
    if is_profiled:
        print(bench.profile())
