"""Steps of a real fit, split by Lightning's own hooks: waiting, forward, backward, optimiser.

```
batch there    loss there       gradients there       step done        batch there
     |--- forward ---|--- backward ---|--- optimizer ---|--- waiting ---|
```

Loader workers run ahead while a step is slow, and the first steps of a process are. What they have made by then would
cost the timed steps nothing, so that the fit would look faster than it is. The epoch is therefore broken off behind the
first steps and a new one begun, whose loaders start empty; timing begins when each worker has brought one batch of it,
and takes as many of each worker. Where an epoch has too few batches for that, whole epochs are timed: all that a whole
epoch takes is loaded in it.
"""

import contextlib
import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmark.clip import ClipBatch
from benchmark.cost import gflop_per_clip, operation_counter, wait_for
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError
from benchmark.models.video_classifier import VideoClassifier
from benchmark.runs.throughput import peak_memory_mb
from benchmark.runs.trainer import Trainer
from benchmark.speed.machine import dtype_name
from benchmark.speed.report import Stage, Training

WARMUP_STEPS = 5  # the first steps of a process pay page faults, the choice of kernels and the first wait for workers

PARTS = ("waiting", "forward", "backward", "optimizer")

_BATCHES_OF_A_WORKER = 4  # that are timed at least


@dataclasses.dataclass(frozen=True)
class Course:
    """Which batches of a fit are timed.

    Args:
        warmup: Batches before the first timed one, 2 or more.
        timed: Batches that are timed.
        rounds: Runs of equally many of them.
        restart: Batches after which the epoch is broken off and a new one begun; None for never.
        epochs: Whole epochs that the timed batches are; 0 where they are part of one, or begin anywhere.
    """

    warmup: int
    timed: int
    rounds: int
    restart: int | None = None
    epochs: int = 0

    @classmethod
    def of(cls, steps: int, rounds: int, *, workers: int, batches: int) -> "Course":
        """As few batches as tell what a long fit does.

        Args:
            steps: Batches to time at least.
            rounds: Runs to tell apart; where whole epochs are timed, no more than those.
            workers: Loader processes.
            batches: Batches of an epoch.
        """
        if not workers:
            return cls(WARMUP_STEPS, steps, rounds)
        least = max(steps, _BATCHES_OF_A_WORKER * workers)
        timed = _up_to_multiple(least, rounds * workers)  # workers that began together bring their batches together
        if batches >= max(WARMUP_STEPS + 1, workers + timed):
            return cls(WARMUP_STEPS + workers, timed, rounds, restart=WARMUP_STEPS)
        epochs = math.ceil(least / batches)
        rounds = min(rounds, epochs)
        epochs = _up_to_multiple(epochs, rounds)
        return cls(_up_to_multiple(WARMUP_STEPS, batches), epochs * batches, rounds, epochs=epochs)


def _up_to_multiple(number: int, of: int) -> int:
    return math.ceil(number / of) * of


