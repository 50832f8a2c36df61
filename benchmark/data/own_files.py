"""Files that a user shares with nobody, in places where other users of the machine may write as well."""

import os
import stat
from pathlib import Path

from benchmark.errors import UserError


def private_folder(folder: Path) -> Path:
    """Make a folder that its owner alone may enter, or see that one that is there is such.

    Raises:
        UserError: If it cannot be made, is a link, belongs to someone else, or others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        held = folder.lstat()
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made: {error.strerror}; use data.cache=disk or off") from error
    if not stat.S_ISDIR(held.st_mode) or held.st_uid != os.geteuid() or held.st_mode & 0o077:
        raise UserError(
            f"{folder} is not a folder that you alone may enter ({_what(held)}), so others could change what is kept "
            "in it; remove it, or use data.cache=disk"
        )
    return folder


def open_own(path: Path, *, make: bool) -> int:
    """Open a file of one's own for reading and writing, by no link and under no second name; returns its number.

    Raises:
        OSError: If that cannot be, or it is anything else.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, flags | (os.O_CREAT if make else 0), 0o600)
    held = os.fstat(file)
    if not stat.S_ISREG(held.st_mode) or held.st_uid != os.geteuid() or held.st_nlink > 1 or held.st_mode & 0o022:
        os.close(file)
        raise PermissionError(0, f"it is not a file that you alone may write to ({_what(held)})")
    return file


def _what(held: os.stat_result) -> str:
    return f"{stat.filemode(held.st_mode)}, {held.st_nlink} names, owned by user {held.st_uid}"
