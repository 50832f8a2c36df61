"""Turns a finished ledger into the record, and shows and logs its numbers."""

import contextlib
import datetime
import importlib.metadata
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

import benchmark
from benchmark.callbacks.ledger import LedgerWriter
from benchmark.callbacks.provenance import ContaminationGuard
from benchmark.errors import UserError
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

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Everything but the numbers, checked before hours of scoring instead of behind them."""
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
                checkpoint=Checkpoint(sha256=self.writer.checkpoint_sha256, provenance=self.guard.provenance),
                code=code_facts(),
                hardware=hardware_facts(trainer.world_size),
                precision=str(trainer.precision),
                seed=None if isinstance(seed, bool) else seed,
                libraries=library_versions(),
                throughput=Throughput(clips_per_second=None, compute_clips_per_second=None),
                config=self.config,
                ledger=LedgerFile(file=LEDGER_NAME, sha256="0" * 64),
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UserError(f"a record cannot hold this test: {where}: {first['msg']}") from None

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

    def _throughput(self, trainer: L.Trainer, device: torch.device) -> Throughput:
        own = self.writer.stopwatch
        values = (own.clips_per_second, own.compute_clips_per_second) if own.steps else (math.nan, math.nan)
        total = trainer.strategy.reduce(torch.tensor(values, device=device), reduce_op="sum")
        whole, compute = torch.as_tensor(total).tolist()
        return Throughput(
            clips_per_second=whole if math.isfinite(whole) else None,
            compute_clips_per_second=compute if math.isfinite(compute) else None,
        )


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def model_facts(network: Any, config: dict[str, Any]) -> Model:
    """Class, options, parameters and cost of a clip of the model that was tested."""
    options = dict(config.get("model", {}).get("init_args", {}))
    options |= {f"transfer_{name}": value for name, value in (config.get("transfer") or {}).items()}
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
    side, offsets, was_training = int(network.input_side), network.frame_offsets, network.training
    frames = torch.zeros(1, len(offsets), side, side, 3, dtype=torch.uint8, device=network.device)
    network.eval()  # in training mode the empty clip would enter the statistics of batch normalisation
    try:
        with torch.no_grad(), operation_counter() as counter:
            network(frames)
    finally:
        network.train(was_training)
    return float(counter.get_total_flops()) / 1e9


def operation_counter() -> FlopCounterMode:
    """PyTorch's counter, which also counts the matrix products within fused recurrent layers, forward and backward."""
    aten = torch.ops.aten
    mapping = {
        aten.mkldnn_rnn_layer: _layer_operations,
        aten.mkldnn_rnn_layer_backward: _twice(_layer_operations),
        aten._cudnn_rnn: _cudnn_operations,
        aten._cudnn_rnn_backward: _twice(_cudnn_operations),
    }
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _twice(forward: Callable[..., int]) -> Callable[..., int]:
    """Of backward, whose first arguments are forward's: a product becomes one for the input and one for the weights."""
    return lambda *shapes, **options: 2 * forward(*shapes, **options)


def _layer_operations(steps: torch.Size, of_input: torch.Size, of_state: torch.Size, *_: Any, **__: Any) -> int:
    """Of a recurrent layer on the processor, from shapes: steps (T, B, F), and the matrices of all gates."""
    return 2 * steps[0] * steps[1] * (of_input.numel() + of_state.numel())


def _cudnn_operations(steps: torch.Size, weights: list[torch.Size], *_: Any, **__: Any) -> int:
    """Of all recurrent layers on a GPU, from shapes: each matrix meets a vector in each step of each clip."""
    return 2 * steps[0] * steps[1] * sum(shape.numel() for shape in weights if len(shape) == 2)


def code_facts() -> Code:
    """Version of this package, and commit and state of the working tree that it is run from, if it is."""
    folder = Path(benchmark.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # else it is installed inside another repository
        commit = _git(folder, "rev-parse", "HEAD")
        modified = bool(_git(folder, "status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        commit, modified = None, None
    return Code(version=benchmark.__version__, commit=commit, modified=modified)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=20).stdout.strip()


def hardware_facts(processes: int) -> Hardware:
    """Processor, cores that this process may use, and GPU."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(errors="replace", encoding="utf-8"))
        name = match[1] if match else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return Hardware(processor=_text(name), cores=cores, gpu=None if gpu is None else _text(gpu), processes=processes)


def _text(name: str) -> str:
    return re.sub(r"[^\w .,:;+()=/@%-]", " ", name).strip() or "unknown"


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # it may go by another distribution's name
            versions[name] = importlib.metadata.version(name)
    return versions
