"""Counts the videos that could not be read; nothing is put in their place."""

from typing import Any

import lightning as L
import torch.distributed
from lightning.pytorch.utilities import rank_zero_warn

from benchmark.clip import ClipBatch


class FailedVideos(L.Callback):
    """Warns once an epoch of training, and once a validation or test, with the number, names and reasons."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """Note the failures of a batch."""
        self._note(batch)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the failures of a batch."""
        self._note(batch)

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the failures of a batch."""
        self._note(batch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what training skipped."""
        self._say(trainer, "skipped in training")

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what validation skipped."""
        self._say(trainer, "not validated")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what could not be tested."""
        self._say(trainer, "not tested")

    def _note(self, batch: ClipBatch) -> None:
        self.reasons |= {failure.video_id: failure.reason for failure in batch.failures}

    def _say(self, trainer: L.Trainer, what: str) -> None:
        """Collective: every process must come here."""
        gathered: list[Any] = [self.reasons]
        if trainer.world_size > 1:
            gathered = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.reasons)
        reasons = {video: reason for part in gathered for video, reason in part.items()}
        self.reasons = {}
        if reasons:
            names = "; ".join(f"{video}: {reason}" for video, reason in sorted(reasons.items())[:5])
            more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
            rank_zero_warn(f"{len(reasons)} videos could not be read and were {what} ({names}{more})")
