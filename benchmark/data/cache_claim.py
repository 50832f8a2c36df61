"""Who uses the folder of a cache, so that none is removed under a run."""

import os
import shutil
from pathlib import Path

from benchmark.data.own_files import private_folder

try:
    import fcntl
except ImportError:  # Windows, where `open_cache` makes none
    fcntl = None  # type: ignore[assignment]

_IN_USE = "in-use"


def claim(path: Path) -> int:
    """Make a store's folder and say that it is used, until the file whose number is returned is closed.

    Raises:
        OSError: If that cannot be done.
        UserError: If the folder is somebody else's.
    """
    while True:
        marker = private_folder(path) / _IN_USE
        try:
            file = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the folder was removed in between
            continue
        fcntl.flock(file, fcntl.LOCK_SH)
        if marker.exists() and os.path.samestat(os.fstat(file), marker.stat()):
            return file
        os.close(file)  # it was removed while this process waited


def remove_unused(path: Path) -> bool:
    """Remove a store that no process uses; says whether it did."""
    try:
        if not path.is_dir():  # of an earlier version
            path.unlink(missing_ok=True)
            return True
        file = os.open(path / _IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    except OSError:
        return False
    finally:
        os.close(file)
    return True
