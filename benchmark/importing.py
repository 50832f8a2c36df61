"""Modules that a user names, and what is said of those that cannot be imported."""

import dataclasses
import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType, TracebackType

from benchmark.errors import UserError

ENTRY_POINTS = "clipbench.plugins"
"""Group of the entry points by which packages add to this one."""


@dataclasses.dataclass(frozen=True)
class Declared:
    """An entry point of a package that adds to this one, not imported yet.

    Args:
        name: The entry point's.
        module: Dotted name of the module it names.
        origin: Package and version that declares it.
        entry: To load it by.
    """

    name: str
    module: str
    origin: str
    entry: importlib.metadata.EntryPoint


def declared_plugins() -> list[Declared]:
    """Every plugin that is installed, once, though a package may be there as its working tree and as its wheel."""
    found = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.module
        module = entry.value.partition(":")[0].strip()  # entry.module raises where the value is malformed
        found[origin, entry.name, entry.value] = Declared(entry.name, module, origin, entry)
    return [found[key] for key in sorted(found)]


def left_out(plugin: Declared, error: BaseException) -> str:
    """What is said of a plugin that cannot be imported."""
    return f"clipbench: plugin {plugin.name} of {plugin.origin} is left out: {one_line(error)}"


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
