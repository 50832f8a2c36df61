"""Options of fit, validate, test and predict that are neither the model's, the data's nor the Trainer's.

A fit's configuration can be given to the other verbs, so each of them reads the options of all; on the command line
and in its help a verb has its own alone.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace, dict_to_namespace
from lightning.pytorch.cli import LightningArgumentParser

from benchmark.class_options import options_of
from benchmark.command_line import WholeNames, program
from benchmark.data.datamodule import VideoDataModule
from benchmark.early_checks import OPTIONS_OF_VERBS
from benchmark.errors import UserError
from benchmark.results.average_record import joined_names
from benchmark.runs.averages import average_facts
from benchmark.runs.facts import network_title
from benchmark.transfer.carrying import Transfer, transfer_facts
from benchmark.transfer.regimes import REGIMES
from benchmark.verbs import TRAINER_VERBS

USUAL_VERBS = (*TRAINER_VERBS, "speed")
"""Verbs with so many options that their help shows the usual ones alone."""


def parser_settings(verb: str, description: str) -> dict[str, Any]:
    """What the parser of one of them is made with.

    Args:
        verb: The verb.
        description: What it does, as the list of verbs says it.
    """
    said = description.partition(": clipbench")[0]
    return {
        "prog": f"clipbench {verb}",
        "usage": f"clipbench {verb} --config NAME [--data NAME] [--OPTION VALUE ...]",
        "description": f"{said[0].upper()}{said[1:]}.",
        "exit_on_error": False,
    }


_USUAL: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("--config NAME", "an experiment: a name that `clipbench configs` lists, or a file", USUAL_VERBS),
    ("--ckpt_path CKPT", "the checkpoint: a file, `last` or `best`", ("validate", "test", "predict")),
    ("--ckpt_path last", "go on with the newest run of this configuration, or with that in --run_dir", ("fit",)),
    (
        "--data NAME --data.root DIR",
        "other videos: ucf101, sports1m, folder, synthetic; the folder they are in",
        USUAL_VERBS,
    ),
    ("--data.fold 2", "an official fold; --data.help UCF101 lists the options of a dataset", USUAL_VERBS),
    ("--data.batch_size 32", "clips a batch", USUAL_VERBS),
    ("--data.num_workers 2", "loader processes", USUAL_VERBS),
    (
        "--model NAME --model.width 0.5",
        "another network, and options of it; `clipbench models` lists them,",
        USUAL_VERBS,
    ),
    ("--model.help SingleFrame", "and this the options of one", USUAL_VERBS),
    ("--model.recipe.learning_rate 0.01", "how it is trained", ("fit", "speed")),
    (
        "--optimizer AdamW --optimizer.lr 0.001",
        "another than the recipe's; --lr_scheduler likewise",
        ("fit",),
    ),
    ("--trainer.max_epochs 24", "how long", ("fit",)),
    ("--trainer.accelerator gpu", "on what; --trainer.devices 2 on how many", USUAL_VERBS),
    ("--trainer.logger false", "no logs, as those for W&B", ("fit",)),
    ("--seed_everything 1 --data.seed 1", "another seed", ("fit",)),
    ("--predict.videos '[videos/]'", "files and folders to predict", ("predict",)),
    ("--predict.output top.csv", "the table, .csv or .parquet", ("predict",)),
    ("--sample.videos 100", "a quick look: so many random test videos", ("test",)),
    ("--speed.compare all", "beside other libraries that read the same videos", ("speed",)),
    ("--run_dir DIR", "where it is left; a new folder below runs/ by default", USUAL_VERBS),
    ("--print_config", "show what all options come to, and do nothing", USUAL_VERBS),
)


HELP_ALL = "--help_all"


class _HelpAll(argparse._HelpAction):
    """Shows every option."""

    def __call__(self, parser: argparse.ArgumentParser, *of_the_call: Any) -> None:
        if isinstance(parser, TrainerParser):
            parser.shows_all = True
        super().__call__(parser, *of_the_call)


class TrainerParser(WholeNames, LightningArgumentParser):
    """Lightning's parser, which takes options by their whole names, and whose help shows those that people use."""

    shows_all = False

    def format_help(self, *arguments: Any, **options: Any) -> str:
        """The usual options of a verb, and how to see all."""
        verb = self.prog.rpartition(" ")[2]
        if verb not in USUAL_VERBS or self.shows_all:
            return super().format_help(*arguments, **options)
        lines = [f"  {option}\n      {what}" if len(option) > 24 else f"  {option:26s}{what}"
                 for option, what, verbs in _USUAL if verb in verbs]  # fmt: skip
        every = f"`{program(self)} {HELP_ALL}` shows every option with its type and default."
        return "\n".join([f"usage: {self.usage}", "", str(self.description), "", "options:", *lines, "", every, ""])


