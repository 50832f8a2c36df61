"""What a parser has against a command line, in one message: the value, what is allowed, and what was probably meant."""

import re
import sys
from collections.abc import Collection
from typing import Any

from benchmark.class_options import nearest, nearest_names, options_of, settings_of, subclasses

# How jsonargparse wraps what is wrong with one option of a class.
_NESTED = re.compile(
    r"Parser key \"(?P<part>\w+)\":.*?Problem with given class_path '[^']+':\s+"
    r"(?:Parser key \"(?P<option>[^\"]+)\":\s+(?P<expected>Expected [^\n]+?)\. Got value: (?P<value>[^\n]*))",
    re.DOTALL,
)
_PLAIN = re.compile(
    r"Parser key \"(?P<part>)(?P<option>[^\"]+)\"(?: element \d+)?:\s+"
    r"(?P<expected>Expected [^\n]+?)\. Got value: (?P<value>[^\n]*)"
)
# An option that a class, or a group of settings within it, does not have.
_REFUSED = re.compile(
    r"class_path '(?P<class>[^']+)':\s+(?:Option '(?P<option>[^']+)' is not accepted"
    r"|unrecognized arguments: --(?P<word>[^=\s]+)|Group '(?P<group>[^']+)' does not accept option "
    r"'(?P<setting>[^']+)')"
)
_NO_CLASS = re.compile(r"(?:Expected a dot import path string: (?P<name>[^\n]+)|Import path does not correspond)")
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "NoneType": "null",
    "Path": "a path",
    "dict": "options with values, as {name: value}",
    "Sequence": "a list, as [first, second]",
}

# What people call options elsewhere.
_ALIASES = {
    "lr": "learning_rate",
    "learning_rate": "lr",
    "wd": "weight_decay",
    "bs": "batch_size",
    "workers": "num_workers",
    "epochs": "max_epochs",
    "num_epochs": "max_epochs",
    **{name: "test" for name in ("clips", "num_clips", "test_clips")},  # of each test video
}

# A union of types that a value is none of, and what it was.
_UNION = re.compile(
    r"Parser key \"(?P<option>[^\"]+)\":\s+Does not validate against any of the Union subtypes\s+"
    r"Subtypes: \[(?P<types>[^\n]*)\]\n(?:(?!Parser key).)*?Given value: (?P<value>[^\n]*)",
    re.DOTALL,
)
# Options that are where only the class and `init_args` may be.
_MISPLACED = re.compile(
    r"Parser key \"(?P<option>[^\"]+)\":\s+Does not validate against any of the Union subtypes.*Not a valid subclass.*"
    r"Given value: (?P<value>\{'class_path': '(?P<class>[^']+)'[^\n]*)",
    re.DOTALL,
)
# What holds neither the name of a class nor that and options.
_NOT_A_CLASS = re.compile(
    r"\AParser key \"(?P<option>[^\"]+)\":\s+Does not validate against any of the Union subtypes\n[^\n]*\n\s+Errors:\s+"
    r"- (?:Not a valid subclass of \w+|argument of type|Problem with given class_path '[^']+':\s+"
    r"'\w+' object has no attribute 'keys').*"
    r"Given value type: <class '(?:dict|list|int|float|bool)'>\n\s*Given value: (?P<value>[^\n]*)",
    re.DOTALL,
)
_NOT_A_GROUP = re.compile(r"Parser key \"(?P<option>[^\"]+)\":\s+Unable to load config '(?P<value>[^']*)'")
_CLASS = re.compile(r"Problem with given class_path '(?P<class>[^']+)'")
_REQUIRED = re.compile(r"the following arguments are required: (?P<names>[^\n]+)")
_CHOICE = re.compile(
    r"(?:argument (?P<name>[^\n:]+): )?invalid choice: '?(?P<value>[^'\n]*?)'? \(choose from (?P<known>[^)]*)\)"
)
_NO_VERB = re.compile(r"expected \"(?P<name>\w+)\" to be one of \{(?P<known>[^}]*)\}, but it was not provided")


