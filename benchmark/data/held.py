"""What is held of the videos that a folder or a table names: links, spellings, classes without training."""

import logging
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmark.data.found import FoundVideo, listed
from benchmark.data.index import Split

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
            log.warning("%d files are held %s by links; keep one name of each: %s", len(linked), how, names)


def name_untrained(class_names: Sequence[str], videos: Iterable[FoundVideo], splits: Sequence[Split]) -> None:
    """Say where training cannot teach what is tested: one class alone, or classes without a training video."""
    if "train" not in splits:  # a set to test on
        return
    if len(class_names) == 1:
        log.warning("all videos are of one class, %s; a model has nothing to tell apart", class_names[0])
    seen = {label for video, split in zip(videos, splits, strict=True) if split == "train" for label in video.labels}
    if untrained := [name for name in class_names if name not in seen]:
        log.warning("%d classes have no training video: %s", len(untrained), listed(untrained))
