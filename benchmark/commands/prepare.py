"""Unpacks, fetches, generates and checks the datasets, and says what is missing and what is broken."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmark.class_options import options_of
from benchmark.command_line import Parser
from benchmark.commands import prepare_sports1m
from benchmark.commands.archive import find_rar_tools, unpack
from benchmark.commands.download import fetch
from benchmark.data.broken import find_broken
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import Split, VideoIndex
from benchmark.data.sports1m import describe_shares, read_sports1m_index
from benchmark.data.synthetic import read_synthetic_index
from benchmark.data.ucf101 import FOLDS, SUFFIXES, find_lists, read_fold, read_ucf101_index
from benchmark.errors import DatasetNotFoundError, UserError
from benchmark.wording import counted

UCF101_LISTS_URL = "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip"
UCF101_VIDEOS_URL = "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar"

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_MOST_OPENED = 50_000
_SHOWN = 10
_NAMES_SHOWN = 3


def ucf101(root: Path, lists: Path | None = None, archives: list[Path] | None = None, download: bool = False) -> int:
    """Unpack UCF-101's archives if asked to, then check the videos against the official lists.

    Args:
        root: Folder of the videos.
        lists: Folder of the official lists; by default looked for inside and beside the root.
        archives: Official archives to unpack into the root.
        download: Whether to fetch from the official site what is not there.

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
        print(_own(error))
        return 1
    print(index.summary())
    complete = _print_missing(index)
    if 0 < len(complete) < len(index.class_names):
        print(f"to run on the complete classes alone: --data.classes=[{','.join(complete)}]")
    broken = _print_broken(index)
    held = set(index.table["video_id"].to_pylist()) - set(index.missing()) - set(broken)
    usable = False
    for fold in FOLDS:
        train, test = (
            sum(video.video_id in held for video in listed) for listed in read_fold(find_lists(root, lists), fold)
        )
        print(f"fold {fold}: {train:,} usable videos for training and validation, {test:,} for testing")
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
        print(_own(error))
        return 1
    print(describe_shares(index))
    several = pc.sum(pc.greater(pc.list_value_length(index.table["labels"]), 1)).as_py()
    print(
        f"{counted(several, 'video')} ({several / len(index):.2%}) {'has' if several == 1 else 'have'} several labels"
    )
    print(index.summary())
    _print_missing(index)
    broken = _print_broken(index)
    videos = index.table["video_id"]
    usable = {}
    for split in _SPLITS:
        usable[split] = len(set(videos.take(pa.array(index.rows(split))).to_pylist()) - set(broken))
        print(f"{split}: {usable[split]:,} usable videos")
    if not usable["train"] or not usable["test"]:
        print(f"there are not videos for both training and testing under {root}; the lists say where to fetch them")
        return 1
    return 0


def synthetic(root: Path | None = None) -> int:
    """Generate the embedded dataset where it is not there yet, and check it.

    Args:
        root: Folder that holds generated sets; by default the user's cache folder.

    Returns:
        0 if every video is there and can be opened, else 1.

    Raises:
        UserError: If the folder cannot be written.
    """
    index = read_synthetic_index(root)
    print(f"{index.root}\n{index.summary()}")
    broken = _print_broken(index)
    if broken or index.missing():
        print(f"the set is damaged; delete {index.root} and run this again")
        return 1
    return 0