def of_arguments(text: str) -> str:
    """One message for what a parser says; its own where that is none of the known kinds.

    Args:
        text: As jsonargparse or argparse words it.
    """
    if refused := _REFUSED.search(text):
        within = f"{refused['group']}.{refused['setting']}"
        return _unknown_option(refused["class"], refused["option"] or refused["word"] or within)
    if lacking := re.search(r"class_path '([^']+)':\s+the following arguments are required: ([^\n]+)", text):
        part = text.partition('"')[2].partition('"')[0]
        options = ", ".join(f"--{part}.{name.strip()}" for name in lacking[2].split(","))
        return f"{lacking[1]} needs a value for {lacking[2]}; give it by {options}"
    if misplaced := _MISPLACED.search(text):
        name, kind = misplaced["option"], misplaced["class"].rpartition(".")[2]
        return (
            f"{name} holds options beside class_path ({misplaced['value']}); those of {kind} belong under "
            "init_args, one level further in"
        )
    if of_class := _NOT_A_CLASS.search(text):
        name, value = of_class["option"], of_class["value"]
        return (
            f"{name} is {value}; it must be the name of a class, or class_path with that name and init_args with its "
            "options, as in {class_path: Name, init_args: {option: value}}"
        )
    if strange := _NO_CLASS.search(text):
        return _unknown_class(text, strange["name"] or text.rpartition("Given value: ")[2].strip())
    if lacking := re.fullmatch(r"the following arguments are required: ([\w., ]+)", text.strip()):
        # jsonargparse puts the verb before each, which no option has.
        names = [name.strip().rpartition(".")[2] for name in lacking[1].split(",")]
        if names == ["data"]:
            return "--data must be given: ucf101, sports1m, folder or synthetic, or a class of your own"
        if "model" in names:
            return (
                f"a value is needed for {', '.join(f'--{name}' for name in names)}; an experiment says them all: "
                "--config multires, or another that `clipbench configs` lists"
            )
    if found := _NESTED.search(text) or _PLAIN.fullmatch(text.strip()):
        name = ".".join(part for part in (found["part"], found["option"]) if part)
        return f"{name} is {found['value']}; it must be {_in_words(found['expected'].removeprefix('Expected a '))}"
    inner = [found for found in _UNION.finditer(text) if "VideoDataModule" not in found["types"]]
    inner = [found for found in inner if "VideoClassifier" not in found["types"]]
    if group := _NOT_A_GROUP.search(text):
        return _no_group(text, group["option"], group["value"])
    if inner:
        name, value, types = _full_name(text, inner[-1]["option"]), inner[-1]["value"], inner[-1]["types"]
        return f"{name} is {value}; it must be {_either(types)}"
    if lacks := _REQUIRED.fullmatch(text.strip()):
        return f"{' and '.join(f'--{name.strip()}' for name in lacks['names'].split(','))} must be given"
    return text


def of_plain_arguments(text: str, program: str, options: Collection[str]) -> str | None:
    """One message for what the parser of a verb says of words that lack or are none of its choices; None for others.

    Args:
        text: The parser's own.
        program: What to run for help.
        options: Its options, with their dashes.
    """
    if lacks := _REQUIRED.search(text):
        names = []
        for name in lacks["names"].split(", "):
            last = name.strip().rpartition(".")[2]  # the others are verbs within the verb
            names.append(f"--{last}" if f"--{last}" in options else last if last.startswith("-") else last.upper())
        return f"{program.removeprefix('clipbench ')} needs {' and '.join(names)}; `{program} --help` says more"
    if lacks := _NO_VERB.search(text):
        verbs = ", ".join(lacks["known"].split(","))
        return f"{program.removeprefix('clipbench ')} needs one of {verbs}; `{program} --help` says more"
    if choice := _CHOICE.search(text):
        known = [word.strip().strip("'") for word in choice["known"].split(",")]
        meant = nearest(choice["value"], known)
        asked = f"did you mean {meant}? It" if meant else "it"
        is_option = (choice["name"] or "").startswith("-")
        name = f"{choice['name']} is {choice['value']}" if is_option else f"{program} {choice['value']} is not there"
        return f"{name}; {asked} must be one of {', '.join(known)}"
    return None


