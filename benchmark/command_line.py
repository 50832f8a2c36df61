"""Parsers of the suite's own verbs: an option is given by its whole name, and a slip is one message."""

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import jsonargparse

from benchmark.argument_messages import of_arguments, of_plain_arguments
from benchmark.class_options import nearest
from benchmark.errors import UserError
from benchmark.shipped import is_file

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
        self.prog = program(self)
        return re.sub(r"<class\s+'(?:\w+\.)*(\w+)'>", r"\1", super().format_help(*arguments, **options))

    def parse_args(  # type: ignore[override]  # the overloads of argparse's
        self, args: Sequence[str] | None = None, *rest: Any, **options: Any
    ) -> Any:
        """Parse words, of which a file of data takes the place of whatever data there were before it."""
        return super().parse_args(None if args is None else _without_data_before(args), *rest, **options)


def _without_data_before(words: Sequence[str]) -> list[str]:
    """A command line in which nothing is left of the data of a configuration before a file that describes others.

    jsonargparse keeps the options that both classes have. A file says only what differs from the defaults of its class.

    Raises:
        UserError: If an option of the data comes before the file, which would replace it.
    """
    found: list[str] = []
    given = option = ""
    for word in words:
        name, sign, value = word.partition("=")
        file = word if option == "--data" else value if sign and name == "--data" else ""
        if file and is_file(file):
            if given:
                raise UserError(
                    f"{given} comes before --data {file}, which would replace it; write --data first: "
                    f"--data {file} {given} ..."
                )
            found[len(found) - (file == word) :] = ["--data=null", f"--data={file}"]
        else:
            found.append(word)
        given = given or (name if name.startswith("--data.") else "")
        option = word
    return found


class Parser(WholeNames):
    """The parser of a verb, which ends with one message."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say it in one message.

        Raises:
            UserError: Always.
        """
        raise UserError(in_one_line(message, getattr(ex, "subcommand_parser", None) or self)) from ex

    def parse_own(self, words: Sequence[str], forwarded: tuple[str, ...]) -> tuple[Any, list[str]]:
        """Parse the options of a verb that starts fits, and leave those that every fit is given.

        Args:
            words: Of the command line.
            forwarded: Options of a fit that can be given, each with all that belong to it: `--model` with
                `--model.width`.

        Returns:
            Values of the verb's own options, and the words for the fits.

        Raises:
            UserError: If an option is neither.
        """
        own: list[str] = []
        others: list[str] = []
        to = own
        for word in words:
            option, equals, _ = word.partition("=")
            if option.startswith("--"):
                is_own = option in self._option_string_actions
                if not is_own and not any(option == each or option.startswith(f"{each}.") for each in forwarded):
                    raise UserError(self._neither(word, option, forwarded))
                to = own if is_own else others
            to.append(word)
            to = own if equals else to
        return self.parse_args(own), others

    def _neither(self, word: str, option: str, forwarded: Sequence[str]) -> str:
        meant = nearest(option, [each for each in self._option_string_actions if each.startswith("--")])
        asked = f"did you mean {meant}? Of" if meant else "of"
        verb = program(self).removeprefix("clipbench ")
        return f"{word} is no option of {verb}; {asked} fit's, {', '.join(forwarded)} can be given"


def in_one_line(message: str, parser: argparse.ArgumentParser) -> str:
    """What a parser of the suite's own verbs has to say.

    Args:
        message: In its own words.
        parser: The parser.
    """
    options = {option for each in (parser, *_within(parser)) for a in each._actions for option in a.option_strings}
    known = unknown_option(message, parser) or of_plain_arguments(message, program(parser), options)
    if known is not None:
        return known
    said = of_arguments(message)
    if said == message:
        said = " ".join(re.sub(r'Parser key "([^"]+)"', r"--\1", message).split())
    name = said.partition(" is ")[0]
    last = f"--{name.rpartition('.')[2]}"
    said = f"{last}{said.removeprefix(name)}" if last in options else said
    return f"{said}; `{program(parser)} --help` says more"


def _within(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Parsers of the verbs within a verb."""
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [each for action in actions for each in action._name_parser_map.values()]


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
    asked = "--help_all" if "help_all" in known else "--help"
    return f"{what}{hint} `{program(parser)} {asked}` lists what there is"


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


def program(parser: argparse.ArgumentParser) -> str:
    """What to write for the verb of a parser, as `clipbench leaderboard add`."""
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
