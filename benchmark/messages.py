"""Errors that a user can cause, in the words of one message."""

import difflib
import inspect
import itertools
import re
import sys
import traceback
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
_PLAIN = re.compile(
    r"Parser key \"(?P<part>)(?P<option>[^\"]+)\":\s+(?P<expected>Expected [^\n]+?)\. Got value: (?P<value>[^\n]*)"
)
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "Sequence": "a list, as [first, second]",
}
_LOST_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\) (?:is killed|exited unexpectedly)")
_UNION = "Does not validate against any of the Union subtypes"
_OF_WANDB = {"UsageError", "AuthenticationError", "CommError"}


def for_the_user(error: BaseException | None, words: Sequence[str] = ()) -> str | None:
    """What the user can mend, if the error is or comes from such; None for a fault of ours or of a plugin's.

    Args:
        error: What ended the command.
        words: Of the command line.
    """
    chain = _chain(error)
    for one in chain:
        if isinstance(one, UserError):
            return str(one)
    outermost, root = chain[0], chain[-1]
    if isinstance(outermost, ArgumentError):
        return _of_arguments(str(outermost), words)
    if isinstance(outermost, ValueError) and str(outermost).startswith(_UNION):
        made = re.search(r"class_path='([^']+)'", str(outermost))
        name = made[1] if made else "a class"
        return f"{name} cannot be made with these options: {_one_line(root)} (CLIPBENCH_TRACEBACK=1 shows where)"
    for one in chain:
        if type(one).__module__.startswith("wandb.") and type(one).__name__ in _OF_WANDB:
            return f"W&B says: {_one_line(one)} Or keep its logs here: --trainer.logger.offline true"
    for one in chain:
        if isinstance(one, RuntimeError) and (worker := _LOST_WORKER.match(str(one))):
            return (
                f"loader worker {worker[1]} was killed, as a system does that runs out of memory: lower "
                "data.num_workers or data.batch_size; what is unfinished goes on with --ckpt_path last"
            )
    # Lightning writes such messages for users, and raises them itself.
    is_lightnings = isinstance(outermost, ValueError | TypeError | RuntimeError) and _raised_in(outermost, "lightning")
    if is_lightnings or type(outermost).__name__ == "MisconfigurationException":
        return str(outermost).strip()
    return None


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and what it came from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _raised_in(error: BaseException, package: str) -> bool:
    """Whether the line that raised it belongs to a package."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name = str(frames[-1].f_globals.get("__name__", "")) if frames else ""
    return name.partition(".")[0] == package


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _of_arguments(text: str, words: Sequence[str]) -> str:
    part = _partial_config(words)
    if part is not None:
        return part
    if refused := re.search(r"class_path '([^']+)':\s+Option '([^']+)' is not accepted", text):
        return _unknown_option(refused[1], refused[2])
    if lacking := re.search(r"class_path '([^']+)':\s+the following arguments are required: ([^\n]+)", text):
        part = text.partition('"')[2].partition('"')[0]
        options = ", ".join(f"--{part}.{name.strip()}" for name in lacking[2].split(","))
        return f"{lacking[1]} needs a value for {lacking[2]}; give it by {options}"
    if "arguments are required" in text and "model" in text:
        return f"{text}; an experiment says them all: --config multires, or another that `clipbench configs` lists"
    found = _NESTED.search(text) or _PLAIN.fullmatch(text.strip())
    if found is None:
        return text
    expected = found["expected"].removeprefix("Expected a ")
    if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", expected):
        expected = f"one of {choices[1].replace(chr(39), '')}"
    elif kind := re.fullmatch(r"<class '([\w.]+)'>", expected):
        expected = _TYPES.get(kind[1].rpartition(".")[2], kind[1])
    name = ".".join(part for part in (found["part"], found["option"]) if part)
    return f"{name} is {found['value']}; it must be {expected}"


def _unknown_option(class_path: str, option: str) -> str:
    """An option that a class does not have, with those that it has."""
    module, _, name = class_path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)
    known = sorted(
        {
            parameter.name
            for parent in getattr(cls, "__mro__", ())
            for parameter in inspect.signature(parent.__init__).parameters.values()
            if parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}
        }
        - {"self", "args", "kwargs", "num_classes"}
    )
    alike = difflib.get_close_matches(option, known, 1)
    meant = f"did you mean {alike[0]}? It" if alike else "it"
    return f"{name} has no option {option}; {meant} has {', '.join(known) or 'none'}"


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
