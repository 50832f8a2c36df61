"""Turns a test into its ledger and its record, and shows and logs the record's numbers."""

import datetime
import json
import math
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT
from pydantic import ValidationError

from benchmark.clip import ClipBatch, VideoBatch
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.metrics.throughput import ClipsPerSecond
from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.clip_scores import Split
from benchmark.results.doubts import doubts
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import SCHEMA, Ledger
from benchmark.results.problems import first_problem
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import (
    METHOD,
    Checkpoint,
    LedgerFile,
    ProtocolFields,
    Record,
    Throughput,
    dataset_of,
)
from benchmark.results.summary import summarise
from benchmark.runs.averages import average_facts
from benchmark.runs.clip_level import are_kept, clip_scores, require_room, settled, validation_outputs
from benchmark.runs.code import code_facts, library_versions
from benchmark.runs.facts import hardware_facts, model_facts
from benchmark.runs.failures import list_failures
from benchmark.runs.ledger_rows import ledger_info, ledger_rows, require_probabilities
from benchmark.runs.pins import deviation
from benchmark.runs.processes import from_one, of_all
from benchmark.runs.provenance import ContaminationGuard
from benchmark.runs.samples import listed_names, rows_named
from benchmark.runs.unfinished import UnfinishedTest, bring_together
from benchmark.wording import counted, say


