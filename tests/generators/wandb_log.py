"""What is in the log of an offline W&B run, read back from its file."""

import dataclasses
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

Record: Any = vars(wandb_internal_pb2)["Record"]

_BLOCK, _HEADER = 32 * 1024, 7
_FIRST, _LAST = {1, 2}, {1, 4}


def records(path: Path) -> Iterator[Any]:
    """Messages of a `.wandb` file: LevelDB's log format, after a header of 7 bytes."""
    data, place, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + _HEADER <= len(data):
        if _BLOCK - place % _BLOCK < _HEADER:  # what is left of a block is padding
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        part = data[place + _HEADER : place + _HEADER + length]
        place += _HEADER + length
        whole = part if kind in _FIRST else whole + part
        if kind in _LAST:
            yield Record.FromString(whole)


@dataclasses.dataclass
class Run:
    """What a log says of its run: the latest of each."""

    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    artifacts: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    exit_code: int | None = None


def read_run(path: Path) -> Run:
    """The run of a log."""
    run = Run()
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            own = record.run
            run.id, run.name, run.group = own.run_id, own.display_name, own.run_group
            run.job_type, run.tags = own.job_type, tuple(own.tags)
            run.config |= _items(own.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind == "metric" and record.metric.summary.ListFields():
            held = {field.name for field, value in record.metric.summary.ListFields() if value}
            run.best[record.metric.name] = held
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            _add(run, record.request.log_artifact.artifact)
        elif kind == "artifact":
            _add(run, record.artifact)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _add(run: Run, artifact: Any) -> None:
    run.artifacts[artifact.name] = {entry.path for entry in artifact.manifest.contents}


def _items(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        keys = [item.key] if item.key else list(item.nested_key)
        held = found
        for key in keys[:-1]:
            held = held.setdefault(key, {})
        held[keys[-1]] = json.loads(item.value_json)
    return found
