"""Classes below another one, and their options: parameters of constructors, and of the settings among them."""

import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from benchmark.wording import counted

Base = TypeVar("Base")

_FIXED = frozenset({"self", "args", "kwargs", "num_classes"})  # not a user's to give


def options_of(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """The options of a class by name; empty where nothing is known."""
    if dataclasses.is_dataclass(cls):
        return {name: each for name, each in inspect.signature(cls).parameters.items() if name not in _FIXED}
    found: dict[str, inspect.Parameter] = {}
    for parent in cls.__mro__:
        for parameter in inspect.signature(vars(parent).get("__init__", object.__init__)).parameters.values():
            if parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
                found.setdefault(parameter.name, parameter)
    return {name: found[name] for name in sorted(found) if name not in _FIXED}


def settings_of(cls: type[Any], name: str) -> type[Any] | None:
    """The dataclass of an option that has options itself, as `recipe` of a model; None for any other."""
    parameter = options_of(cls).get(name)
    kind = parameter.annotation if parameter is not None else None
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return kind
    default = type(parameter.default) if parameter is not None else None
    return default if default is not None and dataclasses.is_dataclass(default) else None


def empty_options(cls: type[Any], given: Mapping[str, Any]) -> list[str]:
    """Options that were given null and take none."""
    options = options_of(cls)
    return [
        name for name, value in given.items() if value is None and name in options and not _takes_none(options[name])
    ]


def _takes_none(parameter: inspect.Parameter) -> bool:
    kind = parameter.annotation
    if parameter.default is None or isinstance(kind, str) or kind in {parameter.empty, Any, None}:
        return True
    parts = typing.get_args(kind) if typing.get_origin(kind) in {typing.Union, types.UnionType} else (kind,)
    return types.NoneType in parts or Any in parts or any(isinstance(part, typing.TypeVar) for part in parts)


def subclasses(base: type[Base]) -> list[type[Base]]:
    """Classes below a class as far as they were imported, once each, nearer ones and those made earlier first."""
    found: dict[type[Base], None] = {}
    below = [base]
    while below:
        # Of `type` and what derives from it the method would be one of its instances'.
        below = [cls for parent in below for cls in type.__subclasses__(parent) if cls not in found]
        found.update(dict.fromkeys(below))
    return list(found)


_MOST_NAMES, _FEW_NAMES = 16, 6


def nearest_names(name: str, known: list[str]) -> str:
    """Known names in one line; of many, those most alike to the one that was given."""
    if len(known) <= _MOST_NAMES:
        return ", ".join(known) or "none"
    near = difflib.get_close_matches(name, known, _FEW_NAMES, 0.3) or known[:_FEW_NAMES]
    return f"{', '.join(near)} and {counted(len(known) - len(near), 'other')}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant: one that it begins, or the most alike, also of their beginnings."""
    names = list(known)
    begun = [each for each in names if each.startswith(name)]
    if len(begun) == 1 and len(name) > 2:
        return begun[0]
    if alike := difflib.get_close_matches(name, names, 1):
        return alike[0]
    if len(name) < 3:
        return None
    beginnings = {each[: len(name)].casefold(): each for each in reversed(names)}
    alike = difflib.get_close_matches(name.casefold(), beginnings, 1, 0.7)
    return beginnings[alike[0]] if alike else None
