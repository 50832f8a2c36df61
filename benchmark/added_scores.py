"""Scores of installed packages, and of the user's own files as `--scores my_file.MY_SCORE`, which every verb takes."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from benchmark.errors import UserError
from benchmark.importing import declared_plugins, import_module, left_out
from benchmark.metrics.descriptors import Score, add_score

_NAMED_SCORES = "CLIPBENCH_SCORES"  # in the environment, so that the processes of a run know them too


def take_scores_of_packages() -> None:
    """Load the scores of every plugin, which needs neither torch nor Lightning unless its module does.

    One that cannot be imported is named on stderr, and the others go on.
    """
    for plugin in declared_plugins():
        try:
            add_scores(importlib.import_module(plugin.module))
        except (Exception, SystemExit) as error:
            print(left_out(plugin, error), file=sys.stderr)


def add_scores(module: ModuleType) -> tuple[Score, ...]:
    """Make the scores of a module known, and return them.

    Raises:
        ValueError: If one has the name of another.
    """
    found = tuple(value for value in vars(module).values() if isinstance(value, Score))
    for score in found:
        add_score(score)
    return found


def take_scores(argv: Sequence[str]) -> list[str]:
    """Load the scores that `--scores my_file.MY_SCORE` names, which any verb takes; returns the other words.

    Several are separated by commas, and a file without a name is all of its scores.

    Raises:
        UserError: If there is no such score, or one has the name of another.
    """
    rest, named = [], [path for path in os.environ.get(_NAMED_SCORES, "").split(",") if path]
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if option != "--scores":
            rest.append(word)
            continue
        given = value if equals else next(words, "")
        if not given or given.startswith("-"):
            raise UserError("--scores names no score; give a file and what is in it: --scores my_file.MY_SCORE")
        named += [path.strip() for path in given.split(",")]
    for path in dict.fromkeys(named):
        _load_score(path)
    if named:
        os.environ[_NAMED_SCORES] = ",".join(dict.fromkeys(named))
    return rest


def _load_score(path: str) -> None:
    module_name, _, name = path.rpartition(".")
    try:
        whole = importlib.util.find_spec(path) is not None
    except (ImportError, ValueError):
        whole = False
    module = import_module(path if whole else module_name or path, path)
    held = {key: value for key, value in vars(module).items() if isinstance(value, Score)}
    chosen = held if whole else {key: value for key, value in held.items() if key == name}
    if not chosen:
        there = f"it has {', '.join(held)}" if held else "it has no benchmark.metrics.Score"
        raise UserError(f"--scores {path}: {module.__file__} has no score of that name; {there}")
    try:
        for score in chosen.values():
            add_score(score)
    except ValueError as error:
        raise UserError(f"--scores {path}: {error}") from error
