"""Counts the videos that could not be read; nothing is put in their place."""

import lightning as L
import torch.distributed
from lightning.pytorch.utilities import rank_zero_warn

from benchmark.clip import ClipBatch


class FailedVideos(L.Callback):
    """Warns at the end of each epoch, validation and test: how many videos, their names and the reasons."""

    def __init__(self) -> None:
        # Validation runs inside a training epoch, so each keeps its own.
        self.reasons: dict[str, dict[str, str]] = {"skipped in training": {}, "not validated": {}, "not tested": {}}

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """Note the failures of a batch."""
        self._note("skipped in training", batch)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the failures of a batch."""
        self._note("not validated", batch)

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the failures of a batch."""
        self._note("not tested", batch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what training skipped."""
        self._say("skipped in training", trainer)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what validation skipped."""
        self._say("not validated", trainer)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what could not be tested."""
        self._say("not tested", trainer)

    def _note(self, what: str, batch: ClipBatch) -> None:
        self.reasons[what] |= {failure.video_id: failure.reason for failure in batch.failures}

    def _say(self, what: str, trainer: L.Trainer) -> None:
        """Collective: every process must come here."""
        parts = [self.reasons[what]]
        if trainer.world_size > 1:
            parts = [{}] * trainer.world_size
            torch.distributed.all_gather_object(parts, self.reasons[what])
        reasons = {video: reason for part in parts for video, reason in part.items()}
        self.reasons[what] = {}
        if reasons:
            names = "; ".join(f"{video}: {reason}" for video, reason in sorted(reasons.items())[:5])
            more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
            rank_zero_warn(
                f"epoch {trainer.current_epoch + 1}: {len(reasons)} videos could not be read and were {what} "
                f"({names}{more})"
            )
