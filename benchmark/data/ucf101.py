"""UCF-101: 101 classes of human actions, three official folds, five groups of classes (section 4.2)."""

import csv
import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import Split, VideoIndex, require_classes
from benchmark.data.lists import read_lines
from benchmark.errors import DatasetNotFoundError, UserError, not_a_folder
from benchmark.identity import Identity
from benchmark.wording import counted

FOLDS = (1, 2, 3)
LISTS_FOLDER = "ucfTrainTestlist"
VIDEOS_FOLDER = "UCF-101"
SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov")
"""File endings looked for; of a video that is there twice the earlier wins: the original before a transcoded one."""

_LINE = re.compile(r"(?P<folder>[^/\s]+)/(?P<stem>v_\w+_(?P<source>g\d+)_c\d+)\.avi(?:\s+(?P<number>\d+))?")


@dataclasses.dataclass(frozen=True)
class ListedVideo:
    """One line of an official list.

    Args:
        video_id: File name without its ending, "v_Archery_g01_c01".
        class_name: Name of the class, which is also the name of the folder.
        source_group: Class and number of the source video the clip was cut from, "Archery/g01".
    """

    video_id: str
    class_name: str
    source_group: str


def read_classes() -> dict[str, str]:
    """The 101 class names in the official order, each with its group, one of the five kinds of action."""
    with Path(__file__).with_name("ucf101_classes.csv").open(newline="", encoding="utf-8") as lines:
        return {row["name"]: row["group"] for row in csv.DictReader(lines)}


def find_lists(root: Path, lists: Path | None = None) -> Path:
    """The folder with the official lists.

    Args:
        root: Folder of the videos.
        lists: Folder given by the user, or None to look inside and beside `root`.

    Returns:
        A folder that holds trainlist01.txt.

    Raises:
        DatasetNotFoundError: If none does.
    """
    places = [root / LISTS_FOLDER, root.parent / LISTS_FOLDER, root.resolve().parent / LISTS_FOLDER]
    if lists is not None:
        places = [lists, lists / LISTS_FOLDER]
    for place in places:
        if (place / "trainlist01.txt").is_file():
            return place
    searched = ", ".join(dict.fromkeys(str(place) for place in places))
    raise DatasetNotFoundError(
        f"the official lists of UCF-101 (trainlist01.txt and so on) are not in {searched}. Pass their folder as "
        "data.lists, or unpack UCF101TrainTestSplits-RecognitionTask.zip with `clipbench prepare ucf101`."
    )


