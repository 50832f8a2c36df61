import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from torch import Tensor

from benchmark.clip import ClipBatch, FeatureBatch
from benchmark.errors import UserError
from benchmark.models import SingleFrame
from benchmark.runs.trainer import Trainer
from benchmark.speed.report import Training
from benchmark.speed.training import PARTS, Course, StepClock, computing_dtype, measure_training, random_batch
from tests.generators.broken_models import Sound


def run(clock: StepClock, *, backwards: int = 1, batches: int = 6) -> None:
    """The hooks of a fit, in Lightning's order."""
    module = cast(Any, SimpleNamespace(device=torch.device("cpu")))
    batch = random_batch(SingleFrame(3, width=0.05), 4)
    trainer = cast(Any, SimpleNamespace())
    for number in range(batches):
        clock.on_train_batch_start(trainer, module, batch, number)
        for _ in range(backwards):
            clock.on_before_backward(trainer, module, torch.zeros(()))
            clock.on_after_backward(trainer, module)
        if number == 1:
            torch.ones(2, 3) @ torch.ones(3, 5)
        clock.on_train_batch_end(trainer, module, None, batch, number)


def test_each_part_is_the_time_between_two_marks() -> None:
    ticks = (float(number**2) for number in itertools.count())
    clock = StepClock(Course(2, 4, 3), lambda: next(ticks))
    run(clock, batches=6)
    # Marks 8, 9, 10, 11 are those of the first batch behind the warm-up, and 7 is the end of the one before.
    assert [clock.seconds[part][0] for part in PARTS] == [8**2 - 7**2, 9**2 - 8**2, 10**2 - 9**2, 11**2 - 10**2]
    assert clock.clips == [4] * 4
    assert sum(map(sum, clock.seconds.values())) == 23**2 - 7**2
    rounds = clock.stage("forward")
    assert rounds.clips == (4, 4, 8)
    assert sum(rounds.seconds) == sum(clock.seconds["forward"])


def test_operations_are_counted_in_one_batch_alone() -> None:
    clock = StepClock(Course(2, 4, 1))
    run(clock)
    assert clock.gflop_per_clip * 1e9 == pytest.approx(2 * 2 * 3 * 5 / 4)


def test_a_step_without_one_backward_is_refused() -> None:
    with pytest.raises(UserError, match="backward once a step"):
        run(StepClock(Course(2, 4, 1)), backwards=2)


class Simulated:
    """A loader with persistent workers that load in simulated time: PyTorch's, step by step, without processes.

    Args:
        batches: Of an epoch.
        workers: How many, which get the batches in turns.
        prefetch: Batches that each is asked for ahead.
        seconds: That a batch takes a worker.
    """

    def __init__(self, batches: int, workers: int, prefetch: int, seconds: float) -> None:
        self.batches, self.num_workers, self.prefetch_factor, self.seconds = batches, workers, prefetch, seconds
        self.now = 0.0
        self.free = [0.0] * workers  # when each has made all that it was asked for
        self.batch = random_batch(Sound(3), 2)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[ClipBatch]:
        ahead = self.num_workers * self.prefetch_factor
        self.now = max(self.now, *self.free)  # a broken-off epoch's batches are made first, and thrown away
        ready: list[float] = []

        def ask() -> None:
            worker = len(ready) % self.num_workers
            self.free[worker] = max(self.free[worker], self.now) + self.seconds
            ready.append(self.free[worker])

        for _ in range(min(ahead, self.batches)):
            ask()
        for number in range(self.batches):
            self.now = max(self.now, ready[number])
            if len(ready) < self.batches:
                ask()
            yield self.batch

    def seconds_a_batch(self, step: float) -> float:
        """What a batch takes in a fit of 20 epochs whose steps are all alike."""
        fresh = Simulated(self.batches, self.num_workers, self.prefetch_factor, self.seconds)
        for _ in range(20):
            for _ in fresh:
                fresh.now += step
        return fresh.now / 20 / self.batches


class InSimulatedTime(Sound):
    """A step takes as long as it is told, and the first two, as in a real process, much longer."""

    loader: Simulated
    step = 0.05
    seen = 0

    def training_step(self, batch: ClipBatch | FeatureBatch, batch_idx: int) -> Tensor:
        self.loader.now += self.step + (20.0 if self.seen < 2 else 0.0)
        self.seen += 1
        return super().training_step(batch, batch_idx)


