"""What a search for videos finds: files with their labels, and which names mean a split."""

import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from benchmark.data.index import Split
from benchmark.errors import printable

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


def can_be_written(name: Path | str) -> bool:
    """Whether a name can be written down and shown: in UTF-8, without signs that a terminal obeys, as Linux allows."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return not any(unicodedata.category(sign) == "Cc" for sign in str(name))


def leaves_root(path: str) -> bool:
    """Whether a path could lead out of the folder it is relative to, by the rules of POSIX or of Windows."""
    return any(kind.anchor or ".." in kind.parts for kind in (PurePosixPath(path), PureWindowsPath(path)))


_NAMED = 5  # names that a message lists


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + more
