"""Errors that a user can cause, in the words of one message."""

import errno
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from jsonargparse import ArgumentError

from benchmark.class_options import nearest, options_of, settings_of
from benchmark.errors import UserError

# How jsonargparse wraps what is wrong with one option of a class.
_NESTED = re.compile(
    r"Parser key \"(?P<part>\w+)\":.*?Problem with given class_path '[^']+':\s+"
    r"(?:Parser key \"(?P<option>[^\"]+)\":\s+(?P<expected>Expected [^\n]+?)\. Got value: (?P<value>[^\n]*))",
    re.DOTALL,
)
_PLAIN = re.compile(
    r"Parser key \"(?P<part>)(?P<option>[^\"]+)\":\s+(?P<expected>Expected [^\n]+?)\. Got value: (?P<value>[^\n]*)"
)
# An option that a class, or a group of settings within it, does not have.
_REFUSED = re.compile(
    r"class_path '(?P<class>[^']+)':\s+(?:Option '(?P<option>[^']+)' is not accepted"
    r"|unrecognized arguments: --(?P<word>[^=\s]+)|Group '(?P<group>[^']+)' does not accept option "
    r"'(?P<setting>[^']+)')"
)
_LACKING = re.compile(r"arguments are required: ([\w., ]+)")
_NO_CLASS = re.compile(r"(?:Expected a dot import path string: (?P<name>[^\n]+)|Import path does not correspond)")
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "Sequence": "a list, as [first, second]",
}
_LOST_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\) (?:is killed|exited unexpectedly)")
# What a system refuses with, and a user can do about it; other errors of a system are faults of ours.
_REFUSALS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its rights, or name another"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, or name another disk"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files, or lower data.num_workers"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ENOTDIR), "name another"),
}
_UNION = "Does not validate against any of the Union subtypes"
_OF_WANDB = {"UsageError", "AuthenticationError", "CommError"}


def for_the_user(error: BaseException | None) -> str | None:
    """What the user can fix, if the error is or comes from such; None for a fault of ours or of a plugin's.

    Args:
        error: What ended the command.
    """
    chain = _chain(error)
    for one in chain:
        if isinstance(one, UserError):
            return str(one)
    outermost, root = chain[0], chain[-1]
    if isinstance(outermost, ArgumentError):
        return _of_arguments(str(outermost))
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
    if isinstance(outermost, OSError) and outermost.errno in _REFUSALS:
        place = "a file" if outermost.filename is None else outermost.filename
        return f"{place} cannot be used: {outermost.strerror}; {_REFUSALS[outermost.errno]}"
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


def _of_arguments(text: str) -> str:
    if refused := _REFUSED.search(text):
        within = f"{refused['group']}.{refused['setting']}"
        return _unknown_option(refused["class"], refused["option"] or refused["word"] or within)
    if lacking := re.search(r"class_path '([^']+)':\s+the following arguments are required: ([^\n]+)", text):
        part = text.partition('"')[2].partition('"')[0]
        options = ", ".join(f"--{part}.{name.strip()}" for name in lacking[2].split(","))
        return f"{lacking[1]} needs a value for {lacking[2]}; give it by {options}"
    if strange := _NO_CLASS.search(text):
        return _unknown_class(text, strange["name"] or text.rpartition("Given value: ")[2].strip())
    if (lacking := _LACKING.search(text)) and "model" in lacking[1]:
        # jsonargparse puts the verb before each, which no option has.
        options = ", ".join(f"--{name.strip().rpartition('.')[2]}" for name in lacking[1].split(","))
        return (
            f"a value is needed for {options}; an experiment says them all: --config multires, or another that "
            "`clipbench configs` lists"
        )
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
    """An option that a class does not have, with those that it has.

    Args:
        class_path: The class.
        option: With the names of what it is in, as in `clips_per_video.trian`.
    """
    cls, name = _class(class_path), class_path.rpartition(".")[2]
    *inside, last = option.split(".")
    for part in inside:
        cls, name = None if cls is None else settings_of(cls, part), f"{name}.{part}"
    known = sorted(options_of(cls)) if cls is not None else []
    meant = nearest(last, known)
    asked = f"did you mean {meant}? It" if meant else "it"
    return f"{name} has no option {last}; {asked} has {', '.join(known) or 'none'}"


def _class(path: str) -> type[Any] | None:
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


def _unknown_class(text: str, named: str) -> str:
    """A name that no class has of the kinds that an option takes."""
    option = text.partition('"')[2].partition('"')[0]
    subtypes = text.partition("Subtypes: ")[2].partition("\n")[0]
    bases = [
        cls
        for path in re.findall(r"[\w.]+\.\w+", subtypes)
        if (cls := _class(path)) and cls.__module__ != "collections.abc"
    ]
    known = sorted({cls.__name__ for base in bases for cls in _below(base) if not cls.__name__.startswith("_")})
    meant = nearest(named, known)
    kind = " or ".join(dict.fromkeys(base.__name__ for base in bases)) or "class"
    asked = f"did you mean {meant}? There" if meant else "there"
    return (
        f"{option} is {named}, which is no {kind}; {asked} are {', '.join(known) or 'none'}. A class of your own file "
        "is named with the file: my_file.MyClass"
    )


def _below(base: type[Any]) -> Iterator[type[Any]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _below(cls)
