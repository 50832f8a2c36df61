"""Counts the videos that could not be read; nothing is put in their place."""

import csv
from pathlib import Path

import lightning as L
import torch.distributed
from lightning.pytorch.utilities import rank_zero_warn

from benchmark.clip import ClipBatch
from benchmark.errors import UserError, printable
from benchmark.results.csv_cells import plain_cell

_USES = {"skipped in training": "to train on", "not validated": "to validate on", "not tested": "to test on"}
_COLUMNS = ("what", "epoch", "video", "reason")


class FailedVideos(L.Callback):
    """Warns at the end of each epoch, validation and test: how many videos, the first names and the reasons.

    All of them are in `failed_videos.csv` in the run folder, once a reason.

    Raises:
        UserError: At the end of an epoch of training or of a validation in which no process could read a single clip.
    """

    def __init__(self) -> None:
        # Validation runs inside a training epoch, so each keeps its own.
        self.reasons: dict[str, dict[str, str]] = {"skipped in training": {}, "not validated": {}, "not tested": {}}
        self.clips_trained = self.clips_validated = 0
        # An epoch that a resumed fit goes on in may have had its clips before.
        self._is_whole_epoch = False

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """Note the failures of a batch."""
        if batch_idx == 0:
            self.clips_trained, self._is_whole_epoch = 0, True
        self.clips_trained += len(batch)
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
        self.clips_validated += len(batch)
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
        """Say what training skipped, before a checkpoint of an epoch that learned nothing is written."""
        nothing = self._is_whole_epoch and self.clips_trained == 0
        self._is_whole_epoch = False
        self._say("skipped in training", trainer, is_all=nothing)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what validation skipped, before weights are chosen by a validation of nothing."""
        trains_nothing = self._is_whole_epoch and self.clips_trained == 0  # which the end of the epoch says
        self._say("not validated", trainer, is_all=self.clips_validated == 0 and not trains_nothing)
        self.clips_validated = 0

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what could not be tested."""
        self._say("not tested", trainer)

    def _note(self, what: str, batch: ClipBatch) -> None:
        self.reasons[what] |= {failure.video_id: failure.reason for failure in batch.failures}

    def _say(self, what: str, trainer: L.Trainer, *, is_all: bool = False) -> None:
        """Collective: every process must come here; `is_all` says that this one could read nothing."""
        parts = [(self.reasons[what], is_all)]
        if trainer.world_size > 1:
            parts *= trainer.world_size
            torch.distributed.all_gather_object(parts, (self.reasons[what], is_all))
        reasons = {video: reason for part, _ in parts for video, reason in part.items()}
        self.reasons[what] = {}
        if not reasons:
            return
        if trainer.is_global_zero:
            self._write(Path(trainer.default_root_dir) / "failed_videos.csv", what, trainer.current_epoch + 1, reasons)
        named = [printable(f"{video}: {reason}") for video, reason in sorted(reasons.items())[:5]]
        if all(read_nothing for _, read_nothing in parts):  # the same in every process, so that all of them stop
            raise UserError(
                f"epoch {trainer.current_epoch + 1} had no clip {_USES[what]}: {len(reasons)} videos could not be read "
                f"and were {what} (first {named[0]}); repair or replace the files, or change data.root or data.decoder"
            )
        more = f"; and {len(reasons) - 5} more in failed_videos.csv" if len(reasons) > 5 else ""
        rank_zero_warn(
            f"epoch {trainer.current_epoch + 1}: {len(reasons)} videos could not be read and were {what} "
            f"({'; '.join(named)}{more})"
        )

    def _write(self, path: Path, what: str, epoch: int, reasons: dict[str, str]) -> None:
        """Add what is not there yet: what became of a video, the first epoch, its name and the reason."""
        rows = [(what, str(epoch), plain_cell(video), plain_cell(reason)) for video, reason in sorted(reasons.items())]
        held: set[tuple[str, ...]] = set()
        if path.exists():
            with path.open(newline="", encoding="utf-8") as lines:
                held = {(row[0], *row[2:]) for row in csv.reader(lines) if len(row) == len(_COLUMNS)}
        with path.open("a", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            if not held:
                writer.writerow(_COLUMNS)
            writer.writerows(row for row in rows if (row[0], *row[2:]) not in held)
