"""Writes the ledger of a test while it runs, so that a killed one goes on where it stopped.

Each process appends its videos to a file of its own under `unfinished/`; the first process joins them in the end.
Letters: B clips, K classes.
"""

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from benchmark.changes import changes, leaves
from benchmark.clip import ClipBatch, VideoBatch
from benchmark.errors import UserError
from benchmark.files import file_hash, write_whole
from benchmark.metrics.hit import ranks
from benchmark.metrics.throughput import ClipsPerSecond
from benchmark.metrics.video_scores import video_scores
from benchmark.results.ledger import FILE_NAME, SCHEMA, Ledger, LedgerInfo
from benchmark.results.record import FILE_NAME as RECORD_NAME

_PARTS = "unfinished"
_NO_NUMBERS = "the model's scores for it are not all finite numbers"


class LedgerWriter(L.Callback):
    """Leaves `ledger.parquet` in a folder when a test ends; a repeated test in that folder scores only what is missing.

    Args:
        folder: Where it is written; shared by all processes.
        checkpoint: File of the weights that are tested.
        settings: What else decides the scores; a test in the same folder goes on only with equal ones.
        sample_videos: Number of videos to score, drawn at random, or None for all of them.
        sample_seed: Seed of that draw.

    Raises:
        UserError: In `setup`, if the folder holds a finished test, or the beginning of another one.
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Path,
        settings: dict[str, Any],
        sample_videos: int | None = None,
        sample_seed: int = 0,
    ) -> None:
        if sample_videos is not None and sample_videos < 1:
            raise UserError(f"--sample.videos is {sample_videos}; it must be 1 or more, or null for all videos")
        self.folder, self.checkpoint, self.settings = folder, checkpoint, settings
        self.checkpoint_sha256 = file_hash(checkpoint)
        self.sample_videos, self.sample_seed = sample_videos, sample_seed
        self.ledger: Ledger | None = None
        self.stopwatch = ClipsPerSecond(warmup_steps=1)
        self._sink: pa.NativeFile | None = None

    @property
    def _parts(self) -> Path:
        return self.folder / _PARTS

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find what an earlier, killed test in this folder has scored, and leave those videos out of the loader."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        self.info = ledger_info(data)
        self.schema = pa.schema([pa.field("row", pa.int64()), *SCHEMA])
        if (self.folder / RECORD_NAME).exists():
            raise UserError(f"--run_dir {self.folder} holds a finished test; name another folder")
        key = {
            "checkpoint": self.checkpoint_sha256,
            "ledger": json.loads(self.info.to_json()),
            "precision": str(trainer.precision),
            "sample": [self.sample_videos, self.sample_seed],
            **self.settings,
        }
        self._claim(json.loads(json.dumps(key, default=str)), is_first=trainer.is_global_zero)
        trainer.strategy.barrier("ledger")
        done = read_parts(self._parts, self.schema)["row"].to_pylist()
        if done and trainer.is_global_zero:
            print(f"{self.folder} holds the scores of {len(done):,} videos; scoring the rest", flush=True)
        every = data.index.rows("test")
        self.rows = every
        if self.sample_videos is not None and self.sample_videos < len(every):
            drawn = np.random.default_rng(self.sample_seed).choice(every, self.sample_videos, replace=False)
            self.rows = np.sort(drawn)
        # Lightning leaves out a test without a batch, so every process scores one, again if need be.
        again = max(0, trainer.world_size - (len(self.rows) - len(done)))
        data.scored_rows = frozenset([*done[: max(0, len(done) - again)], *np.setdiff1d(every, self.rows).tolist()])
        trainer.strategy.barrier("ledger read")  # no process may begin to write before all have read
        self._sink = pa.OSFile(str(self._parts / f"{uuid.uuid4().hex}.arrows"), "wb")
        self._writer = pa.ipc.new_stream(self._sink, self.schema)

    def _claim(self, key: dict[str, Any], *, is_first: bool) -> None:
        """Every process compares, so that none waits for one that has refused; the first one writes."""
        file = self._parts / "test.json"
        try:
            held = json.loads(file.read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):  # the second after a loss of power
            held = None
        if held is not None:
            if differ := changes(leaves(held), leaves(key)):
                raise UserError(
                    f"--run_dir {self.folder} holds the beginning of another test: {'; '.join(differ)}. "
                    f"Name another folder, or delete {self._parts}"
                )
        elif is_first:
            write_whole(file, json.dumps(key))

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to wait for the first batch, with the weights that were looked at before."""
        if file_hash(self.checkpoint) != self.checkpoint_sha256:
            raise UserError(f"--ckpt_path {self.checkpoint} was written to while it was read; test a copy of it")
        self.stopwatch.start()

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ClipBatch | VideoBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The batch is there."""
        self.stopwatch.data_ready()

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
        if not isinstance(outputs, Tensor):
            raise TypeError(f"test_step must return class probabilities (B, K), not {type(outputs)}")
        if len(outputs) and not torch.allclose(outputs.sum(1), torch.ones(()).to(outputs), atol=1e-2):
            if outputs.isfinite().all():
                raise UserError("test_step must return class probabilities (B, K); these do not add up to 1")
        rows = list(self._rows(trainer, outputs, batch))
        self.stopwatch.step_done(len(batch))
        if rows and self._sink is not None:
            self._writer.write_batch(pa.RecordBatch.from_pylist(rows, self.schema))
            self._sink.flush()

    def _rows(self, trainer: L.Trainer, outputs: Tensor, batch: ClipBatch | VideoBatch) -> Iterable[dict[str, Any]]:
        table = trainer.datamodule.index.table  # type: ignore[attr-defined]

        def row(number: int, **rest: Any) -> dict[str, Any]:
            names = ("video_id", "labels", "source_group")
            return {"row": number, **{name: table[name][number].as_py() for name in names}, **rest}

        for failure in batch.failures:
            yield row(failure.row, status="failed", reason=failure.reason)
        if not len(batch):
            return
        scores, numbers, _ = video_scores(outputs, batch.rows)
        if isinstance(batch, VideoBatch):  # whole videos have no clips
            rank, owner, clips, starts = np.empty((4, 0), np.int64)
        else:
            rank = ranks(outputs, batch.labels).cpu().numpy()
            owner, clips, starts = (part.cpu().numpy() for part in (batch.rows, batch.clips, batch.starts))
        for number, score in zip(numbers.tolist(), scores.cpu().numpy(), strict=True):
            places = np.flatnonzero(owner == number)
            places = places[np.argsort(clips[places])]
            if not np.isfinite(score).all():
                yield row(number, status="failed", reason=_NO_NUMBERS)
                continue
            own = dict(scores=score.tolist(), clip_starts=starts[places].tolist(), clip_ranks=rank[places].tolist())
            yield row(number, status="scored", **own)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wait until every process has written its videos."""
        self._close()
        trainer.strategy.barrier("ledger written")

    def write(self, trainer: L.Trainer) -> str:
        """Join the parts of all processes in the order of the index; returns the SHA-256 of the ledger's file."""
        table = read_parts(self._parts, self.schema).sort_by("row")
        limit = trainer.limit_test_batches
        if not np.array_equal(table["row"].to_numpy(), self.rows) and isinstance(limit, float) and limit == 1.0:
            raise RuntimeError(f"{len(table)} videos were scored where {len(self.rows)} were to be")
        self.ledger = Ledger(self.info, table.drop_columns("row").combine_chunks())
        return self.ledger.write(self.folder / FILE_NAME)

    def remove_parts(self) -> None:
        """Forget the parts, once nothing can be lost any more."""
        for part in self._parts.iterdir():
            part.unlink()
        self._parts.rmdir()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep what was scored."""
        self._close()

    def _close(self) -> None:
        if self._sink is not None:
            self._writer.close()
            self._sink.close()
            self._sink = None


def ledger_info(data: Any) -> LedgerInfo:
    """What a data module says of its test videos."""
    index = data.index
    return LedgerInfo(
        dataset=index.identity.dataset,
        fold=index.identity.fold,
        classes=index.identity.classes,
        fingerprint=index.fingerprint,
        held_videos=len(index.rows("test")),
        official_videos=len(index.rows("test")) + len(index.missing("test")) if index.official_videos else None,
        class_names=tuple(index.class_names),
        class_groups=index.class_groups,
        protocol=data.test_protocol,
    )


def read_parts(folder: Path, wanted: pa.Schema) -> pa.Table:
    """All rows that processes have written, killed ones too: the last batch of a file may be cut off."""
    batches, seen = [], set[int]()
    for path in sorted(folder.glob("*.arrows")):
        try:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                while True:
                    batches.append(stream.read_next_batch().cast(wanted))
        except (StopIteration, pa.ArrowInvalid, OSError, EOFError):
            continue
    table = pa.Table.from_batches(batches, wanted)
    first = [number not in seen and not seen.add(number) for number in table["row"].to_pylist()]  # type: ignore[func-returns-value]
    return table.filter(pa.array(first, pa.bool_()))
