"""How fast a training step and a test's forward pass are, ours against plain PyTorch, at the paper's width.

    python -m tests.performance.training_steps [--only single slow_multires] [--steps 6]

*Plain* is the same network from PyTorch's own layers (Conv3d, `local_response_norm`, default memory layout) in float32
with an unfused SGD. *Ours* runs at the precision that `precision: auto` picks. Both get batches of 32 random clips that
are in memory already, and 487 classes. Every network is measured in a process of its own, ours right after its plain
version, since a process that has held one network hands its memory to the next in pieces. The first steps of a process
pay page faults and are left out. Prints clips/s (median over the steps, and the range), the share of the measured peak,
and how much faster two small streams are than a full-size one beside what arithmetic and a roofline predict.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark import models
from benchmark.commands.text import aligned
from benchmark.cost import operation_counter
from benchmark.process import tune_process
from benchmark.runs.trainer import fastest_precision
from benchmark.speed.machine import matmul_peak_gflop_per_second, memory_bandwidth_bytes_per_second
from benchmark.speed.multires import Work, bytes_per_parameter, roofline_seconds
from benchmark.speed.report import Gain, NetworkSpeed, Stage
from tests.models.plain import SIDE, PlainNetwork, random_clips

CLASSES, BATCH, WARMUP = 487, 32, 4
STRATEGIES: dict[str, tuple[Callable[..., nn.Module], tuple[tuple[int, int], ...], int]] = {
    "single": (models.SingleFrame, ((1, 1), (1, 1), (1, 1)), 1),
    "early": (models.EarlyFusion, ((10, 1), (1, 1), (1, 1)), 1),
    "late": (models.LateFusion, ((1, 1), (1, 1), (1, 1)), 2),
    "slow": (models.SlowFusion, ((4, 2), (2, 2), (2, 2)), 1),
}
FRAMES = {"single": 1, "early": 10, "late": 2, "slow": 10}
NETWORKS = tuple(f"{strategy}{suffix}" for strategy in STRATEGIES for suffix in ("", "_multires"))


@dataclasses.dataclass(frozen=True)
class Rates:
    """What one network does.

    Args:
        training: Clips/s of each training step.
        testing: Clips/s of each forward pass without gradients.
        training_gflop_per_clip: Counted in one step.
        testing_gflop_per_clip: Counted in one pass.
        parameters: Numbers that are trained.
    """

    training: list[float]
    testing: list[float]
    training_gflop_per_clip: float
    testing_gflop_per_clip: float
    parameters: int

    def median(self, work: Work) -> float:
        """Clips/s."""
        return statistics.median(self.training if work == "training" else self.testing)

    def gflop(self, work: Work) -> float:
        """Of a clip."""
        return self.training_gflop_per_clip if work == "training" else self.testing_gflop_per_clip


def build(name: str, *, is_plain: bool) -> nn.Module:
    """A network at the paper's width."""
    strategy, resolution = name.removesuffix("_multires"), "multires" if name.endswith("_multires") else "full"
    ours, extents, towers = STRATEGIES[strategy]
    if not is_plain:
        return ours(CLASSES, resolution=resolution)
    widths = {"channels": (96, 256, 384, 384, 256), "hidden": 4096, "classes": CLASSES}
    return PlainNetwork(resolution, extents=extents, towers=towers, **widths)  # type: ignore[arg-type]


