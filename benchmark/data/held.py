"""What is held of the videos that a folder or a table names: links, spellings, a single class, an empty split."""

import logging
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.data.found import FoundVideo, listed
from benchmark.data.index import Split
from benchmark.data.splits import SHARES
from benchmark.wording import counted

log = logging.getLogger(__name__)


def file_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from others, whatever it is called; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def spelt(otherwise: Mapping[str, str]) -> str:
    """Where files were found that a table spells otherwise; empty if there are none."""
    pairs = listed([f"{name!a} is {path!a}" for name, path in otherwise.items()])
    return f" Other capitals, spaces, slashes or Unicode form: {pairs}." if otherwise else ""


def name_linked(
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
            count = counted(len(linked), "file is", "files are")
            log.warning("%s held %s by links; keep one name of each: %s", count, how, names)


def name_one_class(class_names: Sequence[str], splits: Sequence[Split]) -> None:
    """Say where training has nothing to tell apart: all videos are of one class."""
    if "train" in splits and len(class_names) == 1:
        log.warning("all videos are of one class, %s; a model has nothing to tell apart", class_names[0])


def name_empty(splits: Sequence[Split]) -> None:
    """Say which split stays empty where the hash decides: it needs a class of three videos that are not joined."""
    empty = [split for split in SHARES if split not in splits]
    if empty and len(empty) < len(SHARES):
        log.warning(
            "no video is in the %s split: no class has three videos, those of one source group or that look the same "
            "counting as one. Add videos, change data.source_group, or say which split each video belongs to by "
            "folders train, validation and test or a column split of data.annotations",
            " or ".join(empty),
        )
