"""The suite's own verbs, imported when they are called: one file each, whose `main(argv)` returns the exit code."""

import importlib
from types import ModuleType


def command(name: str) -> ModuleType:
    """The module of a verb."""
    return importlib.import_module(f"benchmark.commands.{name}")