def measure(name: str, *, is_plain: bool, steps: int) -> Rates:
    """Train and test a network on noise, in this process."""
    torch.manual_seed(0)
    network = build(name, is_plain=is_plain).train()
    side = SIDE["multires" if name.endswith("_multires") else "full"]
    clips = random_clips(BATCH, FRAMES[name.removesuffix("_multires")], side)
    labels = torch.arange(BATCH) % CLASSES
    optimizer = torch.optim.SGD(
        network.parameters(), 1e-3, momentum=0.9, weight_decay=5e-4, fused=None if is_plain else True
    )
    is_bf16 = not is_plain and fastest_precision() == "bf16-mixed"

    def forward() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16, cache_enabled=not network.training):
            logits: Tensor = network(clips)
        return logits.float()

    def train() -> None:
        F.cross_entropy(forward(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    def test() -> None:
        with torch.no_grad():
            forward()

    found = []
    for step, is_training in ((train, True), (test, False)):
        network.train(is_training)
        # As in a test, whose weights are cast once for all batches.
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16 and not is_training):
            with operation_counter() as counter:
                step()
            found.append((timed(step, steps), counter.get_total_flops() / BATCH / 1e9))
    (training, training_gflop), (testing, testing_gflop) = found
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Rates(training, testing, training_gflop, testing_gflop, parameters)


def timed(step: Callable[[], None], steps: int) -> list[float]:
    """Clips/s of each step behind the warm-up."""
    rates = []
    for number in range(WARMUP + steps):
        start = time.perf_counter()
        step()
        if number >= WARMUP:
            rates.append(BATCH / (time.perf_counter() - start))
    return rates


def in_own_process(name: str, *, is_plain: bool, steps: int) -> Rates:
    """The same as `measure`."""
    words = [sys.executable, "-m", "tests.performance.training_steps", "--one", name, "--steps", str(steps)]
    done = subprocess.run(
        [*words, *(["--plain"] if is_plain else [])], capture_output=True, encoding="utf-8", check=True
    )
    return Rates(**json.loads(done.stdout.splitlines()[-1]))


def race(names: Sequence[str], steps: int) -> dict[str, tuple[Rates, Rates]]:
    """Plain and ours of each network, one right after the other; plain gets half the steps."""
    raced = {}
    for name in names:
        plain, ours = (
            in_own_process(name, is_plain=is_plain, steps=max(3, steps // 2) if is_plain else steps)
            for is_plain in (True, False)
        )
        print(f"{name}: plain {plain.median('training'):.1f}, ours {ours.median('training'):.1f} clips/s", flush=True)
        raced[name] = plain, ours
    return raced


def step_table(raced: dict[str, tuple[Rates, Rates]], peak: float) -> str:
    """Clips/s of training steps, ratios, and shares of the peak in GFLOP/s."""
    rows = []
    for name, (plain, ours) in raced.items():
        rate, spread = ours.median("training"), f"{min(ours.training):.1f} to {max(ours.training):.1f}"
        share = rate * plain.training_gflop_per_clip / peak
        rows.append(
            [
                name,
                f"{plain.training_gflop_per_clip:.1f}",
                f"{plain.median('training'):.1f}",
                f"{rate:.1f}",
                spread,
                f"{rate / plain.median('training'):.2f}x",
                f"{share:.0%}",
            ]
        )
    return aligned(["network", "GFLOP a clip", "plain", "ours", "range", "ours is", "of the peak"], rows)


def gains(raced: dict[str, tuple[Rates, Rates]], peak: float, bandwidth: float) -> dict[str, list[Gain]]:
    """How much faster multires is than full, in testing and in training, by strategy that was measured in both."""
    works: tuple[Work, ...] = ("testing", "training")
    pairs = {name: (raced[name], raced[f"{name}_multires"]) for name in STRATEGIES if f"{name}_multires" in raced}
    return {
        name: [Gain(work, *(_resolution(one, work, peak, bandwidth) for one in pair)) for work in works]
        for name, pair in pairs.items()
    }


def _resolution(both: tuple[Rates, Rates], work: Work, peak: float, bandwidth: float) -> NetworkSpeed:
    """Ours as measured; operations are counted in the plain network, which has nothing but its own layers."""
    plain, ours = both
    rates = ours.training if work == "training" else ours.testing
    moved = plain.parameters * bytes_per_parameter(work, fastest_precision())
    seconds = roofline_seconds(plain.gflop(work) * BATCH, moved, peak, bandwidth)
    stage = Stage(work, (BATCH,) * len(rates), tuple(BATCH / rate for rate in rates))
    return NetworkSpeed(work, plain.parameters, plain.gflop(work), seconds, stage)


def share_of_predicted(gain: Gain) -> float:
    """Measured gain over that of arithmetic in testing, over that of the roofline in training."""
    return statistics.median(gain.measured) / (gain.by_arithmetic if gain.work == "testing" else gain.by_roofline)


def multires_table(found: dict[str, list[Gain]]) -> str:
    """Gains, predicted and measured."""
    rows = [
        [
            f"{name}, {gain.work}",
            *(f"{ratio:.2f}x" for ratio in (gain.by_arithmetic, gain.by_roofline, statistics.median(gain.measured))),
            f"{share_of_predicted(gain):.0%} of {'arithmetic' if gain.work == 'testing' else 'the roofline'}",
        ]
        for name, both in found.items()
        for gain in both
    ]
    return aligned(["multires over full", "by arithmetic", "by roofline", "ours", "ours is"], rows)


def limits() -> tuple[float, float]:
    """Measured GFLOP/s in the dtype of `precision: auto` and bytes/s."""
    device = torch.device("cpu")
    dtype = torch.bfloat16 if fastest_precision() == "bf16-mixed" else torch.float32
    return matmul_peak_gflop_per_second(dtype, device), memory_bandwidth_bytes_per_second(device)


def show(raced: dict[str, tuple[Rates, Rates]]) -> None:
    """Print both tables."""
    peak, bandwidth = limits()
    print(f"peak {peak:.0f} GFLOP/s at {fastest_precision()}, copies {bandwidth / 1e9:.1f} GB/s read plus written")
    print(f"\n{step_table(raced, peak)}\n\n{multires_table(gains(raced, peak, bandwidth))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--one", choices=NETWORKS, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is None:
        show(race(options.only, options.steps))
        return
    tune_process()
    print(json.dumps(dataclasses.asdict(measure(options.one, is_plain=options.plain, steps=options.steps))))


if __name__ == "__main__":
    main()
