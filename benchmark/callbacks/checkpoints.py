"""Which checkpoints a run leaves: `best.ckpt` chosen on validation, `last.ckpt` to go on from."""

import datetime
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.types import STEP_OUTPUT


class WithinEpoch(ModelCheckpoint):
    """Saves in the middle of an epoch; the last batch is left to the save behind the epoch's validation."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        """Save if enough time has passed."""
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def run_checkpoints(folder: Path, monitor: str, minutes: float) -> list[ModelCheckpoint]:
    """Callbacks that keep `best.ckpt` and `last.ckpt` in a folder.

    Args:
        folder: Where they are written.
        monitor: Logged value that `best` maximises.
        minutes: `last` is written that often within an epoch, and at the end of each.
    """
    best = ModelCheckpoint(folder, "best", monitor=monitor, mode="max", enable_version_counter=False)
    epoch = ModelCheckpoint(
        folder, "last", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    within = WithinEpoch(
        folder, "last", train_time_interval=datetime.timedelta(minutes=minutes), enable_version_counter=False
    )
    return [best, epoch, within]
