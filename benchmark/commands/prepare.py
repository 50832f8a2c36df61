"""Unpacks, fetches, generates and checks the datasets, and says what is missing and what is broken."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from benchmark.commands.archive import unpack
from benchmark.commands.download import fetch
from benchmark.data.dataset import find_broken
from benchmark.data.index import VideoIndex
from benchmark.data.sports1m import describe_shares, read_sports1m_index
from benchmark.data.ucf101 import FOLDS, SUFFIXES, find_lists, read_fold, read_ucf101_index
from benchmark.errors import DatasetNotFoundError

UCF101_LISTS_URL = "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip"
UCF101_VIDEOS_URL = "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar"

_MOST_OPENED = 50_000
_NAMES_SHOWN = 3
_CLASSES_SHOWN = 10


def ucf101(
    root: Path, lists: Path | None = None, archives: list[Path] | None = None, download: bool = False
) -> int:
    """Unpack UCF-101's archives if asked to, then check the videos against the official lists.

    Args:
        root: Folder of the videos.
        lists: Folder of the official lists; by default looked for inside and beside the root.
        archives: Official archives to unpack into the root: UCF101TrainTestSplits-RecognitionTask.zip with the lists,
            UCF101.rar with the videos.
        download: Fetch from the official site what is not there: the lists, and the videos (7 GB) if one is missing.

    Returns:
        0 if there are videos to train and to test on, else 1.

    Raises:
        UserError: If an archive cannot be unpacked or a list is malformed.
    """
    for archive in archives or []:
        print(f"{archive}: {unpack(archive, root, suffixes=('.txt', *SUFFIXES)):,} files unpacked into {root}")
    if download:
        _fetch_ucf101(root, lists)
    try:
        index = read_ucf101_index(root, lists=lists, validation_share=0)
    except DatasetNotFoundError as error:
        print(error)
        return 1
    print(index.summary())
    _print_missing(index)
    broken = _print_broken(index)
    held = {video for video, path in zip(*_columns(index, "video_id", "path"), strict=True) if path} - set(broken)
    usable = False
    for fold in FOLDS:
        train, test = ([video for video in part if video.video_id in held] for part in read_fold(find_lists(root, lists), fold))
        print(f"fold {fold}: {len(train):,} usable videos for training and validation, {len(test):,} for testing")
        usable |= bool(train and test)
    if not usable:
        print("no fold has videos for both training and testing; nothing can be run on this folder")
    return 0 if usable else 1


def sports1m(root: Path, lists: Path | None = None) -> int:
    """Check the videos held against the official lists of Sports-1M.

    Args:
        root: Folder of the videos, flat or in folders named after the first two letters of the id.
        lists: Folder of the official lists and labels.txt; by default the root.

    Returns:
        0 if there are videos to train and to test on, else 1.

    Raises:
        UserError: If a list is malformed.
    """
    try:
        index = read_sports1m_index(root, lists=lists)
    except DatasetNotFoundError as error:
        print(error)
        return 1
    print(describe_shares(index))
    several = pc.sum(pc.greater(pc.list_value_length(index.table["labels"]), 1)).as_py()
    print(f"{several:,} videos ({several / len(index):.2%}) have several labels")
    print(index.summary())
    _print_missing(index)
    broken = _print_broken(index)
    counts = {}
    for split in ("train", "validation", "test"):
        rows = pc.take(index.table["video_id"], index.rows(split))
        counts[split] = len(set(rows.to_pylist()) - set(broken))
        print(f"{split}: {counts[split]:,} usable videos")
    if not counts["train"] or not counts["test"]:
        print(f"no videos for both training and testing are under {root}; the lists name the addresses to fetch")
        return 1
    return 0
