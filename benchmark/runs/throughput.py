"""Measures how fast training goes and how much of the time it waits for data."""

import math
import sys

import lightning as L
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT

from benchmark.clip import ClipBatch
from benchmark.cost import wait_for
from benchmark.metrics.throughput import ClipsPerSecond

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class ThroughputMeter(L.Callback):
    """Logs clips a second end to end and for compute alone, the share of waiting, and peak memory, every epoch.

    Args:
        warmup_steps: Steps that are not measured.
    """

    def __init__(self, warmup_steps: int = 5) -> None:
        self.warmup_steps = warmup_steps
        self.stopwatch = ClipsPerSecond(warmup_steps=warmup_steps)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to wait; a run resumed in mid-epoch has no start of an epoch."""
        if pl_module.device.type == "cuda":  # waiting for it in every step would let it idle until the next is sent
            self.stopwatch = ClipsPerSecond(
                warmup_steps=self.warmup_steps, clock=_event, seconds_between=_seconds_between
            )
        self.stopwatch.start()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin the figures of a new epoch."""
        self.stopwatch.reset()
        self.stopwatch.start()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """The batch is there."""
        self.stopwatch.data_ready()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: STEP_OUTPUT, batch: ClipBatch, batch_idx: int
    ) -> None:
        """The step is done; a GPU says later when it was."""
        if pl_module.device.type != "cuda":
            wait_for(pl_module.device)
        self.stopwatch.step_done(len(batch))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to wait again: a validation in the middle of an epoch is no waiting."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.stopwatch.start()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch's figures; validation ran since the last step and is not in them."""
        if self.stopwatch.steps == 0 or getattr(pl_module, "reads_whole_videos", False):  # which has no clips
            return
        summed = {
            "train/clips_per_second": self.stopwatch.clips_per_second,
            "train/compute_clips_per_second": self.stopwatch.compute_clips_per_second,
        }
        own = {
            "train/waiting_share": self.stopwatch.waiting_share,
            "train/peak_memory_mb": peak_memory_mb(pl_module.device),
        }
        for values, reduce in ((summed, "sum"), (own, "mean")):
            for name, value in values.items():
                trainer.callback_metrics[name] = trainer.strategy.reduce(
                    torch.tensor(value, device=pl_module.device), reduce_op=reduce
                )
        if trainer.logger is not None:
            values = {name: float(trainer.callback_metrics[name]) for name in (*summed, *own)}
            values["epoch"] = trainer.current_epoch
            for logger in trainer.loggers:
                logger.log_metrics(values, step=trainer.global_step)


def _event() -> torch.cuda.Event:
    """A mark in the GPU's queue of work."""
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _seconds_between(first: torch.cuda.Event, last: torch.cuda.Event) -> float:
    last.synchronize()
    return float(first.elapsed_time(last)) / 1000


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process so far in MB: of the GPU that it computes on, else resident; NaN if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if resource is None:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3  # macOS counts bytes, Linux KiB
