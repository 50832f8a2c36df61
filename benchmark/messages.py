"""Errors that a user can cause, in the words of one message."""

import itertools
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from jsonargparse import ArgumentError

from benchmark.errors import UserError
from benchmark.shipped import configuration_file

# How jsonargparse wraps what is wrong with one option of a class.
_NESTED = re.compile(
    r"Parser key \"(?P<part>\w+)\":.*?Problem with given class_path '[^']+':\s+"
    r"(?:Parser key \"(?P<option>[^\"]+)\":\s+(?P<expected>Expected [^\n]+?)\. Got value: (?P<value>[^\n]*))",
    re.DOTALL,
)
_TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}


def for_the_user(error: BaseException | None, words: Sequence[str] = ()) -> str | None:
    """What the user can mend, if the error is or comes from such; jsonargparse wraps errors of constructors.

    Args:
        error: What ended the command.
        words: Of the command line.
    """
    outermost = error
    while error is not None:
        if isinstance(error, UserError):
            return str(error)
        error = error.__cause__ or error.__context__
    if isinstance(outermost, ArgumentError):
        return _of_arguments(str(outermost), words)
    lightning = sys.modules.get("lightning.fabric.utilities.exceptions")  # not there, it has raised nothing
    is_options = lightning is not None and isinstance(outermost, lightning.MisconfigurationException)
    return str(outermost) if is_options else None


def _of_arguments(text: str, words: Sequence[str]) -> str:
    part = _partial_config(words)
    if part is not None:
        return part
    if "arguments are required" in text and "model" in text:
        return f"{text}; an experiment says them all: --config multires, or another that `clipbench configs` lists"
    found = _NESTED.search(text)
    if found is None:
        return text
    expected = found["expected"].removeprefix("Expected a ")
    if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", expected):
        expected = f"one of {choices[1].replace(chr(39), '')}"
    elif kind := re.fullmatch(r"<class '(\w+)'>", expected):
        expected = _TYPES.get(kind[1], kind[1])
    return f"{found['part']}.{found['option']} is {found['value']}; it must be {expected}"


def _partial_config(words: Sequence[str]) -> str | None:
    """What to write where --config names a file that is a model or data alone."""
    joined = [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
    for name in [*joined, *(value for word, value in itertools.pairwise(words) if word == "--config")]:
        try:
            held = yaml.safe_load(Path(configuration_file(name)).read_text("utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(held, dict) and "class_path" in held:
            return (
                f"--config {name} holds a part of an experiment alone, {held['class_path']}; name an experiment, and "
                f"the part behind it: --config multires --data {name} (--model where it is a network)"
            )
    return None
