"""What processes have written of a test before it is finished, so that a killed one goes on where it stopped.

Each process appends its videos to a file of its own under `unfinished/`; the first process joins them in the end.
"""

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa

from benchmark.changes import changes, leaves
from benchmark.errors import UserError
from benchmark.files import whole, write_whole
from benchmark.results.ledger import SCHEMA
from benchmark.runs.processes import from_one, of_all

_ROWS_AT_ONCE = 1000

# Beside the ledger's columns the number in the index, and what was said of each clip, C * K, where that is kept.
PARTS_SCHEMA = pa.schema([pa.field("row", pa.int64()), *SCHEMA, pa.field("clip_scores", pa.list_(pa.float32()))])


class UnfinishedTest:
    """Parts of a ledger in the folder of a test.

    Args:
        run_dir: Folder of the test, shared by all processes.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.folder = run_dir / "unfinished"
        self._sink: pa.NativeFile | None = None

    def claim(self, key: Mapping[str, Any], *, is_first: bool) -> None:
        """Take the folder for one test; every process compares, so that none waits for one that has refused.

        Args:
            key: What decides the scores.
            is_first: Whether this process is the one that writes.

        Raises:
            UserError: If the folder holds the beginning of a test with another key.
        """
        wanted, file = json.loads(json.dumps(key, default=str)), self.folder / "test.json"
        try:
            held = json.loads(file.read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):  # the second after a loss of power
            held = None
        if held is not None:
            if differ := changes(leaves(held), leaves(wanted)):
                raise UserError(
                    f"--run_dir {self.run_dir} holds the beginning of another test: {'; '.join(differ)}. "
                    f"Name another folder, or delete {self.folder}"
                )
        elif is_first:
            write_whole(file, json.dumps(wanted))

    def read(self) -> pa.Table:
        """All rows that processes have written, in the order of the index."""
        return read_parts(self.folder, PARTS_SCHEMA).sort_by("row")

    def begin(self) -> None:
        """Begin this process's own part."""
        self._sink = pa.OSFile(str(self.folder / f"{uuid.uuid4().hex}.arrows"), "wb")
        self._writer = pa.ipc.new_stream(self._sink, PARTS_SCHEMA)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows to this process's part; they outlive the process."""
        if rows and self._sink is not None:
            self._writer.write_batch(pa.RecordBatch.from_pylist(rows, PARTS_SCHEMA))
            self._sink.flush()

    def close(self) -> None:
        """End this process's part; a second time does nothing."""
        if self._sink is not None:
            self._writer.close()
            self._sink.close()
            self._sink = None

    def add(self, name: str, rows: pa.Table) -> None:
        """Add a part that is there whole or not at all."""
        with whole(self.folder / f"{name}.arrows") as unfinished, pa.OSFile(str(unfinished), "wb") as sink:
            with pa.ipc.new_stream(sink, PARTS_SCHEMA) as writer:
                writer.write_table(rows)

    def remove(self) -> None:
        """Delete the parts, once nothing can be lost any more; another process of the machine may do so too."""
        shutil.rmtree(self.folder, ignore_errors=True)


def bring_together(parts: UnfinishedTest, trainer: L.Trainer) -> None:
    """Let the first process hold the rows of all, also of those whose folder is on another machine; collective.

    Args:
        parts: Of this process.
        trainer: Of the test.
    """
    if trainer.world_size == 1:
        return
    own = parts.read()
    held = from_one(own["row"].to_numpy(), trainer)
    lacks = own.filter(pa.array(~np.isin(own["row"].to_numpy(), held)))
    for rank, count in enumerate(of_all(len(lacks), trainer)):
        for first in range(0, count, _ROWS_AT_ONCE):
            mine = lacks.slice(first, _ROWS_AT_ONCE) if rank == trainer.global_rank else None
            sent = from_one(mine, trainer, rank)
            if trainer.is_global_zero and sent is not None:
                parts.add(f"{uuid.uuid4().hex}", sent)


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
