"""Anybody's videos: one folder a class, or an annotation file that says which labels each file has."""

import csv
import dataclasses
import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from benchmark.data.datamodule import VideoDataModule
from benchmark.data.files import SUFFIXES
from benchmark.data.index import Identity, Split, VideoIndex
from benchmark.errors import DatasetNotFoundError, UserError

log = logging.getLogger(__name__)

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
    "predict": "predict",
}
"""Folder names and annotation values that mean a split; `predict` videos need no labels."""

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Expected shares where nothing says which split a video belongs to (section 4.1)."""

_COLUMNS = {"path": ("path",), "labels": ("labels", "label"), "split": ("split",), "group": ("source_group", "group")}


@dataclasses.dataclass(frozen=True)
class FoundVideo:
    """One video of a folder or one row of an annotation file.

    Args:
        path: Relative to the root, with forward slashes; it is also the video's id.
        labels: Class names; empty only where the split is "predict".
        split: The split it was given, or None to choose one by hash.
        source_group: What was cut from one source, or None.
    """

    path: str
    labels: tuple[str, ...]
    split: Split | None = None
    source_group: str | None = None


def hashed_split(name: str, seed: int) -> Split:
    """The split of a video or source group that was given none: 70% train, 10% validation, 20% test by its name.

    A name never moves to another split when others are added or removed.

    Args:
        name: Path relative to the root, or name of the source group, so that a whole group goes to one split.
        seed: Another seed gives another choice.

    Returns:
        "train", "validation" or "test".
    """
    fraction = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]) / 2**64
    if fraction < SHARES["train"]:
        return "train"
    return "validation" if fraction < SHARES["train"] + SHARES["validation"] else "test"


def _videos_under(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def scan_folder(root: Path) -> list[FoundVideo]:
    """The videos of class folders, which may stand in folders named after the splits.

    Args:
        root: `root/CLASS/.../video.mp4` or `root/SPLIT/CLASS/.../video.mp4`. It counts as split if a folder named
            train, validation, val or test holds folders itself. Videos under `root/predict` get no labels.

    Returns:
        The videos, sorted by split and class. A split without a folder stays empty.
    """
    folders = _subfolders(root)
    splits = [entry for entry in folders if entry.name in SPLIT_NAMES and entry.name != "predict"]
    if not any(_subfolders(entry) for entry in splits):
        return _scan_classes(root, root, None)
    ignored = sorted(entry.name for entry in folders if entry.name not in SPLIT_NAMES)
    if ignored:
        log.warning("%s is split into train, validation and test; the folders %s beside are left out", root, ignored)
    found = [video for entry in splits for video in _scan_classes(root, entry, SPLIT_NAMES[entry.name])]
    if (root / "predict").is_dir():
        found += [_found(root, file, (), "predict") for file in _videos_under(root / "predict")]
    return found


def _scan_classes(root: Path, parent: Path, split: Split | None) -> list[FoundVideo]:
    loose = [entry.name for entry in parent.iterdir() if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if loose:
        log.warning("%d videos directly in %s are in no class folder and are left out", len(loose), parent)
    return [
        _found(root, file, (folder.name,), split) for folder in _subfolders(parent) for file in _videos_under(folder)
    ]


def _found(root: Path, file: Path, labels: tuple[str, ...], split: Split | None) -> FoundVideo:
    return FoundVideo(file.relative_to(root).as_posix(), labels, split)


def _rows(annotations: Path) -> tuple[list[str], list[dict[str, object]]]:
    try:
        if annotations.suffix.lower() == ".parquet":
            table = parquet.read_table(annotations)
            return list(table.column_names), table.to_pylist()
        with annotations.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            rows: list[dict[str, object]] = [dict(row) for row in reader]
            return list(reader.fieldnames or ()), rows
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, OSError) as cause:
        raise UserError(f"{annotations} cannot be read as CSV in UTF-8 or as Parquet: {cause}") from cause


def _labels(cell: object) -> tuple[str, ...]:
    parts: Iterable[object] = cell if isinstance(cell, list) else str("" if cell is None else cell).split("|")
    return tuple(dict.fromkeys(name for name in (str(part).strip() for part in parts) if name))


def leaves_root(path: str) -> bool:
    """Whether a path could lead out of the folder it is relative to, by the rules of POSIX or of Windows."""
    return any(kind.anchor or ".." in kind.parts for kind in (PurePosixPath(path), PureWindowsPath(path)))


def _safe_path(cell: object, where: str) -> str:
    path = "" if cell is None else str(cell).strip()
    if not path or leaves_root(path):
        raise UserError(f"{where} has the path {path!r}; it must lie under data.root and be given relative to it.")
    return PurePosixPath(path).as_posix()


def read_annotations(annotations: Path) -> list[FoundVideo]:
    """The rows of an annotation file.

    Args:
        annotations: CSV (with a header) or Parquet with the columns `path`, relative to the root; `labels` or `label`,
            class names joined by `|` or, in Parquet, a list; and if wanted `split` (train, validation, test, predict)
            and `source_group` or `group` (what was cut from one source, which never goes to two splits by hash).

    Returns:
        One video a row.

    Raises:
        DatasetNotFoundError: If there is no such file.
        UserError: If a column lacks, a path leaves the root or is there twice, or a cell has a value not allowed; it
            names the row, counted from 1 without the header.
    """
    if not annotations.is_file():
        raise DatasetNotFoundError(f"data.annotations is {annotations}, which is not a file.")
    columns, rows = _rows(annotations)
    named = {role: next((name for name in names if name in columns), None) for role, names in _COLUMNS.items()}
    path_column, labels_column = named["path"], named["labels"]
    if path_column is None or labels_column is None:
        raise UserError(
            f"{annotations} has the columns {', '.join(columns) or 'none'}; needed are path and labels (or label), "
            "allowed besides are split and source_group (or group). Rename the columns."
        )
    found: dict[str, FoundVideo] = {}
    for number, row in enumerate(rows, start=1):
        where = f"row {number} of {annotations}"
        path = _safe_path(row[path_column], where)
        if path in found:
            raise UserError(f"{where} repeats the path {path!r}; join several labels of a video by | in one row.")
        split = None
        if named["split"] is not None:
            split = SPLIT_NAMES.get(str(row[named["split"]]))
            if split is None:
                raise UserError(f"{where} has the split {row[named['split']]!r}; allowed are {', '.join(SPLIT_NAMES)}.")
        labels = _labels(row[labels_column])
        if not labels and split != "predict":
            raise UserError(f"{where} has no label; only videos of the split predict may lack one.")
        group = row[named["group"]] if named["group"] is not None else None
        found[path] = FoundVideo(path, labels, split, str(group) if group not in (None, "") else None)
    return list(found.values())


def read_folder_index(
    root: Path, *, annotations: Path | None = None, name: str | None = None, split_seed: int = 0
) -> VideoIndex:
    """The videos of a folder or of an annotation file.

    Args:
        root: Folder of the videos.
        annotations: CSV or Parquet file, see `read_annotations`; None reads class folders, see `scan_folder`.
        name: Name of the dataset in results; None takes the folder's.
        split_seed: Chooses the split of videos that were given none; apart from the training seed.

    Returns:
        One row a video; with annotations, without a path where the file is not there.

    Raises:
        DatasetNotFoundError: If a folder or file is missing, or no video is there.
        UserError: If the annotations are malformed.
    """
    if not root.is_dir():
        raise DatasetNotFoundError(f"data.root is {root}, which is not a folder. Pass the folder of the videos.")
    videos = scan_folder(root) if annotations is None else read_annotations(annotations)
    paths = [video.path if (root / video.path).is_file() else None for video in videos]
    if not any(paths):
        raise DatasetNotFoundError(
            f"no video ({', '.join(sorted(SUFFIXES))}) is in a class folder under {root}: expected "
            "root/CLASS/video.mp4 or root/SPLIT/CLASS/video.mp4. Change data.root, or "
            "describe the files with data.annotations."
            if annotations is None
            else f"none of the {len(videos):,} files that {annotations} names is under {root}. Change data.root."
        )
    class_names = sorted({label for video in videos for label in video.labels})
    numbers = {label: number for number, label in enumerate(class_names)}
    return VideoIndex.from_columns(
        Identity(name or root.resolve().name),
        root,
        class_names,
        video_id=[video.path for video in videos],
        path=paths,
        labels=[[numbers[label] for label in video.labels] for video in videos],
        split=[video.split or hashed_split(video.source_group or video.path, split_seed) for video in videos],
        source_group=[video.source_group for video in videos],
    )


class VideoFolder(VideoDataModule):
    """Any labelled videos: one folder a class, split by folders or by hash, or described by an annotation file.

    Args:
        root: Folder of the videos: `CLASS/video.mp4` or `train/CLASS/video.mp4` and so on; videos without a split go
            70% to train, 10% to validation and 20% to test by a hash of their path.
        annotations: CSV or Parquet file with the columns path, labels, and if wanted split and source_group; None
            takes the class from the folder.
        name: Name of the dataset in results; None takes the folder's.
        split_seed: Chooses the split of videos that were given none; apart from `seed`.
        shared: What every data module takes, see `VideoDataModule`.
    """

    def __init__(
        self,
        root: Path,
        *,
        annotations: Path | None = None,
        name: str | None = None,
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.videos_root, self.annotations, self.dataset_name, self.split_seed = root, annotations, name, split_seed

    def read_index(self) -> VideoIndex:
        """Find the videos in the folder or the annotation file."""
        return read_folder_index(
            self.videos_root, annotations=self.annotations, name=self.dataset_name, split_seed=self.split_seed
        )
