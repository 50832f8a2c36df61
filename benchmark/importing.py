"""Modules that a user names, and what is said of those that cannot be imported."""

import importlib
from pathlib import Path
from types import ModuleType, TracebackType

from benchmark.errors import UserError

ENTRY_POINTS = "clipbench.plugins"
"""Group of the entry points by which packages add to this one."""


def import_module(name: str, path: str) -> ModuleType:
    """A module that the user names, as in `my_file` of `my_file.MyModel`.

    Raises:
        UserError: If it is not there or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        if missing:
            where = f"no module {name} in {Path.cwd()} or among the installed packages"
            raise UserError(f"{path}: there is {where}; name a file of the current folder without .py") from None
        raise UserError(f"{path}: {name} cannot be imported: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """Kind and text of an error, and the place outside of Python's own import machinery that raised it."""
    text = " ".join(str(error).split())
    frame: TracebackType | None = error.__traceback__
    place = ""
    while frame is not None:
        code = frame.tb_frame.f_code
        if "importlib" not in code.co_filename and code.co_filename != __file__:
            place = f" ({code.co_filename}, line {frame.tb_lineno})"
        frame = frame.tb_next
    shown = f"{type(error).__name__}{f': {text}' if text else ''}{place}"
    return "".join(sign if sign.isprintable() else "?" for sign in shown)
