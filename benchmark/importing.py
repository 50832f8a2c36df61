"""Modules that a user names, what is said of those that cannot be imported, and names that a stranger's file holds."""

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import yaml

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


def foreign_code(value: Any, *, or_imported: bool = False) -> Iterator[str]:
    """Names in a stranger's options, at any depth, by which something outside this package would be imported.

    Wherever an option takes a class or a function, a text of that form is imported before anything else is looked at.

    Args:
        value: Dictionaries, lists and texts; a text may be YAML for more of them, as the parser would read it.
        or_imported: Whether a class or function is no such name where this process has it already, from a module that
            is not Python's own.
    """
    waiting, met = [value], dict[int, Any]()
    while waiting:
        part = waiting.pop()
        if id(part) in met:  # as an alias is in many places
            continue
        met[id(part)] = part  # alive, so that its id is its own
        if isinstance(part, str):
            names = part.split(".")
            if len(names) > 1 and all(name.isidentifier() for name in names):
                if not (_is_own(names) or (or_imported and _is_imported(names))):
                    yield part
                continue
        try:
            waiting += _parts(part)
        except RecursionError:
            yield f"{str(part)[:60]}..."


def _parts(value: Any) -> list[Any]:
    """What a value of options holds; of a text in YAML what it says, if that is more than the text."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return [*value]
    if isinstance(value, yaml.CollectionNode):
        return [*value.value]
    if isinstance(value, yaml.ScalarNode):
        return [value.value]
    if isinstance(value, str):
        try:
            node = yaml.compose(value, yaml.SafeLoader)
        except yaml.YAMLError:
            return []
        return [] if node is None or node.value == value else [node]
    return []


def _is_own(names: list[str]) -> bool:
    """Whether it is a class of this package, or a name of which there is no module, as that of a file."""
    if names[0] != "benchmark":
        try:
            return importlib.util.find_spec(names[0]) is None
        except ValueError:  # of a module that was made and not found, as `__main__`
            return False
    try:  # only of this package, whose modules are found by their own names, not by what they have imported
        found = getattr(importlib.import_module(".".join(names[:-1])), names[-1], None)
    except ImportError:
        return False
    return isinstance(found, type) and found.__module__.partition(".")[0] == "benchmark"


def _is_imported(names: list[str]) -> bool:
    """Whether a module that was imported holds a class or function of this name, and not one of Python's own."""
    module = sys.modules.get(".".join(names[:-1]))
    found = None if module is None else vars(module).get(names[-1])
    origin = str(getattr(found, "__module__", None) or names[0]).partition(".")[0]
    return callable(found) and not {names[0], origin} & sys.stdlib_module_names


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
