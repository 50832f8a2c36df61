"""Parsers of the suite's own verbs: an option is given by its whole name, and a slip is one message."""

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import jsonargparse

from benchmark.argument_messages import of_arguments, of_plain_arguments
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

    def format_help(self, *arguments: Any, **options: Any) -> str:
        """The help, with classes called by their names."""
        return re.sub(r"<class\s+'(?:\w+\.)*(\w+)'>", r"\1", super().format_help(*arguments, **options))


class Parser(WholeNames):
    """The parser of a verb, which ends with one message."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say it in one message.

        Raises:
            UserError: Always.
        """
        raise UserError(in_one_line(message, getattr(ex, "subcommand_parser", None) or self)) from ex


class PlainParser(argparse.ArgumentParser):
    """argparse's parser with the same manners, for verbs that hand on words that they do not know.

    Args:
        options: What `argparse.ArgumentParser` takes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Say it in one message.

        Raises:
            UserError: Always.
        """
        raise UserError(in_one_line(message, self))


def in_one_line(message: str, parser: argparse.ArgumentParser) -> str:
    """What a parser of the suite's own verbs has to say.

    Args:
        message: In its own words.
        parser: The parser.
    """
    options = {option for each in (parser, *_within(parser)) for a in each._actions for option in a.option_strings}
    known = unknown_option(message, parser) or of_plain_arguments(message, _program(parser), options)
    if known is not None:
        return known
    said = of_arguments(message)
    if said == message:
        said = " ".join(re.sub(r'Parser key "([^"]+)"', r"--\1", message).split())
    name = said.partition(" is ")[0]
    last = f"--{name.rpartition('.')[2]}"
    said = f"{last}{said.removeprefix(name)}" if last in options else said
    return f"{said}; `{_program(parser)} --help` says more"


def _within(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Parsers of the verbs within a verb."""
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [each for action in actions for each in action._name_parser_map.values()]


def require_forwarded(words: Sequence[str], parser: argparse.ArgumentParser, forwarded: tuple[str, ...]) -> None:
    """Refuse options that neither a verb has nor the fits that it starts are given.

    Args:
        words: Of the command line that the verb's own parser has left.
        parser: The verb's.
        forwarded: How the options begin that go to every fit.

    Raises:
        UserError: With the first.
    """
    strange = next((word for word in words if word[:1] == "-" and not word.startswith(forwarded)), None)
    if strange is not None:
        own = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
        meant = nearest(strange.partition("=")[0], [option for option in own if option != "--help"])
        asked = f"did you mean {meant}? Of" if meant else "of"
        verb = _program(parser).removeprefix("clipbench ")
        raise UserError(f"{strange} is no option of {verb}; {asked} fit's, {', '.join(forwarded)} can be given")


def unknown_option(message: str, parser: argparse.ArgumentParser) -> str | None:
    """What is said of an option that is not there, and of the one that was probably meant.

    Args:
        message: The parser's own.
        parser: The verb's.

    Returns:
        One message, or None if the parser's says something else.
    """
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    known = {option.lstrip("-"): option for action in shown for option in action.option_strings}
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
    usual = NAMES_ELSEWHERE.get(name.replace("-", "_"))
    parts = {option.partition(".")[0] for option in known}
    group = GROUPS.get(name.partition(".")[0])
    usual = f"{group}.{name}" if group and "." in name else usual
    is_usual = usual is not None and usual.partition(".")[0] in parts
    meant = usual if is_usual else _meant(name.replace("-", "_"), known)
    is_option = word.startswith("-") or key is not None or "=" in word
    hint = f"; did you mean {known.get(meant, f'--{meant}' if words else meant)}?" if meant and is_option else "."
    return f"{what}{hint} `{_program(parser)} --help` lists what there is"


NAMES_ELSEWHERE = {
    **{name: "model.recipe.learning_rate" for name in ("lr", "learning_rate")},
    **{name: "trainer.max_epochs" for name in ("epochs", "num_epochs", "max_epochs", "n_epochs")},
    **{name: "trainer.devices" for name in ("gpus", "devices", "num_gpus")},
    **{name: "trainer.accelerator" for name in ("device", "accelerator", "gpu", "cpu")},
    **{name: "data.num_workers" for name in ("workers", "num_workers")},
    **{name: "data.root" for name in ("root", "data_dir", "data_root", "videos_dir")},
    **{name: f"data.{name}" for name in ("batch_size", "fold", "classes", "decoder", "cache")},
    **{name: f"model.{name}" for name in ("width", "resolution", "dropout")},
    **{name: "seed_everything" for name in ("seed", "random_seed")},
    **{name: "ckpt_path" for name in ("ckpt", "checkpoint", "checkpoint_path", "resume", "weights")},
    **{name: "run_dir" for name in ("output_dir", "out_dir", "save_dir", "log_dir", "default_root_dir")},
    **{name: f"predict.{name}" for name in ("videos", "output", "top")},
    **{name: "data.clips_per_video.test" for name in ("clips_per_video", "clips", "num_clips", "test_clips")},
    "precision": "trainer.precision",
}
"""What people write for an option of a fit, whose name says where it belongs."""

GROUPS = {"recipe": "model", "clips_per_video": "data", "augmentation": "data"}
"""Settings whose options people write without the part that they belong to, as in `--recipe.momentum`."""


def _program(parser: argparse.ArgumentParser) -> str:
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
