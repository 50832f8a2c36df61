"""Keeps what the best validation of a fit said of each video, for the run's report. Letters: B clips, K classes."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
from torch import Tensor

from benchmark.metrics.descriptors import lower_is_better
from benchmark.results.ledger import SCHEMA, Ledger
from benchmark.runs.ledger_rows import NO_NUMBERS, ledger_info
from benchmark.runs.predictions import Batch, Row, of_all_processes, said_of_videos
from benchmark.runs.processes import from_one

FILE_NAME = "validation.parquet"

_MOST_SCORES = 20_000_000
"""Of all validation videos together, above which they are not kept."""


class BestValidation(L.Callback):
    """Leaves the predictions that `best.ckpt` was chosen for as `validation.parquet`, a ledger without clips.

    Args:
        folder: Of the run.
        monitor: Logged value that `best.ckpt` is best by: a loss, or a score that is better the lower, is minimised.
            Of one that training logs nothing is kept, since it is known only after the validation.
        goes_on: Whether the fit goes on from a checkpoint of this folder, which may have had another name then.
    """

    def __init__(self, folder: Path, monitor: str, *, goes_on: bool = False) -> None:
        self.folder, self.monitor, self._goes_on = folder, monitor, goes_on
        self._of_run = str(folder.resolve())
        self.best: float | None = None
        self.rows: list[Row] = []
        self._keeps = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Go by the first process's name of the folder, which on other machines may have another."""
        self._of_run = from_one(self._of_run, trainer)
        self._goes_on = from_one(self._goes_on and (self.folder / FILE_NAME).is_file(), trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the validation before."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        self.rows = []
        self._keeps = (
            not self.monitor.startswith("train/")
            and len(data.index.rows("validation")) * len(data.class_names) <= _MOST_SCORES
        )

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the class probabilities of each video, outputs (B, K); an architecture of its own may give none."""
        if self._keeps and isinstance(outputs, Tensor):
            self.rows += said_of_videos(outputs, batch)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the file, if no validation before was better."""
        value = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self._is_better(value):
            return
        self.best = value  # equal in every process, so that all of them come here
        rows = of_all_processes(self.rows, trainer)
        path = self.folder / FILE_NAME
        if trainer.is_global_zero and rows:
            _ledger(rows, trainer.datamodule).write(path)  # type: ignore[attr-defined]
        elif trainer.is_global_zero:
            path.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, for a fit that goes on in the same folder."""
        return {"best": self.best, **self._place()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it; one of another run, or by another value, says nothing of the file here, as of `best.ckpt`."""
        place = self._place()
        if self._goes_on:
            place.pop("folder")
        if {name: state_dict.get(name) for name in place} == place:
            self.best = state_dict["best"]

    def _place(self) -> dict[str, str]:
        return {"folder": self._of_run, "monitor": self.monitor}

    def _is_better(self, value: float) -> bool:
        if math.isnan(value) or self.best is None:
            return not math.isnan(value)
        return value < self.best if lower_is_better(self.monitor) else value > self.best


def _ledger(rows: list[Row], data: Any) -> Ledger:
    """The ledger of a validation."""
    table = data.index.table.select(["video_id", "labels", "source_group"])
    held = table.take(pa.array([number for number, _, _ in rows], pa.int64())).to_pylist()
    said = []
    for video, (_, reason, scores) in zip(held, rows, strict=True):
        if scores is not None and np.isfinite(scores).all():
            own = {"status": "scored", "scores": scores, "clip_starts": [], "clip_ranks": []}
        else:
            own = {"status": "failed", "reason": reason or NO_NUMBERS}
        said.append({**dict.fromkeys(SCHEMA.names), **video, **own})
    info = dataclasses.replace(
        ledger_info(data),
        held_videos=len(data.index.rows("validation")),
        official_videos=None,
        protocol=data.validation_protocol,
    )
    return Ledger(info, pa.Table.from_pylist(said, SCHEMA))