def main(argv: Sequence[str]) -> int:
    """Run `prepare DATASET [options]` and return the exit code."""
    parser = Parser(prog="clipbench prepare", description="Unpack, fetch, generate and check a dataset.")
    datasets: dict[str, Callable[..., int]] = {
        "ucf101": ucf101,
        "sports1m": prepare_sports1m.run,
        "synthetic": synthetic,
    }
    choices = parser.add_subcommands(dest="dataset")
    for name, function in datasets.items():
        options = Parser(description=str(function.__doc__).partition("\n")[0])
        options.add_function_arguments(
            function, as_group=False, skip={"archives", "download", "check", "made", "fetch"}
        )
        if function is prepare_sports1m.run:
            for group in prepare_sports1m.GROUPS:
                options.add_class_arguments(group)
        if function is ucf101:
            options.add_argument(
                "--archives",
                type=Path,
                nargs="+",
                metavar="FILE",
                help="Official archives to unpack into the root: UCF101TrainTestSplits-RecognitionTask.zip with the "
                "lists, UCF101.rar with the videos.",
            )
            options.add_argument(
                "--download",
                action="store_true",
                help="Fetch from the official site what is not there: the lists, and the videos (7 GB) if one lacks.",
            )
        choices.add_subcommand(name, options, help=options.description)
    chosen = parser.parse_args(list(argv))
    given = chosen[chosen.dataset].as_dict()
    if chosen.dataset == "sports1m":
        given = {**prepare_sports1m.grouped(given), "check": sports1m}
    try:
        return datasets[chosen.dataset](**given)
    except DatasetNotFoundError as error:
        raise DatasetNotFoundError(_own(error)) from None


def _own(error: UserError) -> str:
    """A message about data, with the options of this verb in place of a fit's."""
    names = "|".join(sorted({*options_of(VideoDataModule), "root", "lists"}))
    return re.sub(rf"(?<![\w./-])data\.({names})\b", r"--\1", str(error))


def _fetch_ucf101(root: Path, lists: Path | None) -> None:
    root.mkdir(parents=True, exist_ok=True)
    try:
        find_lists(root, lists)
    except DatasetNotFoundError:
        unpack(fetch(UCF101_LISTS_URL, root), root, suffixes=(".txt",))
    try:
        complete = not read_ucf101_index(root, lists=lists).missing()
    except DatasetNotFoundError:
        complete = False
    if not complete:
        find_rar_tools(Path(UCF101_VIDEOS_URL))  # before 7 GB are fetched that could not be unpacked
        archive = fetch(UCF101_VIDEOS_URL, root)
        unpack(archive, root, suffixes=SUFFIXES)
        print(f"{archive} is unpacked and may be deleted")


def _print_missing(index: VideoIndex) -> list[str]:
    labels = index.table["labels"].combine_chunks()
    rows = pc.list_parent_indices(labels).to_numpy()
    classes = labels.flatten().to_numpy()
    lacks = pc.is_null(index.table["path"]).to_numpy()[rows]
    total = np.bincount(classes, minlength=len(index.class_names))
    missing = np.bincount(classes[lacks], minlength=len(index.class_names))
    names = np.array(index.class_names)
    complete = names[(missing == 0) & (total > 0)]
    print(f"complete: {_names(complete)}")
    print(f"wholly missing: {_names(names[(missing == total) & (total > 0)])}")
    partly = np.flatnonzero((missing > 0) & (missing < total))
    print(f"partly missing: {counted(len(partly), 'class')}")
    for number in sorted(partly, key=lambda number: -missing[number])[:_SHOWN]:
        first = index.table["video_id"].take(pa.array(rows[lacks & (classes == number)][:_NAMES_SHOWN])).to_pylist()
        more = ", ..." if missing[number] > len(first) else ""
        print(f"  {names[number]} lacks {missing[number]:,} of {total[number]:,}: {', '.join(first)}{more}")
    if len(partly) > _SHOWN:
        print(f"  and {counted(len(partly) - _SHOWN, 'other class')}")
    return [str(name) for name in complete]


def _names(names: np.ndarray) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return counted(len(names), "class") + (f": {', '.join(names[:_SHOWN])}{more}" if len(names) else "")


def _print_broken(index: VideoIndex) -> dict[str, str]:
    broken = find_broken(index, "pyav", _MOST_OPENED)
    if broken is None:
        print(f"broken: not looked for, as more than {_MOST_OPENED:,} videos are held")
        return {}
    print(f"broken: {counted(len(broken), 'video')} cannot be opened")
    for video_id, reason in list(broken.items())[:_SHOWN]:
        print(f"  {video_id}: {reason}")
    if len(broken) > _SHOWN:
        print(f"  and {counted(len(broken) - _SHOWN, 'other video')}")
    return broken
