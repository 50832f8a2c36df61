"""How much faster two small streams are than one full-size network: by arithmetic, by a roofline, and measured.

Section 4.1 of the paper: from 6 to 21 clips/s in training, 3.5 times.

**Roofline.** A step of B clips takes B * GFLOP / peak + bytes / bandwidth seconds: a sum, not the larger of the two,
since products and the update of the weights come one after the other. Bytes are those that weights, gradients and
momentum move whatever the number of clips; activations are left out. For each parameter:

| what moves | bfloat16 autocast | float32 |
|---|---|---|
| copy of the weight in low precision: read, write | 4 + 2 | - |
| weight in the forward pass: read | 2 | 4 |
| weight in the backward pass: read | 2 | 4 |
| gradient in low precision: write, read | 2 + 2 | - |
| gradient: write | 4 | 4 |
| optimiser: read weight, gradient, momentum | 12 | 12 |
| optimiser: write weight, momentum | 8 | 8 |

that is 38 and 32 bytes. Testing reads the weight in the forward pass alone, 2 and 4 bytes: its copy is made once for
all batches.
"""

import contextlib
import functools
import time
import warnings
from typing import Literal

import torch
from torch.optim import Optimizer

from benchmark.clip import ClipBatch
from benchmark.cost import operation_counter, parameter_count, wait_for
from benchmark.errors import UserError
from benchmark.models.building import first_optimizer
from benchmark.models.video_classifier import VideoClassifier
from benchmark.runs.trainer import Trainer
from benchmark.speed.report import Gain, Machine, NetworkSpeed, Stage
from benchmark.speed.training import WARMUP_STEPS, random_batch

Work = Literal["testing", "training"]

PAPER_CLIPS_PER_SECOND = {"full": 6.0, "multires": 21.0}
"""Section 4.1 of Karpathy et al. (2014), training on one model replica."""


def bytes_per_parameter(work: Work, precision: str, *, has_momentum: bool = True) -> int:
    """Bytes that one parameter moves in one step; see the table above.

    Args:
        work: Whether weights change.
        precision: As Lightning names it: `-mixed` keeps float32 weights and computes on copies of 2 bytes, `-true`
            holds everything in its own size.
        has_momentum: Whether the optimiser keeps one number a parameter.

    Raises:
        ValueError: If the precision is unknown.
    """
    size = {"32-true": 4, "64-true": 8, "16-true": 2, "bf16-true": 2, "16-mixed": 4, "bf16-mixed": 4}.get(precision)
    if size is None:
        raise ValueError(f"precision is {precision!r}; its bytes are not known")
    is_mixed = precision.endswith("-mixed")
    low = 2 if is_mixed else size
    if work == "testing":
        return low
    copy = size + low if is_mixed else 0
    gradient = (low + low if is_mixed else 0) + size
    optimizer = (3 + 2) * size if has_momentum else (2 + 1) * size
    return copy + low + low + gradient + optimizer


def roofline_seconds(gflop: float, moved_bytes: float, peak_gflop_per_second: float, bytes_per_second: float) -> float:
    """Seconds of a step by its operations and the bytes it moves, one after the other.

    Args:
        gflop: Operations of the step in units of 10^9.
        moved_bytes: By weights, gradients and momentum.
        peak_gflop_per_second: Of the machine.
        bytes_per_second: Its memory bandwidth.
    """
    return gflop / peak_gflop_per_second + moved_bytes / bytes_per_second


def has_both(model: VideoClassifier) -> bool:
    """Whether the model is one of two that differ in nothing but full or multires resolution."""
    return getattr(model, "resolution", None) in PAPER_CLIPS_PER_SECOND


