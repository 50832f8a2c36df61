"""Which checkpoints a run leaves: `best.ckpt` chosen on validation, `last.ckpt` to go on from."""

import datetime
from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint


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
    within = ModelCheckpoint(
        folder, "last", train_time_interval=datetime.timedelta(minutes=minutes), enable_version_counter=False
    )
    return [best, epoch, within]