class SimulatedData(L.LightningDataModule):
    batch_size, groups, class_names = 2, dict[str, list[int]](), ("a", "b", "c")

    def __init__(self, loader: Simulated) -> None:
        super().__init__()
        self.loader = loader

    def train_dataloader(self) -> Any:
        return self.loader


def measured(loader: Simulated, step: float, *, steps: int = 20, rounds: int = 5, accumulated: int = 1) -> Training:
    network = InSimulatedTime(3)
    network.loader, network.step = loader, step
    clock = StepClock(clock=lambda: loader.now)
    trainer = Trainer(
        accelerator="cpu", precision="32-true", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[clock], max_epochs=-1,
        limit_val_batches=0, accumulate_grad_batches=accumulated,
    )  # fmt: skip
    data = cast(Any, SimulatedData(loader))
    found = measure_training(trainer, network, data, clock, steps=steps, rounds=rounds)
    assert sum(found.forward.clips) == 2 * found.timed_batches
    untimed = network.seen - found.timed_batches
    assert untimed <= 5 + max(loader.batches if found.whole_epochs else 0, loader.num_workers)  # and ends then
    return found


@pytest.mark.parametrize(
    ("workers", "prefetch", "seconds", "step"),
    [
        (2, 2, 0.4, 0.05),  # bound by loading
        (3, 1, 0.4, 0.05),
        (8, 2, 0.4, 0.002),
        (16, 2, 0.8, 0.002),
        (16, 4, 0.8, 0.002),
        (8, 2, 0.4, 0.045),  # loading takes a little longer than computing
        (8, 4, 0.4, 0.049),
        (8, 2, 0.4, 0.1),  # bound by computing
    ],
)
def test_batches_that_were_made_before_count_nothing(workers: int, prefetch: int, seconds: float, step: float) -> None:
    loader = Simulated(1000, workers, prefetch, seconds)
    found = measured(loader, step)
    long_fit = max(seconds / workers, step)  # by hand, without the ends of epochs
    assert loader.seconds_a_batch(step) == pytest.approx(long_fit, rel=0.01)
    assert found.end_to_end.rate == pytest.approx(2 / long_fit, rel=0.01)
    assert found.waiting_share == pytest.approx(1 - step / long_fit, abs=0.01)
    assert found.whole_epochs == 0
    assert found.timed_batches >= max(20, 4 * workers)


@pytest.mark.parametrize("batches", [1, 5, 6, 10, 30])
def test_short_epochs_are_timed_whole(batches: int) -> None:
    loader = Simulated(batches, 8, 2, 0.4)
    found = measured(loader, 0.01)
    assert found.whole_epochs * batches == found.timed_batches >= 32
    assert found.end_to_end.rate == pytest.approx(2 / loader.seconds_a_batch(0.01), rel=0.01)


def test_the_default_is_about_as_short_as_it_was_with_few_workers() -> None:
    def steps(workers: int) -> int:
        course = Course.of(20, 5, workers=workers, batches=1000)
        return course.warmup + course.timed

    assert {workers: steps(workers) for workers in (0, 1, 2, 4, 8)} == {0: 25, 1: 26, 2: 27, 4: 29, 8: 53}


def test_steps_of_several_batches() -> None:
    assert measured(Simulated(1000, 2, 2, 0.4), 0.05, steps=8, rounds=2, accumulated=3).timed_batches == 24


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("32-true", torch.float32),
        ("bf16-mixed", torch.bfloat16),
        ("bf16-true", torch.bfloat16),
        ("16-mixed", torch.float16),
        ("64-true", torch.float64),
    ],
)
def test_in_what_products_are_computed(precision: str, dtype: torch.dtype) -> None:
    assert computing_dtype(precision) is dtype


def test_noise_has_the_shape_that_the_model_reads() -> None:
    batch = random_batch(SingleFrame(3, resolution="multires", width=0.05), 5)
    assert batch.frames.shape == (5, 1, 178, 178, 3)
    assert batch.labels.argmax(1).tolist() == [0, 1, 2, 0, 1]
    assert batch.labels.sum(1).tolist() == [1] * 5
