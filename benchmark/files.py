"""Files that are there whole or not at all, and what their bytes are."""

import contextlib
import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".new"
"""Ends the name of a file or folder that is still being written."""


@contextlib.contextmanager
def whole(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """A name beside `path` to write to; what was written takes its place at the end, and goes if anything fails.

    Args:
        path: The file.
        shared: Whether other processes may write it at the same time. Where none does, what a killed process left
            unfinished is written over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f".{uuid.uuid4().hex[:8]}" if shared else ""
    unfinished = path.with_name(f"{path.name}{own}{UNFINISHED}")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str, *, shared: bool = False) -> None:
    """Write a text as UTF-8, whole or not at all; the same bytes on every system."""
    with whole(path, shared=shared) as unfinished:
        unfinished.write_text(text, "utf-8", newline="\n")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
