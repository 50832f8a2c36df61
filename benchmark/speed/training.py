"""Steps of a real fit, split by Lightning's own hooks: waiting, forward, backward, optimiser.

```
batch there    loss there       gradients there       step done        batch there
     |--- forward ---|--- backward ---|--- optimizer ---|--- waiting ---|
```
"""

import contextlib
import itertools
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


class StepClock(L.Callback):
    """Times the parts of each batch after the warm-up, and counts the operations of one batch of it.

    A GPU is waited for at every mark, so parts are whole, and none runs beside the next.

    Args:
        warmup: Batches that are not timed, 2 or more.
        clock: Seconds since any fixed moment.
    """

    def __init__(self, warmup: int = WARMUP_STEPS, clock: Callable[[], float] = time.perf_counter) -> None:
        self.warmup, self._clock = warmup, clock
        self.seconds: dict[str, list[float]] = {part: [] for part in PARTS}
        self.clips: list[int] = []
        self.gflop_per_clip = float("nan")
        self._seen, self._marks = 0, list[float]()
        self._done: float | None = None
        self._counting, self._counter = contextlib.ExitStack(), cast(FlopCounterMode | None, None)

    def _mark(self, module: L.LightningModule) -> None:
        wait_for(module.device)
        self._marks.append(self._clock())

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """The batch is on the device."""
        if self._seen == self.warmup and pl_module.device.type == "cuda":
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
        if self._seen >= self.warmup and self._done is not None:
            if len(self._marks) != 4:
                raise UserError(
                    f"{type(pl_module).__name__} ran {len(self._marks) - 2} of the 2 hooks around one backward pass; "
                    "speed measures models that call backward once a step"
                )
            marks = [self._done, *self._marks]
            for part, (begin, end) in zip(PARTS, itertools.pairwise(marks), strict=True):
                self.seconds[part].append(end - begin)
            self.clips.append(len(batch))
        self._seen += 1
        self._done = self._marks[-1]

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Count no longer."""
        self._counting.close()

    def stage(self, part: str, rounds: int) -> Stage:
        """The batches in `rounds` runs of about equally many."""
        edges = [number * len(self.clips) // rounds for number in range(rounds + 1)]
        runs = [slice(first, last) for first, last in itertools.pairwise(edges)]
        return Stage(
            part,
            tuple(sum(self.clips[run]) for run in runs),
            tuple(sum(self.seconds[part][run]) for run in runs),
        )


def measure_training(
    trainer: Trainer, model: VideoClassifier, data: VideoDataModule, clock: StepClock, *, rounds: int
) -> Training:
    """Run the fit that the Trainer was made for and split its steps.

    Args:
        trainer: With `clock` among its callbacks and an end.
        model: The network.
        data: The videos.
        clock: Collects the times.
        rounds: Runs of steps to tell apart.

    Raises:
        UserError: If no clip could be read.
    """
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
        workers=data.num_workers,
        waiting=clock.stage("waiting", rounds),
        transfer=_transfer(random_batch(model, data.batch_size), device, rounds) if device.type == "cuda" else None,
        forward=clock.stage("forward", rounds),
        backward=clock.stage("backward", rounds),
        optimizer=clock.stage("optimizer", rounds),
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
