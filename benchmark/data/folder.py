"""Anybody's videos: one folder a class, or an annotation file that says which labels each file has."""

import hashlib
from pathlib import Path
from typing import Any

from benchmark.data.annotations import read_annotations
from benchmark.data.class_folders import scan_folder
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.found import SUFFIXES
from benchmark.data.index import Identity, Split, VideoIndex
from benchmark.errors import DatasetNotFoundError

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
