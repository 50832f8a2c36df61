"""Results as Arrow tables, which pandas, Polars and DuckDB read as they are; neither torch nor a login is needed."""

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmark.errors import UserError
from benchmark.metrics.arrays import ranks
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME, Record


def read_results(*folders: str | PathLike[str]) -> pa.Table:
    """The tests in some folders and below them, one row a test.

    Args:
        folders: Run folders, or folders of them, such as `runs` and `leaderboards`.

    Returns:
        Columns `folder`, `name`, `dataset`, `fold`, `classes` (how many; null is all), `protocol`, `seed`, `created`,
        `videos`, `failed_videos`, `parameters`, `gflop_per_clip`, `clips_per_second`, `provenance`, then for each score
        its value from 0 to 1 and the ends of its 95% interval, as `video_hit1`, `video_hit1_low`, `video_hit1_high`;
        null where a test has none.

    Raises:
        UserError: If a folder is not there or holds no record, or a record is damaged.

    Example:
        >>> benchmark.read_results("runs").to_pandas().sort_values("video_hit1")
    """
    rows = [_row(path) for folder in folders for path in _records(Path(folder))]
    scores = dict.fromkeys(name for _, found in rows for name in found)
    columns: dict[str, list[Any]] = {name: [facts[name] for facts, _ in rows] for name in _FACTS}
    arrays = {name: pa.array(columns[name], kind) for name, kind in _FACTS.items()}
    for name in scores:
        for ending, part in (("", "value"), ("_low", "low"), ("_high", "high")):
            values = [getattr(found[name], part) if name in found else None for _, found in rows]
            arrays[f"{name}{ending}"] = pa.array(values, pa.float64())
    return pa.table(arrays)


_FACTS = {
    "folder": pa.string(),
    "name": pa.string(),
    "dataset": pa.string(),
    "fold": pa.int64(),
    "classes": pa.int64(),
    "protocol": pa.string(),
    "seed": pa.int64(),
    "created": pa.timestamp("s", "UTC"),
    "videos": pa.int64(),
    "failed_videos": pa.int64(),
    "parameters": pa.int64(),
    "gflop_per_clip": pa.float64(),
    "clips_per_second": pa.float64(),
    "provenance": pa.string(),
}


def _records(folder: Path) -> Iterator[Path]:
    found = [folder] if folder.is_file() else sorted(folder.rglob(FILE_NAME))
    if not found:
        raise UserError(f"{folder} holds no {FILE_NAME}, which a test leaves; give its run folder, or one above it")
    yield from found


def _row(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    record = Record.read(path)
    classes = record.dataset.classes
    facts = {
        "folder": str(path.parent),
        "name": record.name,
        "dataset": record.dataset.name,
        "fold": record.dataset.fold,
        "classes": None if classes is None else len(classes),
        "protocol": record.protocol_value.hash,
        "seed": record.seed,
        "created": record.created,
        "videos": record.videos,
        "failed_videos": len(record.failed_videos),
        "parameters": record.model.parameters,
        "gflop_per_clip": record.model.gflop_per_clip,
        "clips_per_second": record.throughput.clips_per_second,
        "provenance": record.checkpoint.provenance,
    }
    return facts, dict(record.metrics)


def read_predictions(folder: str | PathLike[str]) -> pa.Table:
    """What a test said of each video, one row a video in the order of the dataset's index.

    Args:
        folder: Of a test, or its ledger.

    Returns:
        Columns `video`, `source_group`, `labels` (names of the true classes), `predicted` (the best-scored class),
        `probability` (its mean probability), `rank` (of the best-scored true class, from 1), `failed` (why the video
        could not be read, and null otherwise) and `scores` (K class probabilities). The class names, in the order of
        `scores`, are in the schema's metadata under `classes`, as a JSON list.

    Raises:
        UserError: If there is no ledger, or it is damaged.
    """
    path = Path(folder)
    ledger = Ledger.read(path / LEDGER_NAME if path.is_dir() else path)
    names, scores, labels = ledger.info.class_names, ledger.scores, ledger.labels
    failed = np.isnan(scores).any(1)
    best = np.where(failed, -1, np.nan_to_num(scores).argmax(1))
    ranked = ranks(scores, labels)
    has_rank = ~failed & labels.any(1)
    table = pa.table(
        {
            "video": ledger.table["video_id"],
            "source_group": ledger.table["source_group"],
            "labels": pa.array([[names[number] for number in row] for row in ledger.table["labels"].to_pylist()]),
            "predicted": pa.array([None if number < 0 else names[number] for number in best], pa.string()),
            "probability": pa.array([None if b < 0 else float(s[b]) for b, s in zip(best, scores, strict=True)]),
            "rank": pa.array([int(r) if has else None for r, has in zip(ranked, has_rank, strict=True)], pa.int64()),
            "failed": ledger.table["reason"],
            "scores": ledger.table["scores"],
        }
    )
    return table.replace_schema_metadata({"classes": json.dumps(names)})
