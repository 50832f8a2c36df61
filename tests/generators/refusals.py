"""What comes of reading a file that may be anything."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmark.errors import UserError

Found = TypeVar("Found")


def tried(read: Callable[[Path], Found], path: Path) -> tuple[Found | None, str]:
    """What a reader gives and an empty text, or nothing and the message by which it refuses the file."""
    try:
        return read(path), ""
    except UserError as error:
        return None, str(error) or "no message"
