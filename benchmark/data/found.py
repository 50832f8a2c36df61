"""What a search for videos finds: files with their labels, and which names mean a split."""

import dataclasses
import itertools
import logging
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from benchmark.data.index import Split
from benchmark.errors import UserError

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {
        *(".avi", ".mp4", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".wmv", ".flv", ".3gp", ".ogv"),
        *(".ts", ".mts", ".m2ts", ".vob", ".mxf", ".gif"),
    }
)
"""How files that are taken for videos end, in small letters."""

SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
    "predict": ("predict",),
}
"""Folder names and annotation values that mean a split, in any case; `predict` videos need no labels."""


def split_of(name: str) -> Split | None:
    """The split that a name means, also as in `train_256`, `test set` or `val_videos`; None if it means none."""
    stem = re.sub(r"[-_. ]?(\d+|set|data|split|videos)$", "", name.strip().casefold())
    return next((split for split, names in SPLITS.items() if stem in names), None)


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


def is_utf8(path: Path) -> bool:
    """Whether a name can be written down; names of files may be any bytes on Linux."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def leaves_root(path: str) -> bool:
    """Whether a path could lead out of the folder it is relative to, by the rules of POSIX or of Windows."""
    return any(kind.anchor or ".." in kind.parts for kind in (PurePosixPath(path), PureWindowsPath(path)))


def require_distinct(class_names: Iterable[str]) -> None:
    """Refuse classes that look the same, and name those that differ by case alone.

    Raises:
        UserError: If two names are one text in two Unicode forms or with other spaces.
    """
    by_look: dict[str, str] = {}
    by_letters: dict[str, str] = {}
    alike: list[str] = []
    for name in class_names:
        look = " ".join(unicodedata.normalize("NFKC", name).split())
        if look in by_look:
            one, other = ascii(by_look[look]), ascii(name)
            raise UserError(f"the classes {one} and {other} look the same; give both one spelling.")
        by_look[look] = name
        if (letters := look.casefold()) in by_letters:
            alike.append(f"{by_letters[letters]} and {name}")
        by_letters[letters] = name
    if alike:
        log.warning("classes that differ only by capital letters are different classes: %s", ", ".join(alike[:5]))


def name_links(root: Path, videos: Sequence[FoundVideo]) -> None:
    """Say which files are there under several names with other labels or splits, as links make them."""
    names: defaultdict[tuple[int, int], list[FoundVideo]] = defaultdict(list)
    for video in videos:
        try:
            held = (root / video.path).stat()
        except OSError:
            continue
        if held.st_ino:
            names[held.st_dev, held.st_ino].append(video)
    pairs = [
        (one.path, other.path)
        for found in names.values()
        for one, other in itertools.pairwise(found)
        if (one.labels, one.split) != (other.labels, other.split)
    ]
    if pairs:
        listed = ", ".join(f"{one} and {other}" for one, other in pairs[:5])
        log.warning("%d files are there twice, with other labels or in another split: %s", len(pairs), listed)
