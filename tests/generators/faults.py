"""Callbacks for runs of several processes, in which one is to be slow or to die."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L


class Slow(L.Callback):
    """Sleeps after each step in one process.

    Args:
        rank: Which.
        seconds: After each step.
    """

    def __init__(self, rank: int, seconds: float) -> None:
        self.rank, self.seconds = rank, seconds

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        """Sleep."""
        if trainer.global_rank == self.rank:
            time.sleep(self.seconds)


class DiesOnce(L.Callback):
    """Kills one process after one step, the first time that it comes there.

    Args:
        rank: Which.
        step: After so many.
        marker: File that says that it was done.
    """

    def __init__(self, rank: int, step: int, marker: Path) -> None:
        self.rank, self.step, self.marker = rank, step, marker

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        """Die, if it is time."""
        if trainer.global_rank == self.rank and trainer.global_step >= self.step and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
