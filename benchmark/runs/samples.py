"""Test videos that a user names, where not all are to be tested."""

from pathlib import Path

import numpy as np

from benchmark.data.index import VideoIndex
from benchmark.errors import UserError


def listed_names(path: Path) -> list[str]:
    """The names in a file, one a line.

    Raises:
        UserError: If it cannot be read, or holds none.
    """
    try:
        names = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--sample.list {path} cannot be read ({error}); give a text file") from None
    if not names:
        raise UserError(f"--sample.list {path} names no video; give the names of test videos, one a line")
    return names


def rows_named(names: list[str], index: VideoIndex) -> np.ndarray:
    """(N,) int64: rows of the test videos of these names, ascending.

    Raises:
        UserError: If one of them is none.
    """
    every = index.rows("test")
    held = index.table["video_id"].take(every).to_pylist()
    wanted = set(names)
    if strange := sorted(wanted - set(held)):
        raise UserError(
            f"--sample.list names {', '.join(strange[:3])}, {len(strange)} of {len(wanted)} in all, which are no test "
            f"videos of {index.identity} that are here"
        )
    return every[[name in wanted for name in held]]
