"""Counts the videos that could not be read; nothing is put in their place."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from benchmark.clip import ClipBatch
from benchmark.errors import UserError, printable
from benchmark.results.csv_cells import plain_cell
from benchmark.runs.processes import of_all
from benchmark.wording import counted

_USES = {"skipped in training": "to train on", "not validated": "to validate on", "not tested": "to test on"}
_COLUMNS = ("what", "epoch", "video", "reason")


class FailedVideos(L.Callback):
    """Warns at the end of each epoch, validation and test: how many videos, the first names and the reasons.

    All of them are in `failed_videos.csv` in the run folder, once a reason. Those of an epoch that is not over are
    listed before a checkpoint is written: a run that goes on from it does not meet them again. What could not be tested
    is listed by whoever writes the ledger, which also knows what earlier processes of the same test have met.

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

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """List what failed so far; every process comes here."""
        parts = of_all(self.reasons, trainer)
        if trainer.is_global_zero:
            for what in self.reasons:
                reasons = {video: reason for part in parts for video, reason in part[what].items()}
                list_failures(Path(trainer.default_root_dir), what, trainer.current_epoch + 1, reasons)

    def _note(self, what: str, batch: ClipBatch) -> None:
        self.reasons[what] |= {failure.video_id: failure.reason for failure in batch.failures}

    def _say(self, what: str, trainer: L.Trainer, *, is_all: bool = False) -> None:
        """Collective: every process must come here; `is_all` says that this one could read nothing."""
        parts = of_all((self.reasons[what], is_all), trainer)
        reasons = {video: reason for part, _ in parts for video, reason in part.items()}
        self.reasons[what] = {}
        if not reasons:
            return
        epoch = trainer.current_epoch + 1 if trainer.state.fn == TrainerFn.FITTING else None
        if trainer.is_global_zero and what != "not tested":
            list_failures(Path(trainer.default_root_dir), what, epoch, reasons)
        named = [printable(f"{video}: {reason}") for video, reason in sorted(reasons.items())[:5]]
        were = "was" if len(reasons) == 1 else "were"
        unread = f"{counted(len(reasons), 'video')} could not be read and {were} {what}"
        if all(read_nothing for _, read_nothing in parts):  # the same in every process, so that all of them stop
            raise UserError(
                f"epoch {trainer.current_epoch + 1} had no clip {_USES[what]}: {unread} (first {named[0]}); repair or "
                "replace the files, or change data.root or data.decoder"
            )
        more = f"; and {len(reasons) - 5} more in failed_videos.csv" if len(reasons) > 5 else ""
        when = "" if epoch is None else f"epoch {epoch}: "
        rank_zero_warn(f"{when}{unread} ({'; '.join(named)}{more})")


def list_failures(folder: Path, what: str, epoch: int | None, reasons: Mapping[str, str]) -> None:
    """Add to a run folder's `failed_videos.csv` what is not there yet.

    Args:
        folder: The run folder.
        what: What became of the videos.
        epoch: The first epoch in which they failed, or None outside of training.
        reasons: Why, by the video's name.
    """
    if not reasons:
        return
    path, number = folder / "failed_videos.csv", "" if epoch is None else str(epoch)
    rows = [(what, number, plain_cell(video), plain_cell(reason)) for video, reason in sorted(reasons.items())]
    held: set[tuple[str, ...]] = set()
    if path.exists():
        with path.open(newline="", encoding="utf-8") as lines:
            held = {(row[0], *row[2:]) for row in csv.reader(lines) if len(row) == len(_COLUMNS)}
    with path.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        if not held:
            writer.writerow(_COLUMNS)
        writer.writerows(row for row in rows if (row[0], *row[2:]) not in held)
