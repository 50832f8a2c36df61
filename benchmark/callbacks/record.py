"""Turns a finished ledger into the record, and shows and logs its numbers."""

import datetime
import importlib.metadata
import math
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed
from torch.utils.flop_counter import FlopCounterMode

import benchmark
from benchmark.callbacks.ledger import LedgerWriter
from benchmark.callbacks.provenance import ContaminationGuard
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.record import (
    FILE_NAME,
    Checkpoint,
    Code,
    Hardware,
    LedgerFile,
    Model,
    ProtocolFields,
    Record,
    Throughput,
    dataset_of,
)
from benchmark.results.summary import summarise

_LIBRARIES = ("torch", "torchvision", "lightning", "torchmetrics", "av", "opencv-python-headless", "numpy", "pyarrow")


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

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Work out the numbers once, from the whole ledger, and give them to every process."""
        throughput = self._throughput(trainer)
        values: list[dict[str, float]] = [{}]
        if trainer.is_global_zero and self.writer.ledger is not None:
            ledger = self.writer.ledger
            metrics, decoded = summarise(ledger)
            values = [{n: v.value if v.value is not None else math.nan for n, v in metrics.items()}]
            values[0]["videos"] = float(len(ledger))
            self.record = Record(
                name=self.name,
                created=datetime.datetime.now(datetime.UTC),
                dataset=dataset_of(ledger.info),
                protocol=ProtocolFields.model_validate(ledger.info.protocol, from_attributes=True),
                protocol_hash=ledger.info.protocol.hash,
                metrics=metrics,
                decoded_only=decoded,
                videos=len(ledger),
                failed_videos=ledger.failures(),
                model=model_facts(pl_module, self.config),
                checkpoint=Checkpoint(sha256=self.writer.checkpoint_sha256, provenance=self.guard.provenance),
                code=code_facts(),
                hardware=hardware_facts(trainer.world_size),
                precision=str(trainer.precision),
                seed=self.config.get("seed_everything"),
                libraries=library_versions(),
                throughput=throughput,
                config=self.config,
                ledger=LedgerFile(file=LEDGER_NAME, sha256=self.writer.finish()),
            )
            self.record.write(self.writer.folder / FILE_NAME)
        if trainer.world_size > 1:
            torch.distributed.broadcast_object_list(values)
        for name, value in values[0].items():
            pl_module.log(f"test/{name}", value, sync_dist=True)  # equal everywhere, so their mean is the same

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

    def _throughput(self, trainer: L.Trainer) -> Throughput:
        own = self.writer.stopwatch
        values = (own.clips_per_second, own.compute_clips_per_second) if own.steps else (math.nan, math.nan)
        total = trainer.strategy.reduce(torch.tensor(values), reduce_op="sum")
        whole, compute = (float(v) for v in np.asarray(total))
        return Throughput(
            clips_per_second=whole if math.isfinite(whole) else None,
            compute_clips_per_second=compute if math.isfinite(compute) else None,
        )


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def model_facts(network: Any, config: dict[str, Any]) -> Model:
    """Class, options, parameters and cost of a clip of the model that was tested."""
    options = dict(config.get("model", {}).get("init_args", {}))
    plain = {name: v for name, v in options.items() if isinstance(v, str | int | float | bool) or v is None}
    return Model(
        class_path=f"{type(network).__module__}.{type(network).__qualname__}",
        options=plain,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        gflop_per_clip=gflop_per_clip(network),
        frame_offsets=tuple(int(offset) for offset in network.frame_offsets),
        input_side=int(network.input_side),
    )


def gflop_per_clip(network: Any) -> float:
    """Floating-point operations of one view of one clip in units of 10^9; a multiply-add counts as two."""
    side, offsets = int(network.input_side), network.frame_offsets
    frames = torch.zeros(1, len(offsets), side, side, 3, dtype=torch.uint8, device=network.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(frames)
    return float(counter.get_total_flops()) / 1e9


def code_facts() -> Code:
    """Version of this package, and its commit where it is run from a working tree."""
    folder = Path(benchmark.__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        modified = bool(_git(folder, "status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        commit, modified = None, None
    return Code(version=benchmark.__version__, commit=commit, modified=modified)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def hardware_facts(processes: int) -> Hardware:
    """Processor, cores that this process may use, and GPU."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(errors="replace"))
        name = match[1] if match else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return Hardware(processor=_text(name), cores=cores, gpu=None if gpu is None else _text(gpu), processes=processes)


def _text(name: str) -> str:
    return re.sub(r"[^\w .,:;+()=/@%-]", " ", name).strip() or "unknown"


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _LIBRARIES}}
