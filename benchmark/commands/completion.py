"""Prints a script with which a shell completes verbs, options, and the names of configurations, networks and data."""

import argparse
import contextlib
import io
import re
from collections.abc import Callable, Sequence

from benchmark.command_line import Parser
from benchmark.commands import command
from benchmark.extras import require_extra
from benchmark.plugins import load_plugins, offered
from benchmark.shipped import configurations
from benchmark.training_cli import train
from benchmark.verb_options import USUAL_VERBS
from benchmark.verbs import COMMANDS, TRAINER_VERBS

_OPTION = re.compile(r"^ {2}(?:-\w[^\n-]*, )?(?P<name>--[\w.-]+)(?P<value> \{[^}\n]*\}| [A-Z_]+|)", re.MULTILINE)
_VERBS_WITHIN = re.compile(r"^usage: clipbench \w+(?: \[[^\]]*\])* \{(?P<names>[\w,]+)\}", re.MULTILINE)


def completions() -> argparse.ArgumentParser:
    """A parser with the verbs and options that the help of each verb lists, for a shell to complete."""
    parser = argparse.ArgumentParser(prog="clipbench")
    parser.add_argument("--version", action="store_true")
    verbs = parser.add_subparsers()
    names = _names()
    for verb in (*TRAINER_VERBS, *COMMANDS):
        text = _help(verb)
        own = verbs.add_parser(verb, help={**TRAINER_VERBS, **COMMANDS}[verb].replace("%", "%%"))
        if within := _VERBS_WITHIN.search(text):
            own.add_argument("verb", nargs="?", choices=within["names"].split(","))
        for found in {each["name"]: each for each in _OPTION.finditer(text)}.values():
            _add(own, found["name"], found["value"].strip(), names)
    return parser


def _add(parser: argparse.ArgumentParser, name: str, value: str, names: dict[str, list[str]]) -> None:
    if name == "--help":  # which every parser has
        return
    if name in names:
        parser.add_argument(name, choices=names[name])
    elif value.startswith("{"):
        parser.add_argument(name, choices=value.strip("{}").split(","))
    elif value:
        parser.add_argument(name).complete = {  # type: ignore[attr-defined]  # what shtab looks for
            "bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"
        }  # fmt: skip
    else:
        parser.add_argument(name, action="store_true")


def _names() -> dict[str, list[str]]:
    """What can be named after an option."""
    classes = offered(load_plugins())
    known = list(configurations())
    data = [name.removeprefix("data/") for name in known if re.fullmatch(r"data/\w+", name)]
    return {
        "--config": [name for name in known if not name.startswith("data/")],
        "--model": [entry.cls.__name__ for entry in classes if entry.kind == "model"],
        "--data": [*data, *(entry.cls.__name__ for entry in classes if entry.kind == "data")],
    }


def _help(verb: str) -> str:
    """What the help with every option prints."""
    asked = ["--help_all" if verb in USUAL_VERBS else "--help"]
    shown: Callable[[], object] = (
        (lambda: train(verb, asked)) if verb in TRAINER_VERBS else (lambda: command(verb).main(asked))
    )
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        shown()
    return text.getvalue()


def main(argv: Sequence[str]) -> int:
    """Run `completion bash|zsh|tcsh` and return the exit code."""
    parser = Parser(
        prog="clipbench completion",
        description="A script by which a shell completes clipbench: for bash a file to `source` in ~/.bashrc, for zsh "
        "one called _clipbench in a folder of $fpath.",
    )
    parser.add_argument("shell", choices=["bash", "zsh", "tcsh"], help="The shell.")
    shell = parser.parse_args(list(argv)).shell
    require_extra("shtab", "completion")
    import shtab  # of an extra

    print(shtab.complete(completions(), shell=shell))
    return 0
