"""Folders for what is on its way into a store; those that killed processes left go before the next one is made."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _LOCK = "clipbench-shard-", "lock"
_YOUNG_S = 60.0  # in which a folder that was just made may not be locked yet


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder of this process, gone at the end; one that is killed leaves it to the next one on its machine."""
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder, FileLock(Path(folder) / _LOCK):
        yield Path(folder)


def _sweep(within: Path) -> None:
    """Remove the folders whose lock nobody holds: a lock goes with its process, whatever ends that."""
    for folder in within.glob(f"{_PREFIX}*"):
        # Of another user, or swept by another process at the same time.
        with contextlib.suppress(OSError, Timeout):
            if time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue
            with FileLock(folder / _LOCK, timeout=0):
                for file in folder.iterdir():
                    if file.name != _LOCK:
                        file.unlink()
            shutil.rmtree(folder)