class Step:
    """One network with its own loss and, where it is trained, optimiser, run outside of a fit.

    Args:
        model: The network; it is moved to the Trainer's device and brought to its precision.
        trainer: Chooses both.
        clips: Of a batch.
    """

    def __init__(self, model: VideoClassifier, trainer: Trainer, clips: int) -> None:
        self.precision, self.device = trainer.precision_plugin, trainer.strategy.root_device
        self.model = model
        self.precision.convert_module(model).to(self.device)
        self.batch: ClipBatch = random_batch(model, clips, self.device)
        self.clips = clips

    @functools.cached_property
    def optimizer(self) -> Optimizer:
        """Made for the first training step; the first one where there are several."""
        optimizer = first_optimizer(self.model)
        if optimizer is None:
            raise UserError(f"{type(self.model).__name__}.configure_optimizers gives no optimiser; speed needs one")
        return optimizer

    def run(self, work: Work) -> None:
        """One batch, until the device has finished."""
        self.model.train(work == "training")
        if work == "testing":
            with torch.no_grad(), self.precision.forward_context():
                self.model.test_step(self.batch, 0)
        else:
            with self.precision.forward_context():
                loss = self.model.training_step(self.batch, 0)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
        wait_for(self.device)

    def gflop_per_clip(self, work: Work) -> float:
        """Operations of a batch, counted while it runs."""
        with operation_counter() as counter:
            self.run(work)
        return float(counter.get_total_flops()) / self.clips / 1e9


def measure_gains(
    models: dict[str, VideoClassifier],
    trainer: Trainer,
    machine: Machine,
    dtype: str,
    *,
    batch_size: int,
    steps: int,
    rounds: int,
) -> tuple[Gain, ...]:
    """Time both networks on noise, in turns, so that a machine that gets slower does so for both.

    Args:
        models: `full` and `multires`.
        trainer: Chooses device and precision.
        machine: Its measured limits.
        dtype: In which products are computed.
        batch_size: Clips a batch.
        steps: Batches of each network in all, shared among the rounds.
        rounds: Number of rounds.
    """
    precision = str(trainer.precision)
    peak, bandwidth = machine.matmul_peak_gflop_per_second[dtype], machine.memory_bandwidth_bytes_per_second
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*You are trying to `self.log\\(\\)`.*")  # there is nobody to log to
        ways = {name: Step(model, trainer, batch_size) for name, model in models.items()}
        gains = []
        works: tuple[Work, ...] = ("testing", "training")
        for work in works:
            gflop = {name: way.gflop_per_clip(work) for name, way in ways.items()}
            measured = in_turns(ways, work, steps=max(1, steps // rounds), rounds=rounds)
            found = {}
            for name, model in models.items():
                parameters = parameter_count(model)
                has_momentum = model.recipe.momentum > 0
                moved = parameters * bytes_per_parameter(work, precision, has_momentum=has_momentum)
                seconds = roofline_seconds(gflop[name] * batch_size, moved, peak, bandwidth)
                found[name] = NetworkSpeed(name, parameters, gflop[name], seconds, measured[name])
            gains.append(Gain(work, found["full"], found["multires"]))
    return tuple(gains)


def in_turns(ways: dict[str, Step], work: Work, *, steps: int, rounds: int) -> dict[str, Stage]:
    """Clips and seconds of each network and round, in turns batch by batch: full, multires, full, multires."""
    seconds = {name: [0.0] * rounds for name in ways}
    with contextlib.ExitStack() as held:
        if work == "testing":  # as in a test, whose weights are cast once for all batches
            held.enter_context(torch.no_grad())
            held.enter_context(next(iter(ways.values())).precision.forward_context())
        for _ in range(WARMUP_STEPS):
            for way in ways.values():
                way.run(work)
        for number in range(rounds):
            for _ in range(steps):
                for name, way in ways.items():
                    start = time.perf_counter()
                    way.run(work)
                    seconds[name][number] += time.perf_counter() - start
    return {
        name: Stage(f"{name}, {work}", (way.clips * steps,) * rounds, tuple(seconds[name]))
        for name, way in ways.items()
    }