def read_list(path: Path) -> list[ListedVideo]:
    """The videos of one official list file.

    Args:
        path: trainlistNN.txt, whose lines carry the 1-based class number, or testlistNN.txt, whose lines do not.

    Returns:
        One entry a line, in the order of the file.

    Raises:
        DatasetNotFoundError: If there is no such file.
        UserError: If the file cannot be read, a line is not in the official format, or a video is in it twice.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"{path} is not there; data.lists has to hold the official lists of UCF-101.")
    numbers = {name: number for number, name in enumerate(read_classes(), start=1)}
    listed: dict[str, ListedVideo] = {}
    for row, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None or parts["folder"] not in numbers:
            raise UserError(
                f"line {row} of {path} is {line.strip()[:200]!r}; expected Class/v_Class_gNN_cNN.avi with one of the "
                "101 official classes. Use the official list files."
            )
        name = parts["folder"]
        if parts["number"] is not None and int(parts["number"]) != numbers[name]:
            raise UserError(
                f"line {row} of {path} gives {name} the number {parts['number']}; its official number is "
                f"{numbers[name]}. Use the official list files."
            )
        if parts["stem"] in listed:
            raise UserError(f"line {row} of {path} repeats {parts['stem']}; every video may be in a list once.")
        listed[parts["stem"]] = ListedVideo(parts["stem"], name, f"{name}/{parts['source']}")
    return list(listed.values())


def read_fold(lists: Path, fold: int) -> tuple[list[ListedVideo], list[ListedVideo]]:
    """The training and the test list of one official fold.

    Args:
        lists: Folder of the official lists.
        fold: 1, 2 or 3.

    Returns:
        The training videos, then the test videos.

    Raises:
        UserError: If the fold is none of the three, or a video is in both lists.
    """
    if fold not in FOLDS:
        raise UserError(f"data.fold is {fold}; UCF-101 has the folds 1, 2 and 3. Change data.fold.")
    train = read_list(lists / f"trainlist{fold:02d}.txt")
    test = read_list(lists / f"testlist{fold:02d}.txt")
    both = {video.video_id for video in train} & {video.video_id for video in test}
    if both:
        raise UserError(f"{min(both)} is in the training and the test list of fold {fold} in {lists}.")
    return train, test


def validation_groups(source_groups: Iterable[str], share: float, seed: int) -> set[str]:
    """The source groups held out for validation, class by class, as whole groups.

    The choice depends on the names and the seed alone, so it is the same whichever videos are on the disk.

    Args:
        source_groups: Names like "Archery/g08" of the training list, repeated or not.
        share: Fraction of each class's source groups, 0 <= share < 1; above 0, every class with two source groups or
            more gives at least one, and keeps at least one.
        seed: Another seed holds out other groups.

    Returns:
        The names held out.

    Raises:
        UserError: If the share is out of range.
    """
    if not 0 <= share < 1:
        raise UserError(f"data.validation_share is {share}; it must be at least 0 and less than 1.")
    by_class: dict[str, list[str]] = {}
    for name in dict.fromkeys(source_groups):
        by_class.setdefault(name.partition("/")[0], []).append(name)
    held_out: set[str] = set()
    for names in by_class.values():
        if share == 0 or len(names) < 2:
            continue
        count = min(max(1, round(share * len(names))), len(names) - 1)
        names.sort(key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
        held_out.update(names[:count])
    return held_out


def find_videos(root: Path) -> dict[str, str]:
    """Every video file under the root by its name, whichever of the usual layouts the folder has.

    Args:
        root: Folder with class folders, with the videos themselves, or with the archive's UCF-101 folder.

    Returns:
        Path relative to the root, with forward slashes, by file name without ending in lower case: letters differ in
        case between lists, folders and files (`HandstandPushups/v_HandStandPushups_g01_c01.avi`).

    Raises:
        DatasetNotFoundError: If the root is not a folder.
    """
    if not root.is_dir():
        raise not_a_folder(root)
    found: dict[str, Path] = {}
    for file in _video_files(root):
        known = found.setdefault(file.stem.lower(), file)
        if SUFFIXES.index(file.suffix.lower()) < SUFFIXES.index(known.suffix.lower()):
            found[file.stem.lower()] = file
    return {name: file.relative_to(root).as_posix() for name, file in found.items()}


def _video_files(root: Path) -> Iterator[Path]:
    tops = [root, root / VIDEOS_FOLDER] if (root / VIDEOS_FOLDER).is_dir() else [root]
    for top in tops:
        entries = sorted(top.iterdir())
        for folder in [top, *(entry for entry in entries if entry.is_dir() and entry.name != VIDEOS_FOLDER)]:
            for file in entries if folder == top else sorted(folder.iterdir()):
                if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
                    yield file


def read_ucf101_index(
    root: Path,
    *,
    lists: Path | None = None,
    fold: int = 1,
    classes: Sequence[str] | None = None,
    validation_share: float = 1 / 16,
    split_seed: int = 0,
) -> VideoIndex:
    """The videos of one official fold, of which validation is held out of the training list by source group.

    Args:
        root: Folder of the videos, in class folders or flat, as the original .avi or transcoded under the same name.
        lists: Folder of the official lists; None looks inside and beside `root`.
        fold: Official fold, 1 to 3.
        classes: Names of the classes to keep, or None for all 101; labels are numbered over those kept.
        validation_share: Fraction of each class's training source groups that becomes validation.
        split_seed: Chooses which source groups those are; apart from the training seed.

    Returns:
        One row a listed video of the chosen classes, without a path where the file is not there.

    Raises:
        DatasetNotFoundError: If the folder or the lists are missing, or not one listed video is there.
        UserError: If the fold, a class or the share is not allowed, or a list is malformed.
    """
    files = find_videos(root)
    groups = read_classes()
    names = require_classes(classes, tuple(groups))
    train, test = read_fold(find_lists(root, lists), fold)
    train = [video for video in train if video.class_name in names]
    test = [video for video in test if video.class_name in names]
    held_out = validation_groups((video.source_group for video in train), validation_share, split_seed)
    videos = train + test
    paths = [files.get(video.video_id.lower()) for video in videos]
    if not any(paths):
        raise DatasetNotFoundError(
            f"none of the {counted(len(videos), 'video')} that fold {fold} of "
            f"UCF-101 lists for these classes is under {root}; "
            f"looked there, in its folders and in {root / VIDEOS_FOLDER} for files like Archery/v_Archery_g01_c01.avi "
            "(or .mp4). Pass the folder that holds the class folders as data.root."
        )
    split: list[Split] = ["validation" if video.source_group in held_out else "train" for video in train]
    split += ["test"] * len(test)
    return VideoIndex.from_columns(
        Identity("UCF-101", fold, None if len(names) == len(groups) else names),
        root,
        names,
        video_id=[video.video_id for video in videos],
        path=paths,
        labels=[[names.index(video.class_name)] for video in videos],
        split=split,
        source_group=[video.source_group for video in videos],
        class_groups=[groups[name] for name in names],
        official_videos=len(videos),
    )


class UCF101(VideoDataModule):
    """UCF-101 by its official folds, with validation held out by source group (section 4.2).

    Args:
        root: Folder of the videos, in class folders or flat, as the original .avi or transcoded under the same name.
        lists: Folder of the official lists; None looks inside and beside `root`.
        fold: Official fold, 1 to 3.
        classes: Names of the classes to keep, or None for all 101.
        validation_share: Fraction of each class's training source groups held out for validation; 1/16 is one of 18.
        split_seed: Chooses which source groups those are; apart from `seed`.
        shared: What every data module takes, see `VideoDataModule`.
    """

    def __init__(
        self,
        root: Path,
        *,
        lists: Path | None = None,
        fold: int = 1,
        classes: list[str] | None = None,
        validation_share: float = 1 / 16,
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.videos_root, self.lists, self.fold, self.classes = root, lists, fold, classes
        self.validation_share, self.split_seed = validation_share, split_seed

    def read_index(self) -> VideoIndex:
        """Read one official fold and look for its videos."""
        return read_ucf101_index(
            self.videos_root,
            lists=self.lists,
            fold=self.fold,
            classes=self.classes,
            validation_share=self.validation_share,
            split_seed=self.split_seed,
        )