# Into the run folder, and for W&B offline. Options such as --trainer.logger.offline false reach the last one.
_LOGGERS = [
    {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": ".", "name": "csv"}},
    {
        "class_path": "lightning.pytorch.loggers.WandbLogger",
        "init_args": {"save_dir": ".", "project": "clipbench", "offline": True},
    },
]


def add_options(parser: LightningArgumentParser, verb: str) -> None:
    """Add the options of all verbs, and hide those of others from the help."""
    parser.add_argument(HELP_ALL, action=_HelpAll, help="Show every option and exit.")
    parser.add_argument(
        "--run_dir", type=Path | None, default=None, help="Folder of this run; a new one under runs/ by default."
    )
    parser.add_argument(
        "--checkpoint.monitor", type=str, default="val/clip_hit1", help="Logged value that best.ckpt is chosen by."
    )
    parser.add_argument(
        "--checkpoint.mode",
        type=Literal["min", "max"] | None,
        default=None,
        help="Whether best.ckpt has the lowest or the highest of it; scores of the suite need none.",
    )
    parser.add_argument(
        "--checkpoint.minutes", type=float, default=5.0, help="Minutes between writes of last.ckpt in an epoch."
    )
    parser.add_argument(
        "--checkpoint.artifact", type=bool, default=False, help="Leave best.ckpt in W&B as an artifact, offline too."
    )
    parser.add_argument(
        "--predict.videos",
        type=list[Path] | Path | None,
        default=None,
        help="File or folder to predict, or a list of them; the test videos of the data by default.",
    )
    parser.add_argument(
        "--predict.output",
        type=Path,
        default=None,
        help="Table to write, .csv or .parquet; in the run folder by default.",
    )
    parser.add_argument(
        "--figure",
        type=Path | None,
        default=None,
        help="Picture to write, .png: frames of the predicted videos with their top classes.",
    )
    parser.add_argument("--predict.top", type=int, default=5, help="Classes to write for each video.")
    parser.add_argument(
        "--entry_name",
        type=str | None,
        default=None,
        help="Name of a test's record; made from the model's by default.",
    )
    parser.add_argument(
        "--sample.videos", type=int | None, default=None, help="Test on this many randomly drawn videos only."
    )
    parser.add_argument(
        "--sample.list",
        type=Path | None,
        default=None,
        help="File with names of the test videos to test on, one a line.",
    )
    parser.add_argument("--sample.seed", type=int, default=0, help="Seed of that draw.")
    parser.add_argument(
        "--keep_clips",
        type=bool | None,
        default=None,
        help="Keep per-clip scores, validation videos included, in clips.parquet; null: if under 1 GB.",
    )
    parser.add_argument(
        "--allow_contaminated",
        type=bool,
        default=False,
        help="Test on videos that the checkpoint was trained on; the record then says so.",
    )
    parser.add_argument("--report", type=bool, default=True, help="Leave what the run has to show as report.html.")
    parser.add_argument("--open", type=bool, default=False, help="Show report.html in a browser at the end.")
    parser.add_class_arguments(Transfer, "transfer", instantiate=False)
    parser.add_optimizer_args()
    parser.add_lr_scheduler_args()
    parser.set_defaults({"trainer.logger": _LOGGERS, "trainer.log_every_n_steps": 10})
    for action in parser._actions:
        if verb not in OPTIONS_OF_VERBS.get(action.dest.partition(".")[0], (verb,)):
            action.help = argparse.SUPPRESS


def unlabelled_videos(config: Namespace, class_names: list[str] | None) -> Namespace:
    """The data of a prediction: videos named on the command line, and the checkpoint's classes.

    Args:
        config: Of the verb, whose data it takes the place of.
        class_names: What the checkpoint says.

    Raises:
        UserError: If it says nothing.
    """
    if not class_names:
        raise UserError(f"--ckpt_path {config.ckpt_path} does not know the names of its classes")
    given = config.data.get("init_args") or {}
    kept = {name: given[name] for name in options_of(VideoDataModule) if name in given and name != "root"}
    named = config.predict.videos
    videos = named if isinstance(named, list) else [named]
    options = dict_to_namespace({"videos": videos, "class_names": class_names, **kept})
    files: Namespace = dict_to_namespace({"class_path": "benchmark.data.files.VideoFiles", "init_args": options})
    return files


def usual_entry_name(model: Mapping[str, Any], checkpoint: dict[str, Any]) -> str:
    """What a test's record is called where nobody said: its network, or the networks that it is the average of.

    Args:
        model: Class path and options, as plain values.
        checkpoint: What is tested.
    """
    average, carried = average_facts(checkpoint), transfer_facts(checkpoint)
    if average is not None:
        return joined_names([member.name for member in average.members])
    name = network_title(model["class_path"], model.get("init_args") or {})
    if carried is None:
        return name
    begun = f" from {carried['pretrained_sha256'][:8]}" if carried["pretrained_sha256"] else ""
    return f"{name}, {REGIMES[carried['regime']]}{begun}"


# Options whose values are names of files and folders, which may look like anything else.
_PATHS = frozenset(
    {
        *("--run_dir", "--figure", "--predict.videos", "--predict.output", "--sample.list"),
        *("--transfer.pretrained", "--data.root", "--data.annotations", "--data.cache_dir"),
    }
)


def with_literal_paths(words: Sequence[str]) -> list[str]:
    """A command line whose file names are taken as they are, where YAML would make something else of them.

    `#1.mp4` is a comment there, `[1].mp4` the beginning of a list, `&x` nothing with a name, and `null` nothing; each
    means that only where there is no such file.

    Raises:
        UserError: If one is empty, as of a variable of the shell that is not set, which would mean the current folder.
    """
    found: list[str] = []
    option = ""
    for word in words:
        head, sign, value = word.partition("=")
        if option:
            found.append(_as_path(option, word))
        elif sign and head in _PATHS:
            found.append(f"{head}={_as_path(head, value)}")
        else:
            found.append(word)
        option = word if word in _PATHS else ""
    return found


def _as_path(option: str, value: str) -> str:
    if not value:
        raise UserError(f"{option} is empty; name a file or a folder, `.` for the current one, or leave it out")
    is_plain = value[0].isalnum() or value[0] in "./"
    is_name = value.startswith("#") or Path(value).exists()
    return f"./{value}" if is_name and (not is_plain or value.casefold() == "null") else value