class ResultWriter(L.Callback):
    """Leaves `ledger.parquet` and `record.json` in a folder when a test ends, and logs the numbers as `test/...`.

    A repeated test in the folder of a killed one scores only what is missing.

    Args:
        folder: Where both are written; shared by all processes.
        name: Of the entry, for people.
        checkpoint: File of the weights that are tested.
        guard: Says what the checkpoint has seen.
        config: The whole configuration, as plain values.
        settings: The part of it that decides the scores, and the code; a test goes on only with equal ones.
        sample_videos: Number of videos to score, drawn at random, or None for all of them.
        sample_seed: Seed of that draw.
        sample_list: File with the names of the videos to draw from, one a line, or None for all of them.
        keep_clips: Whether scores of single clips and of validation videos are left in `clips.parquet` too; None where
            they take 10^9 bytes or less.

    Attributes:
        ledger: In the first process, once the test is over.
        record: Likewise.

    Raises:
        UserError: In `setup`, if the folder holds a finished test, or the beginning of another one; at the start of
            the test, if a record cannot hold it.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        checkpoint: Path,
        guard: ContaminationGuard,
        config: dict[str, Any],
        settings: dict[str, Any],
        sample_videos: int | None = None,
        sample_seed: int = 0,
        keep_clips: bool | None = None,
        sample_list: Path | None = None,
    ) -> None:
        if sample_videos is not None and sample_videos < 1:
            raise UserError(f"--sample.videos is {sample_videos}; it must be 1 or more, or null for all videos")
        self.folder, self.name, self.checkpoint, self.guard = folder, name, checkpoint, guard
        self.checkpoint_sha256 = file_hash(checkpoint)
        self.config, self.settings = config, settings
        self.sample_videos, self.sample_seed, self.keep_clips = sample_videos, sample_seed, keep_clips
        self.named = None if sample_list is None else listed_names(sample_list)
        self.ledger: Ledger | None = None
        self.record: Record | None = None
        self._stopwatch = ClipsPerSecond(warmup_steps=1)
        self._parts = UnfinishedTest(folder)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find what an earlier, killed test in this folder has scored, and leave those videos out of the loader."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        self._info = ledger_info(data)
        has_clips = not getattr(pl_module, "reads_whole_videos", False)
        self._keeps_clips = has_clips and are_kept(self.keep_clips, data)
        if (self.folder / RECORD_NAME).exists():
            raise UserError(f"--run_dir {self.folder} holds a finished test; name another folder")
        every = data.index.rows("test")
        self._rows = every if self.named is None else rows_named(self.named, data.index)
        if self.sample_videos is not None and self.sample_videos < len(self._rows):
            drawn = np.random.default_rng(self.sample_seed).choice(self._rows, self.sample_videos, replace=False)
            self._rows = np.sort(drawn)
        limit = trainer.limit_test_batches
        keeps_all = self._keeps_clips and isinstance(limit, float) and limit == 1.0
        self._keeps_validation = keeps_all and self.sample_videos is None and self.named is None
        if keeps_all:
            to_validate = len(data.index.rows("validation")) if self._keeps_validation else 0
            require_room({"test": len(self._rows), "validation": to_validate}, data)
        key = {
            "checkpoint": self.checkpoint_sha256,
            "ledger": json.loads(self._info.to_json()),
            "precision": str(trainer.precision),
            "sample": [self.sample_videos, self.sample_seed, *([] if self.named is None else [self.named])],
            "clips": self._keeps_clips,
            **self.settings,
        }
        self._parts.claim(key, is_first=trainer.local_rank == 0)
        trainer.strategy.barrier("ledger")
        # Machines that share no folder hold parts of their own.
        held = np.unique(np.concatenate(of_all(self._parts.read()["row"].to_numpy(), trainer)))
        validated = held[np.isin(held, data.index.rows("validation"))]
        done = np.setdiff1d(held, validated).tolist()
        if done and trainer.is_global_zero:
            say(f"{self.folder} holds the scores of {counted(len(done), 'video')}; scoring the rest")
        left_out = np.setdiff1d(every, self._rows).tolist()
        # Lightning leaves out a test without a batch, so every process scores one, again if need be.
        left_out += settled(self._rows, done, trainer.world_size)
        validation = data.index.rows("validation")
        is_over = len(validated) == len(validation)
        left_out += settled(validation, validated.tolist(), 0 if is_over else trainer.world_size)
        data.scored_rows = frozenset(left_out)
        trainer.strategy.barrier("ledger read")  # no process may begin to write before all have read
        self._parts.begin()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fill in the record but for the numbers, so that it is checked before hours of scoring, and begin to wait.

        In `setup` the module already says that it is on a GPU while its weights are not there yet.
        """
        if file_hash(self.checkpoint) != self.checkpoint_sha256:
            raise UserError(f"--ckpt_path {self.checkpoint} was written to while it was read; test a copy of it")
        self._draft = self._record(trainer, pl_module)
        self._stopwatch.start()

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ClipBatch | VideoBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The batch is there."""
        self._stopwatch.data_ready()

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: ClipBatch | VideoBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the videos of a batch; outputs are class probabilities (B, K)."""
        rows = self._rows_of(trainer, outputs, batch)
        self._stopwatch.step_done(len(batch))
        self._parts.append(rows)

    def _rows_of(self, trainer: L.Trainer, outputs: object, batch: ClipBatch | VideoBatch) -> list[dict[str, Any]]:
        table = trainer.datamodule.index.table  # type: ignore[attr-defined]
        return list(ledger_rows(require_probabilities(outputs), batch, table, keep_clips=self._keeps_clips))

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Work out the numbers once, from the whole ledger, and give them to every process."""
        if self._keeps_validation:
            for outputs, batch in validation_outputs(trainer, pl_module):
                self._parts.append(self._rows_of(trainer, outputs, batch))
        self._parts.close()
        trainer.strategy.barrier("ledger written")
        bring_together(self._parts, trainer)
        throughput = self._throughput(trainer, pl_module.device)
        values: dict[str, float] = {}
        problem: Exception | None = None
        if trainer.is_global_zero:
            try:
                values = self._write(trainer, throughput)
            except Exception as error:  # the other processes wait for this one
                problem = error
        values, said = from_one((values, None if problem is None else str(problem)), trainer)
        if problem is None and said is not None:
            problem = RuntimeError(said)
        if problem is not None:
            raise problem
        if trainer.local_rank == 0:
            self._parts.remove()
        for name, value in values.items():
            pl_module.log(f"test/{name}", value, sync_dist=True)  # equal everywhere, so their mean is the same

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where the files are, what failed and how much of the official set was there."""
        if self.record is None or self.ledger is None:
            return
        record, hit = self.record, self.record.metrics["video_hit1"]
        known = hit.low is not None and hit.high is not None
        interval = f" (95% interval {_percent(hit.low)} to {_percent(hit.high)})" if known else ""
        failed = len(record.failed_videos)
        wrong = f", {failed} of which could not be read and {'counts' if failed == 1 else 'count'} as wrong"
        videos = f"{counted(record.videos, 'video')}{wrong if failed else ''}"
        say(f"video Hit@1 {_percent(hit.value)}{interval} on {videos}; weights are {record.checkpoint.provenance}")
        clips = f", and what was said of each clip as {CLIPS_NAME}" if record.clips is not None else ""
        say(f"wrote {self.folder / LEDGER_NAME} and {self.folder / RECORD_NAME}{clips}")
        if said := doubts(self.ledger):
            say(f"warning: {said}")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep what was scored."""
        self._parts.close()

    def _write(self, trainer: L.Trainer, throughput: Throughput) -> dict[str, float]:
        """Leave ledger and record; returns the numbers by name."""
        whole, limit = self._parts.read(), trainer.limit_test_batches
        validation = trainer.datamodule.index.rows("validation")  # type: ignore[attr-defined]
        is_validation = np.isin(whole["row"].to_numpy(), validation)
        table = whole.filter(pa.array(~is_validation))
        if not np.array_equal(table["row"].to_numpy(), self._rows) and isinstance(limit, float) and limit == 1.0:
            raise RuntimeError(f"{len(table)} videos were scored where {len(self._rows)} were to be")
        self.ledger = Ledger(self._info, table.select(SCHEMA.names).combine_chunks())
        sha256 = self.ledger.write(self.folder / LEDGER_NAME)
        clips = None
        if self._keeps_clips:
            kept: dict[Split, pa.Table] = {"test": table}
            if is_validation.sum() == len(validation):
                kept["validation"] = whole.filter(pa.array(is_validation))
            scores = clip_scores(kept, self._info.class_names)
            clips = LedgerFile(file=CLIPS_NAME, sha256=scores.write(self.folder / CLIPS_NAME))
        metrics, decoded = summarise(self.ledger)
        self.record = self._draft.model_copy(
            update={
                "created": datetime.datetime.now(datetime.UTC),
                "metrics": metrics,
                "decoded_only": decoded,
                "intervals": METHOD,
                "videos": len(self.ledger),
                "failed_videos": self.ledger.failures(),
                "throughput": throughput,
                "ledger": LedgerFile(file=LEDGER_NAME, sha256=sha256),
                "clips": clips,
            }
        )
        list_failures(self.folder, "not tested", None, self.record.failed_videos)
        self.record.write(self.folder / RECORD_NAME)
        values = {name: value.value if value.value is not None else math.nan for name, value in metrics.items()}
        return {**values, "videos": float(len(self.ledger))}

    def _record(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Record:
        """The record of a test that has not begun."""
        seed = self.config.get("seed_everything")
        try:
            return Record(
                name=self.name,
                created=datetime.datetime.now(datetime.UTC),
                dataset=dataset_of(self._info),
                protocol=ProtocolFields.model_validate(self._info.protocol, from_attributes=True),
                protocol_hash=self._info.protocol.hash,
                metrics={},
                decoded_only=None,
                videos=0,
                failed_videos={},
                model=model_facts(pl_module, self.config),
                checkpoint=Checkpoint(
                    sha256=self.checkpoint_sha256, provenance=self.guard.provenance, content=self.guard.content
                ),
                code=code_facts(),
                hardware=hardware_facts(trainer.world_size, pl_module.device),
                precision=str(trainer.precision),
                seed=None if isinstance(seed, bool) else seed,
                libraries=library_versions(),
                throughput=Throughput(clips_per_second=None, compute_clips_per_second=None),
                pins=deviation(trainer) if trainer.is_global_zero else None,
                config=self.config,
                ledger=LedgerFile(file=LEDGER_NAME, sha256="0" * 64),
                average=average_facts(self.guard.checkpoint),
            )
        except ValidationError as error:
            raise UserError(f"a record cannot hold this test: {first_problem(error)}") from None

    def _throughput(self, trainer: L.Trainer, device: torch.device) -> Throughput:
        own = self._stopwatch
        has_clips = own.steps and not getattr(trainer.lightning_module, "reads_whole_videos", False)
        values = (own.clips_per_second, own.compute_clips_per_second) if has_clips else (math.nan, math.nan)
        total = trainer.strategy.reduce(torch.tensor(values, device=device), reduce_op="sum")
        whole, compute = torch.as_tensor(total).tolist()
        return Throughput(
            clips_per_second=whole if math.isfinite(whole) else None,
            compute_clips_per_second=compute if math.isfinite(compute) else None,
        )


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"
