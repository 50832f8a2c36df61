"""Counts what a test computes, batch by batch: how many operations, and in which number format."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmark.clip import ClipBatch, VideoBatch
from benchmark.cost import operation_counter
from benchmark.files import write_whole

FILE_NAME = "operations.json"


@dataclasses.dataclass(frozen=True)
class Work:
    """What a batch took.

    Args:
        rows: Rows of the index in it.
        clips: Clips in it, or videos where they are read whole.
        operations: Floating-point operations of matrix products and convolutions.
        formats: Names of the number formats that those had, as `float32`.
    """

    rows: tuple[int, ...]
    clips: int
    operations: int
    formats: tuple[str, ...]


def read_work(folder: Path) -> list[Work]:
    """What `CountedOperations` has left, batch by batch."""
    held = json.loads((folder / FILE_NAME).read_text("utf-8"))
    return [Work(tuple(each["rows"]), each["clips"], each["operations"], tuple(each["formats"])) for each in held]


class _Formats(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the number formats of matrix products and convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "overloadpacket", func) in flop_registry:
            self.seen |= {str(each.dtype).removeprefix("torch.") for each in args if isinstance(each, Tensor)}
        return func(*args, **(kwargs or {}))


class CountedOperations(L.Callback):
    """Leaves what each batch of a test took, as `operations.json` in a folder.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._work: list[Work] = []
        self._counting = contextlib.ExitStack()

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ClipBatch | VideoBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Begin to count."""
        self._counter = self._counting.enter_context(operation_counter())
        self._formats = self._counting.enter_context(_Formats())

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: ClipBatch | VideoBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note it."""
        self._counting.close()
        rows = torch.unique(batch.rows).tolist()
        operations, formats = int(self._counter.get_total_flops()), tuple(sorted(self._formats.seen))
        self._work.append(Work(tuple(rows), len(batch), operations, formats))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write all of it."""
        write_whole(self.folder / FILE_NAME, json.dumps([dataclasses.asdict(each) for each in self._work]))

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Count no more."""
        self._counting.close()