def _full_name(text: str, option: str) -> str:
    """An option with the part that it belongs to, where it is one of a class."""
    part = text.partition('"')[2].partition('"')[0]
    return option if _CLASS.search(text) is None or option == part else f"{part}.{option}"


def _no_group(text: str, option: str, value: str) -> str:
    """What is said of a value for a group of options."""
    name, held = _full_name(text, option), _CLASS.search(text)
    cls = _class(held["class"]) if held else None
    settings = settings_of(cls, option) if cls is not None else None
    inner = list(options_of(settings)) if settings is not None else []
    each = f"; it has {', '.join(inner)}: give one as --{name}.{inner[0]} {value}" if inner else ""
    return f"{name} is {value}, and is a group of options{each}"


def _either(types: str) -> str:
    """Types between which there is a choice, for people."""
    parts = re.split(r", (?![^\[]*\])", types)
    words = [_in_words(part) for part in dict.fromkeys(parts)]
    words = [word for word in words if not (word == "a whole number" and "a number" in words)]
    return " or ".join(words)


def _in_words(kind: str) -> str:
    """A type for people."""
    if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", kind):
        return f"one of {choices[1].replace(chr(39), '')}"
    if kind.startswith(("list", "typing.List", "collections.abc.Sequence", "typing.Sequence")):
        return _TYPES["Sequence"]
    named = re.fullmatch(r"<class '([\w.]+)'>", kind)
    last = (named[1] if named else kind).rpartition(".")[2]
    return _TYPES.get(last, last)


def _unknown_option(class_path: str, option: str) -> str:
    """An option that a class does not have, with those that it has.

    Args:
        class_path: The class.
        option: With the names of what it is in, as in `clips_per_video.trian`.
    """
    cls, name = _class(class_path), class_path.rpartition(".")[2]
    *inside, last = option.split(".")
    for part in inside:
        if cls is not None and part not in options_of(cls):
            last = part
            break
        cls, name = None if cls is None else settings_of(cls, part), f"{name}.{part}"
    known = sorted(set(options_of(cls)) - _NOT_GIVEN) if cls is not None else []
    within = {} if cls is None else {each: group for group in known for each in _options_within(cls, group)}
    alias = _ALIASES.get(last)
    meant = alias if alias in known else nearest(last, known)
    if meant is None or (alias in within and meant != alias):
        deeper = alias if alias in within else nearest(last, within)
        meant = f"{within[deeper]}.{deeper}" if deeper else meant
    asked = f"did you mean {meant}? It" if meant else "it"
    return f"{name} has no option {last}; {asked} has {', '.join(known) or 'none'}"


_NOT_GIVEN = frozenset({"params", "defaults", "optimizer"})  # what an optimiser or a scheduler works on


def _options_within(cls: type[Any], group: str) -> list[str]:
    settings = settings_of(cls, group)
    return list(options_of(settings)) if settings is not None else []


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
    known = sorted({cls.__name__ for base in bases for cls in subclasses(base) if not cls.__name__.startswith("_")})
    meant = nearest(named, known)
    kind = " or ".join(dict.fromkeys(base.__name__ for base in bases)) or "class"
    asked = f"did you mean {meant}? There" if meant else "there"
    return (
        f"{option} is {named}, which is no {kind}; {asked} are {nearest_names(named, known)}. A class of your own file "
        "is named with the file: my_file.MyClass"
    )
