"""Turns a finished ledger into the record, and shows and logs its numbers."""

import datetime
import math
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed
from pydantic import ValidationError
from scipy.stats import binomtest

from benchmark.errors import UserError
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.problems import first_problem
from benchmark.results.record import (
    FILE_NAME,
    METHOD,
    Checkpoint,
    LedgerFile,
    ProtocolFields,
    Record,
    Throughput,
    dataset_of,
)
from benchmark.results.summary import summarise
from benchmark.runs.facts import code_facts, hardware_facts, library_versions, model_facts
from benchmark.runs.ledger import LedgerWriter
from benchmark.runs.provenance import ContaminationGuard

_LEVEL = 0.05


class RecordWriter(L.Callback):
    """Leaves `ledger.parquet` and `record.json` when a test ends, and logs the record's numbers as `test/...`.

    Args:
        name: Of the entry, for people.
        writer: Has the ledger.
        guard: Knows what the checkpoint has seen.
        config: The whole configuration, as plain values.
    """

    def __init__(self, name: str, writer: LedgerWriter, guard: ContaminationGuard, config: dict[str, Any]) -> None:
        self.name, self.writer, self.guard, self.config = name, writer, guard, config
        self.record: Record | None = None

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Everything but the numbers, checked before hours of scoring instead of after them.

        In `setup` the module already says that it is on a GPU while its weights are not there yet.
        """
        info, seed = self.writer.info, self.config.get("seed_everything")
        try:
            self._draft = Record(
                name=self.name,
                created=datetime.datetime.now(datetime.UTC),
                dataset=dataset_of(info),
                protocol=ProtocolFields.model_validate(info.protocol, from_attributes=True),
                protocol_hash=info.protocol.hash,
                metrics={},
                decoded_only=None,
                videos=0,
                failed_videos={},
                model=model_facts(pl_module, self.config),
                checkpoint=Checkpoint(
                    sha256=self.writer.checkpoint_sha256, provenance=self.guard.provenance, content=self.guard.content
                ),
                code=code_facts(),
                hardware=hardware_facts(trainer.world_size, pl_module.device),
                precision=str(trainer.precision),
                seed=None if isinstance(seed, bool) else seed,
                libraries=library_versions(),
                throughput=Throughput(clips_per_second=None, compute_clips_per_second=None),
                config=self.config,
                ledger=LedgerFile(file=LEDGER_NAME, sha256="0" * 64),
            )
        except ValidationError as error:
            raise UserError(f"a record cannot hold this test: {first_problem(error)}") from None

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Work out the numbers once, from the whole ledger, and give them to every process."""
        throughput = self._throughput(trainer, pl_module.device)
        values: dict[str, float] = {}
        problem: Exception | None = None
        if trainer.is_global_zero:
            try:
                values = self._write(trainer, throughput)
            except Exception as error:  # the other processes wait for this one
                problem = error
        if trainer.world_size > 1:
            outcome: list[Any] = [values, None if problem is None else str(problem)]
            torch.distributed.broadcast_object_list(outcome)
            values = outcome[0]
            if problem is None and outcome[1] is not None:
                problem = RuntimeError(outcome[1])
        if problem is not None:
            raise problem
        for name, value in values.items():
            pl_module.log(f"test/{name}", value, sync_dist=True)  # equal everywhere, so their mean is the same

    def _write(self, trainer: L.Trainer, throughput: Throughput) -> dict[str, float]:
        """Leave ledger and record; returns the numbers by name."""
        sha256 = self.writer.write(trainer)
        ledger = self.writer.ledger
        if ledger is None:
            raise RuntimeError("the ledger was just written")
        metrics, decoded = summarise(ledger)
        self.record = self._draft.model_copy(
            update={
                "created": datetime.datetime.now(datetime.UTC),
                "metrics": metrics,
                "decoded_only": decoded,
                "intervals": METHOD,
                "videos": len(ledger),
                "failed_videos": ledger.failures(),
                "throughput": throughput,
                "ledger": LedgerFile(file=LEDGER_NAME, sha256=sha256),
            }
        )
        self.record.write(self.writer.folder / FILE_NAME)
        self.writer.remove_parts()
        values = {name: value.value if value.value is not None else math.nan for name, value in metrics.items()}
        return {**values, "videos": float(len(ledger))}

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where the files are, what failed and how much of the official set was there."""
        if self.record is None:
            return
        record, folder = self.record, self.writer.folder
        hit = record.metrics["video_hit1"]
        known = hit.low is not None and hit.high is not None
        print(
            f"video Hit@1 {_percent(hit.value)}"
            + (f" (95% interval {_percent(hit.low)} to {_percent(hit.high)})" if known else "")
            + f" on {record.videos:,} videos; {len(record.failed_videos)} failed and count as wrong; weights are "
            f"{record.checkpoint.provenance}\nwrote {folder / LEDGER_NAME} and {folder / FILE_NAME}",
            flush=True,
        )
        if self.writer.ledger is not None and (said := doubts(self.writer.ledger)):
            print(f"warning: {said}", flush=True)

    def _throughput(self, trainer: L.Trainer, device: torch.device) -> Throughput:
        own = self.writer.stopwatch
        has_clips = own.steps and not getattr(trainer.lightning_module, "reads_whole_videos", False)
        values = (own.clips_per_second, own.compute_clips_per_second) if has_clips else (math.nan, math.nan)
        total = trainer.strategy.reduce(torch.tensor(values, device=device), reduce_op="sum")
        whole, compute = torch.as_tensor(total).tolist()
        return Throughput(
            clips_per_second=whole if math.isfinite(whole) else None,
            compute_clips_per_second=compute if math.isfinite(compute) else None,
        )


def doubts(ledger: Ledger) -> str:
    """One sentence where the predictions look like those of a network that has learned nothing, else nothing."""
    scored = np.flatnonzero(ledger.labels.any(1) & np.isfinite(ledger.scores).all(1))
    if len(scored) < 2:
        return ""
    best, labels = ledger.scores[scored].argmax(1), ledger.labels[scored]
    if (labels.argmax(1) != labels[0].argmax()).any() and (best == best[0]).all():
        return f"all {len(scored):,} videos are called {ledger.info.class_names[best[0]]}; the network tells none apart"
    hits, chance = labels[np.arange(len(scored)), best].sum(), float(labels.mean())
    if binomtest(int(hits), len(scored), chance, alternative="greater").pvalue > _LEVEL:
        return f"video Hit@1 is no better than chance ({chance:.1%}) on these {len(scored):,} videos"
    return ""


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"
