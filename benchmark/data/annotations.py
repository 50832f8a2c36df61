"""A table that says which labels each video has, read strictly: what is not clear is refused with its row."""

import csv
import difflib
import math
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import parquet

from benchmark.data.found import SPLITS, FoundVideo, can_be_written, leaves_root, split_of
from benchmark.data.spelling import says_nothing
from benchmark.errors import DatasetNotFoundError, UserError
from benchmark.wording import counted

_COLUMNS = {"path": ("path",), "labels": ("labels", "label"), "split": ("split",), "group": ("source_group", "group")}


def read_rows(annotations: Path) -> tuple[list[str], list[dict[str, object]]]:
    """Column names and rows of a table in CSV, in UTF-8 and with a header, or in Parquet.

    Raises:
        UserError: If it cannot be read, or a row has more or fewer cells than the header.
    """
    try:
        if annotations.suffix.lower() == ".parquet":
            table = parquet.read_table(annotations)
            return list(table.column_names), table.to_pylist()
        with annotations.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            names = next(reader, [])
            rows: list[dict[str, object]] = []
            for number, cells in enumerate((row for row in reader if row), start=1):
                if len(cells) != len(names):
                    raise UserError(
                        f"row {number} of {annotations} has {counted(len(cells), 'cell')} "
                        f"where the header has {len(names)} "
                        f"({', '.join(cells)[:200]}); a comma within a cell needs quotes around it."
                    )
                rows.append(dict(zip(names, cells, strict=True)))
            return names, rows
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, OSError) as cause:
        raise UserError(f"{annotations} cannot be read as CSV in UTF-8 or as Parquet: {cause}") from cause


def _labels(cell: object, where: str) -> tuple[str, ...]:
    parts: list[object] = cell if isinstance(cell, list) else [] if _is_empty(cell) else [cell]
    names: list[str] = []
    for part in parts:
        if _is_empty(part) or not isinstance(part, str | int) or isinstance(part, bool):
            raise UserError(f"{where} has the label {part!r}; a label is a text or a whole number.")
        # In a list each entry is one label; a cell joins several.
        names += [str(part)] if isinstance(cell, list) else str(part).split("|")
    labels = tuple(dict.fromkeys(name for name in map(str.strip, names) if name))
    for label in labels:
        if says_nothing(label):
            raise UserError(
                f"{where} has the label {label!r}, which programs write where there is none; give the video a label, "
                "or call a class of that name otherwise, as in no_action."
            )
        if not can_be_written(label):
            raise UserError(f"{where} has the label {label!r}, in which is a control character; remove it.")
    return labels


def _is_empty(cell: object) -> bool:
    """Whether a table says nothing there, in any of the ways that tables have."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _group(cell: object, where: str) -> str | None:
    group = "" if _is_empty(cell) else str(cell).strip()
    if not can_be_written(group):
        raise UserError(f"{where} has the group {group!r}, in which is a control character; remove it.")
    return None if says_nothing(group) else group


def _safe_path(cell: object, where: str) -> str:
    path = cell.strip() if isinstance(cell, str) else ""
    if says_nothing(path) or leaves_root(path):
        raise UserError(f"{where} has the path {path!r}; it must lie under data.root and be given relative to it.")
    if not can_be_written(path):
        raise UserError(f"{where} has the path {path!r}, in which is a control character; rename the file.")
    return PurePosixPath(path).as_posix()


def column_names(annotations: Path) -> list[str]:
    """Names of the columns of an annotation file, as `read_annotations` reads it."""
    return read_rows(annotations)[0]


def read_annotations(annotations: Path, group_column: str | None = None) -> list[FoundVideo]:
    """The rows of an annotation file.

    Args:
        annotations: CSV (with a header) or Parquet with the columns `path`, relative to the root; `labels` or `label`,
            class names joined by `|` or, in Parquet, a list; and if wanted `split` (train, validation, test, predict)
            and `source_group` or `group` (what was cut from one source, which never goes to two splits by hash).
        group_column: Another column that says that; where there is no such column, it counts for nothing.

    Returns:
        One video a row.

    Raises:
        DatasetNotFoundError: If there is no such file.
        UserError: If a column lacks, a path leaves the root or is there twice, or a cell has a value not allowed; it
            names the row, counted from 1 without the header.
    """
    if not annotations.is_file():
        raise DatasetNotFoundError(f"data.annotations is {annotations}, which is not a file.")
    columns, rows = read_rows(annotations)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise UserError(f"{annotations} has several columns named {', '.join(twice)}; rename all but one.")
    known = {name for names in _COLUMNS.values() for name in names}
    for column in columns:
        meant = difflib.get_close_matches(column.strip().casefold(), known, 1, 0.8)
        if meant and column not in known:
            raise UserError(
                f"{annotations} has a column named {column!r}; rename it to {meant[0]}, or to something else."
            )
    for names in _COLUMNS.values():
        if set(names) <= set(columns) and len(names) > 1:
            raise UserError(f"{annotations} has the columns {' and '.join(names)}, which mean the same; drop one.")
    named = {role: next((name for name in names if name in columns), None) for role, names in _COLUMNS.items()}
    if group_column in columns:
        named["group"] = group_column
    path_column, labels_column = named["path"], named["labels"]
    if path_column is None or labels_column is None:
        parted = {"\t": "tabs", ";": "semicolons", " ": "spaces"}
        by = next((name for sign, name in parted.items() if len(columns) == 1 and sign in columns[0]), None)
        hint = f" Its cells seem to be parted by {by}; save it with commas." if by else ""
        raise UserError(
            f"{annotations} has the columns {', '.join(columns) or 'none'}; needed are path and labels (or label), "
            f"allowed besides are split and source_group (or group). Rename the columns.{hint}"
        )
    found: dict[str, FoundVideo] = {}
    for number, row in enumerate(rows, start=1):
        where = f"row {number} of {annotations}"
        path = _safe_path(row[path_column], where)
        if path in found:
            raise UserError(f"{where} repeats the path {path!r}; join several labels of a video by | in one row.")
        split = None
        if named["split"] is not None:
            split = split_of(str(row[named["split"]]))
            if split is None:
                raise UserError(f"{where} has the split {row[named['split']]!r}; allowed are {', '.join(SPLITS)}.")
        labels = _labels(row[labels_column], where)
        if not labels and split != "predict":
            raise UserError(f"{where} has no label; only videos of the split predict may lack one.")
        found[path] = FoundVideo(
            path, labels, split, None if named["group"] is None else _group(row[named["group"]], where)
        )
    return list(found.values())