class StepClock(L.Callback):
    """Times the parts of each batch of a course, counts the operations of one batch before, and ends the fit.

    A GPU is waited for at every mark, so parts are whole, and none runs beside the next.

    Args:
        clock: Seconds since any fixed moment.
        course: Which batches are timed; `measure_training` sets it.
    """

    def __init__(self, course: Course | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.course, self._clock = course or Course(WARMUP_STEPS, 1, 1), clock
        self.seconds: dict[str, list[float]] = {part: [] for part in PARTS}
        self.clips: list[int] = []
        self.gflop_per_clip = float("nan")
        self._seen, self._marks = 0, list[float]()
        self._done: float | None = None
        self._is_restarted = False
        self._counting, self._counter = contextlib.ExitStack(), cast(FlopCounterMode | None, None)

    def _mark(self, module: L.LightningModule) -> None:
        wait_for(module.device)
        self._marks.append(self._clock())

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """The batch is on the device."""
        if self._seen == self.course.restart and not self._is_restarted:
            self._is_restarted = True
            raise StopIteration  # ends the epoch, as Lightning itself does where the module's hook returns -1
        if self._seen == self.course.warmup and pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        self._marks = []
        if self._seen == 1:
            self._counter = self._counting.enter_context(operation_counter())
        self._mark(pl_module)

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """The loss is there."""
        self._mark(pl_module)

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The gradients are there."""
        self._mark(pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: ClipBatch, batch_idx: int
    ) -> None:
        """The weights are changed."""
        self._mark(pl_module)
        if self._counter is not None:
            self._counting.close()
            if len(batch):
                self.gflop_per_clip = self._counter.get_total_flops() / len(batch) / 1e9
            self._counter = None
        if self._seen >= self.course.warmup and self._done is not None:
            if len(self._marks) != 4:
                raise UserError(
                    f"{type(pl_module).__name__} ran {len(self._marks) - 2} of the 2 hooks around one backward pass; "
                    "speed measures models that call backward once a step"
                )
            marks = [self._done, *self._marks]
            for part, (begin, end) in zip(PARTS, itertools.pairwise(marks), strict=True):
                self.seconds[part].append(end - begin)
            self.clips.append(len(batch))
            trainer.should_stop = len(self.clips) == self.course.timed
        self._seen += 1
        self._done = self._marks[-1]

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Count no longer."""
        self._counting.close()

    def stage(self, part: str) -> Stage:
        """The timed batches in the rounds of the course."""
        rounds = self.course.rounds
        edges = [number * len(self.clips) // rounds for number in range(rounds + 1)]
        runs = [slice(first, last) for first, last in itertools.pairwise(edges)]
        return Stage(
            part,
            tuple(sum(self.clips[run]) for run in runs),
            tuple(sum(self.seconds[part][run]) for run in runs),
        )


def measure_training(
    trainer: Trainer, model: VideoClassifier, data: VideoDataModule, clock: StepClock, *, steps: int, rounds: int
) -> Training:
    """Run the fit that the Trainer was made for until enough steps are timed, and split these.

    Args:
        trainer: With `clock` among its callbacks and no end.
        model: The network.
        data: The videos.
        clock: Collects the times.
        steps: Steps to time at least.
        rounds: Runs of steps to tell apart.

    Raises:
        UserError: If no clip could be read.
    """
    loader, accumulated = data.train_dataloader(), trainer.accumulate_grad_batches
    course = Course.of(steps * accumulated, rounds, workers=loader.num_workers, batches=len(loader))
    clock.course = course
    trainer.fit_loop.epoch_loop.max_steps = course.warmup + course.timed  # for schedules, which ask for it
    trainer.fit(model, datamodule=data)
    if not sum(clock.clips):
        raise UserError("no training clip could be read in the steps that were to be measured; change data.root")
    device = trainer.strategy.root_device
    peak = peak_memory_mb(device)
    dtype = computing_dtype(str(trainer.precision))
    return Training(
        precision=str(trainer.precision),
        dtype=dtype_name(dtype),
        batch_size=data.batch_size,
        workers=loader.num_workers,
        timed_batches=len(clock.clips),
        whole_epochs=course.epochs,
        waiting=clock.stage("waiting"),
        transfer=_transfer(random_batch(model, data.batch_size), device, rounds) if device.type == "cuda" else None,
        forward=clock.stage("forward"),
        backward=clock.stage("backward"),
        optimizer=clock.stage("optimizer"),
        peak_memory_mb=peak,
        inference_gflop_per_clip=gflop_per_clip(model),
        training_gflop_per_clip=clock.gflop_per_clip,
    )


def computing_dtype(precision: str) -> torch.dtype:
    """In which matrix products are computed under one of Lightning's precisions."""
    return {"16": torch.float16, "bf16": torch.bfloat16, "64": torch.float64}.get(
        precision.partition("-")[0], torch.float32
    )


def random_batch(model: VideoClassifier, clips: int, device: torch.device | str = "cpu") -> ClipBatch:
    """Noise in the shape that a model reads."""
    side, classes = int(model.input_side), model.num_classes
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(
        0, 256, (clips, len(model.frame_offsets), side, side, 3), dtype=torch.uint8, generator=generator
    )
    numbers = torch.arange(clips)
    labels = torch.nn.functional.one_hot(numbers % classes, classes).float()
    batch = ClipBatch(frames, labels, numbers, numbers, numbers, torch.zeros(clips, dtype=torch.bool))
    return batch.to(device)


def _transfer(batch: ClipBatch, device: torch.device, rounds: int, repeats: int = 10) -> Stage:
    """Time sending a pinned batch to the GPU."""
    pinned, seconds = batch.pin_memory(), []
    for _ in range(rounds):
        times = []
        for _ in range(repeats):
            wait_for(device)
            start = time.perf_counter()
            pinned.to(device, non_blocking=True)
            wait_for(device)
            times.append(time.perf_counter() - start)
        seconds.append(statistics.median(times))
    return Stage("transfer", (len(batch),) * rounds, tuple(seconds))
