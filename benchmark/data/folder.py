"""Anybody's videos: one folder a class, or an annotation file that says which labels each file has."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from benchmark.data.annotations import column_names, read_annotations
from benchmark.data.class_folders import scan_folder
from benchmark.data.content_store import MOST_VIDEOS
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.found import SUFFIXES, FoundVideo
from benchmark.data.held import file_of, name_empty, name_linked, name_one_class, spelt
from benchmark.data.index import VideoIndex
from benchmark.data.spelling import found_otherwise, require_distinct
from benchmark.data.splits import alike, compiled, source_group_of, split_by_hash
from benchmark.errors import DatasetNotFoundError, UserError, not_a_folder
from benchmark.identity import Identity
from benchmark.wording import counted

log = logging.getLogger(__name__)


def read_folder_index(
    root: Path,
    *,
    annotations: Path | None = None,
    name: str | None = None,
    split_seed: int = 0,
    source_group: str | None = None,
) -> VideoIndex:
    """The videos of a folder or of an annotation file.

    Args:
        root: Folder of the videos.
        annotations: CSV or Parquet file, see `read_annotations`; None reads class folders, see `scan_folder`.
        name: Name of the dataset in results; None takes the folder's.
        split_seed: Chooses the split of videos that were given none; apart from the training seed.
        source_group: What tells the source of a video: a column of the annotations, or a regular expression on the
            path, whose groups name it within the class.

    Returns:
        One row a video; with annotations, without a path where the file is not there.

    Raises:
        DatasetNotFoundError: If a folder or file is missing, or no video is there.
        UserError: If the annotations are malformed, no path has the source group asked for, or two classes or source
            groups differ only in how they are written.
    """
    if not root.is_dir():
        raise not_a_folder(root)
    videos = scan_folder(root) if annotations is None else read_annotations(annotations, source_group)
    if source_group is not None and not (annotations is not None and source_group in column_names(annotations)):
        videos = _grouped(videos, source_group)
    files = {video.path: file_of(root / video.path) for video in videos}
    missing = [path for path, file in files.items() if file is None]
    otherwise = found_otherwise(root, missing)
    if len(missing) == len(videos):
        raise DatasetNotFoundError(
            f"no video ({', '.join(sorted(SUFFIXES))}) is in a class folder under {root}: expected "
            "root/CLASS/video.mp4 or root/SPLIT/CLASS/video.mp4. Change data.root, or "
            "describe the files with data.annotations."
            if annotations is None
            else f"none of the {counted(len(videos), 'file')} that {annotations} "
            f"names is under {root}. Change data.root."
            f"{spelt(otherwise)}"
        )
    videos, split_by = _with_splits(root, videos, split_seed)
    class_names = sorted({label for video in videos for label in video.labels})
    numbers = {label: number for number, label in enumerate(class_names)}
    require_distinct(class_names, "classes")
    require_distinct(sorted({video.source_group for video in videos if video.source_group}), "source groups")
    splits = [video.split or "train" for video in videos]
    if otherwise:
        count = counted(len(otherwise), "video counts as missing, but is", "videos count as missing, but are")
        log.warning("%s there.%s", count, spelt(otherwise))
    name_linked(videos, splits, files)
    name_one_class(class_names, splits)
    if split_by:
        name_empty(splits)
    return VideoIndex.from_columns(
        Identity(name or root.resolve().name),
        root,
        class_names,
        video_id=[video.path for video in videos],
        path=[None if files[video.path] is None else video.path for video in videos],
        labels=[[numbers[label] for label in video.labels] for video in videos],
        split=splits,
        source_group=[video.source_group for video in videos],
        split_by=split_by,
    )


def _grouped(videos: list[FoundVideo], pattern: str) -> list[FoundVideo]:
    """The videos with the source groups that a pattern finds in their paths."""
    found = compiled(pattern)
    groups = [source_group_of(video, found) for video in videos]
    if videos and not any(groups):
        raise UserError(
            f"data.source_group is {pattern!r}, which is in none of "
            f"{counted(len(videos), 'path')}, such as {videos[0].path}, "
            "and is no column of data.annotations. Change it, or leave it out."
        )
    return [dataclasses.replace(video, source_group=group) for video, group in zip(videos, groups, strict=True)]


def _with_splits(root: Path, videos: list[FoundVideo], seed: int) -> tuple[list[FoundVideo], str]:
    """The videos, each with a split, and how those without one got theirs, in words."""
    open_rows = [row for row, video in enumerate(videos) if video.split is None]
    if not open_rows:
        return videos, ""
    chosen = [videos[row] for row in open_rows]
    pairs = alike(root, chosen)
    splits, joined = split_by_hash(chosen, pairs or (), seed)
    found = list(videos)
    for row, split in zip(open_rows, splits, strict=True):
        found[row] = dataclasses.replace(videos[row], split=split)
    groups = {video.source_group for video in chosen} - {None}
    alone = sum(video.source_group is None for video in chosen)
    how = [
        f"split by hash and class, {counted(len(groups), 'source group')} each on one side" if groups
        else "split by hash and class, without source groups (data.source_group)",
        *([f"{counted(alone, 'video')} in no group"] if groups and alone else []),
        f"near-duplicates not looked for in more than {MOST_VIDEOS:,} videos" if pairs is None
        else f"near-duplicates kept together ({joined:,} joined)",
    ]  # fmt: skip
    return found, ", ".join(how)


class VideoFolder(VideoDataModule):
    """Any labelled videos: one folder a class, split by folders or by hash, or described by an annotation file.

    Args:
        root: Folder of the videos: `CLASS/video.mp4`, `train/CLASS/video.mp4` or `CLASS/train/video.mp4` and so on;
            videos without a split go 70% to train, 10% to validation and 20% to test by a hash of their path. What has
            one source group or looks the same stays on one side, and a class of three or more is in every split.
        annotations: CSV or Parquet file with the columns path, labels, and if wanted split and source_group; None
            takes the class from the folder.
        name: Name of the dataset in results; None takes the folder's.
        split_seed: Chooses the split of videos that were given none; apart from `seed`.
        source_group: What tells the source of a video: a column of the annotations, or a regular expression on the
            path such as `_(g[0-9]+)_`, whose groups name the source within the class.
        shared: What every data module takes, see `VideoDataModule`.
    """

    def __init__(
        self,
        root: Path,
        *,
        annotations: Path | None = None,
        name: str | None = None,
        split_seed: int = 0,
        source_group: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.videos_root, self.annotations, self.dataset_name, self.split_seed = root, annotations, name, split_seed
        self.source_group = source_group

    def read_index(self) -> VideoIndex:
        """Find the videos in the folder or the annotation file."""
        return read_folder_index(
            self.videos_root,
            annotations=self.annotations,
            name=self.dataset_name,
            split_seed=self.split_seed,
            source_group=self.source_group,
        )
