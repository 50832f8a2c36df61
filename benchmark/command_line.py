"""Parsers of the suite's own verbs: an option is given by its whole name, and a slip is one message."""

import re
from collections.abc import Iterable
from typing import Any, NoReturn

import jsonargparse

from benchmark.class_options import nearest
from benchmark.errors import UserError

_UNKNOWN = re.compile(r"unrecognized arguments: (?P<words>.*)", re.DOTALL)
_UNKNOWN_KEY = re.compile(r"(?:Subcommand '\w+'|Parser) does not accept option '(?P<key>[^']+)'")


class WholeNames(jsonargparse.ArgumentParser):
    """A parser that takes options by their whole names, also those of the classes that it makes.

    Args:
        options: What `jsonargparse.ArgumentParser` takes.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})


class Parser(WholeNames):
    """The parser of a verb, which ends with one message."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say it in one message.

        Raises:
            UserError: Always.
        """
        parser = getattr(ex, "subcommand_parser", None) or self
        said = " ".join(re.sub(r'Parser key "([^"]+)"', r"--\1", message).split())
        raise UserError(unknown_option(message, parser) or f"{said}; `{_program(parser)} --help` says more") from ex


def unknown_option(message: str, parser: jsonargparse.ArgumentParser) -> str | None:
    """What is said of an option that is not there, and of the one that was probably meant.

    Args:
        message: The parser's own.
        parser: The verb's.

    Returns:
        One message, or None if the parser's says something else.
    """
    known = {option.lstrip("-"): option for action in parser._actions for option in action.option_strings}
    words = _UNKNOWN.match(message)
    key = _UNKNOWN_KEY.match(message)
    if words is not None:
        word = words["words"].split()[0]
        name = word.lstrip("-").partition("=")[0]
        what = f"{word} is no option" if word.startswith("-") else f"{word} is one word too many"
    elif key is not None:
        word = name = key["key"]
        known = {option: option for option in known}
        what = f"the configuration has {word}, which is no option"
    else:
        return None
    meant = _meant(name, known)
    is_option = word.startswith("-") or key is not None or "=" in word
    hint = f"; did you mean {known.get(meant, f'--{meant}' if words else meant)}?" if meant and is_option else "."
    return f"{what}{hint} `{_program(parser)} --help` lists what there is"


def _program(parser: jsonargparse.ArgumentParser) -> str:
    return str(parser.prog).replace(" [options]", "")


def _meant(name: str, known: Iterable[str]) -> str | None:
    names = list(known)
    head, dot, rest = name.partition(".")
    heads = list(dict.fromkeys(each.partition(".")[0] for each in names))
    if not dot or head in heads:  # within a part, one of its own
        own = [each for each in names if each.startswith(f"{head}.")] if dot else names
        return nearest(name, own or names)
    part = nearest(head, heads)
    return None if part is None else f"{part}.{rest}"
