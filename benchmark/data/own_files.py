"""Folders that a user shares with nobody, in places where other users of the machine may write as well."""

import contextlib
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
        with contextlib.suppress(FileExistsError):  # also of a file or a link, which the next line tells apart
            folder.mkdir(mode=0o700)
        held = folder.lstat()
    except OSError as error:
        said = f"the folder {folder} cannot be made: {error.strerror}; change data.cache_dir, or use data.cache=off"
        raise UserError(said) from error
    if not stat.S_ISDIR(held.st_mode) or held.st_uid != os.geteuid() or held.st_mode & 0o077:
        raise UserError(
            f"{folder} is not a folder that you alone may enter ({_what(held)}), so others could change what is kept "
            "in it; remove it, or change data.cache or data.cache_dir"
        )
    return folder


def _what(held: os.stat_result) -> str:
    return f"{stat.filemode(held.st_mode)}, {held.st_nlink} names, owned by user {held.st_uid}"
