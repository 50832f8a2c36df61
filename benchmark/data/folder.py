"""Anybody's videos: one folder a class, or an annotation file that says which labels each file has."""

import hashlib
import logging
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.data.annotations import read_annotations
from benchmark.data.class_folders import scan_folder
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.found import SUFFIXES, FoundVideo, listed
from benchmark.data.index import Identity, Split, VideoIndex
from benchmark.data.spelling import found_otherwise, require_distinct
from benchmark.errors import DatasetNotFoundError

log = logging.getLogger(__name__)

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Expected shares where nothing says which split a video belongs to (section 4.1)."""


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
        UserError: If the annotations are malformed, or two classes or source groups differ only in
            how they are written.
    """
    if not root.is_dir():
        raise DatasetNotFoundError(f"data.root is {root}, which is not a folder. Pass the folder of the videos.")
    videos = scan_folder(root) if annotations is None else read_annotations(annotations)
    files = {video.path: _file(root / video.path) for video in videos}
    missing = [path for path, file in files.items() if file is None]
    otherwise = found_otherwise(root, missing)
    if len(missing) == len(videos):
        raise DatasetNotFoundError(
            f"no video ({', '.join(sorted(SUFFIXES))}) is in a class folder under {root}: expected "
            "root/CLASS/video.mp4 or root/SPLIT/CLASS/video.mp4. Change data.root, or "
            "describe the files with data.annotations."
            if annotations is None
            else f"none of the {len(videos):,} files that {annotations} names is under {root}. Change data.root."
            f"{_spelt(otherwise)}"
        )
    class_names = sorted({label for video in videos for label in video.labels})
    numbers = {label: number for number, label in enumerate(class_names)}
    require_distinct(class_names, "classes")
    require_distinct(sorted({video.source_group for video in videos if video.source_group}), "source groups")
    splits = [video.split or hashed_split(video.source_group or video.path, split_seed) for video in videos]
    if otherwise:
        log.warning("%d videos count as missing, but are there.%s", len(otherwise), _spelt(otherwise))
    _name_linked(videos, splits, files)
    _name_untrained(class_names, videos, splits)
    return VideoIndex.from_columns(
        Identity(name or root.resolve().name),
        root,
        class_names,
        video_id=[video.path for video in videos],
        path=[None if files[video.path] is None else video.path for video in videos],
        labels=[[numbers[label] for label in video.labels] for video in videos],
        split=splits,
        source_group=[video.source_group for video in videos],
    )


def _file(path: Path) -> tuple[int, int] | None:
    """What tells a file from others, whatever it is called; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _spelt(otherwise: Mapping[str, str]) -> str:
    """Where files were found that a table spells otherwise; empty if there are none."""
    pairs = listed([f"{name!a} is {path!a}" for name, path in otherwise.items()])
    return f" Other capitals, spaces, slashes or Unicode form: {pairs}." if otherwise else ""


def _name_linked(
    videos: Sequence[FoundVideo], splits: Sequence[Split], files: Mapping[str, tuple[int, int] | None]
) -> None:
    """Say which files are held under several names, by links, and what is wrong with it."""
    held: dict[tuple[int, int], list[int]] = {}
    for row, video in enumerate(videos):
        file = files[video.path]
        if file is not None and file[1]:  # some file systems number no files
            held.setdefault(file, []).append(row)
    several = [rows for rows in held.values() if len(rows) > 1]
    divided = [rows for rows in several if len({splits[row] for row in rows}) > 1]
    relabelled = [rows for rows in several if len({videos[row].labels for row in rows}) > 1]
    others = [rows for rows in several if rows not in divided and rows not in relabelled]
    for how, linked in (("in several splits", divided), ("under several labels", relabelled), ("twice", others)):
        if linked:
            names = listed([" = ".join(videos[row].path for row in rows) for rows in linked])
            log.warning("%d files are held %s by links; keep one name of each: %s", len(linked), how, names)


def _name_untrained(class_names: Sequence[str], videos: Iterable[FoundVideo], splits: Sequence[Split]) -> None:
    """Say where training cannot teach what is tested: one class alone, or classes without a training video."""
    if "train" not in splits:  # a set to test on
        return
    if len(class_names) == 1:
        log.warning("all videos are of one class, %s; a model has nothing to tell apart", class_names[0])
    seen = {label for video, split in zip(videos, splits, strict=True) if split == "train" for label in video.labels}
    if untrained := [name for name in class_names if name not in seen]:
        log.warning("%d classes have no training video: %s", len(untrained), listed(untrained))


class VideoFolder(VideoDataModule):
    """Any labelled videos: one folder a class, split by folders or by hash, or described by an annotation file.

    Args:
        root: Folder of the videos: `CLASS/video.mp4`, `train/CLASS/video.mp4` or `CLASS/train/video.mp4` and so on;
            videos without a split go 70% to train, 10% to validation and 20% to test by a hash of their path.
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
