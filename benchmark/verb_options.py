"""Options of fit, validate, test and predict that are neither the model's, the data's nor the Trainer's.

A fit's configuration can be given to the other verbs, so each of them reads the options of all; on the command line
and in its help a verb has its own alone.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, dict_to_namespace
from lightning.pytorch.cli import LightningArgumentParser

from benchmark.class_options import options_of
from benchmark.command_line import WholeNames
from benchmark.data.datamodule import VideoDataModule
from benchmark.early_checks import OPTIONS_OF_VERBS
from benchmark.errors import UserError
from benchmark.results.average_record import joined_names
from benchmark.runs.averages import average_facts
from benchmark.runs.facts import network_title
from benchmark.transfer.carrying import Transfer, transfer_facts
from benchmark.transfer.regimes import REGIMES
from benchmark.usual_options import TRAINER_VERBS, usual_options

USAGE = "clipbench {} --config NAME [--data NAME] [--OPTION VALUE ...]"
DESCRIPTIONS = {
    "fit": "Train a model.",
    "validate": "Score the validation videos with a checkpoint.",
    "test": "Score the test videos: 20 clips a video, 4 views a clip.",
    "predict": "Write the top classes of any videos.",
}


class TrainerParser(WholeNames, LightningArgumentParser):
    """Lightning's parser, which takes options by their whole names, and whose help begins with those most used."""

    def format_help(self, *arguments: Any, **options: Any) -> str:
        """The usual options, then all."""
        text: str = super().format_help(*arguments, **options)
        head, description, rest = text.partition(f"\n{self.description}\n") if self.description else (text, "", "")
        verb = str(self.prog).rpartition(" ")[2]
        return f"{head}{description}\n{usual_options(verb)}\n{rest}" if verb in TRAINER_VERBS else text


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
    parser.add_argument(
        "--run_dir", type=Path | None, default=None, help="Folder of this run; a new one under runs/ by default."
    )
    parser.add_argument(
        "--checkpoint.monitor", type=str, default="val/clip_hit1", help="Logged value that best.ckpt is chosen by."
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
        *("--run_dir", "--figure", "--predict.videos", "--predict.output", "--transfer.pretrained"),
        *("--data.root", "--data.annotations", "--data.cache_dir"),
    }
)


def with_literal_paths(words: Sequence[str]) -> list[str]:
    """A command line whose file names are taken as they are, where YAML would make something else of them.

    `#1.mp4` is a comment there, `[1].mp4` the beginning of a list, `&x` nothing with a name, and `null` nothing; each
    means that only where there is no such file.
    """
    found: list[str] = []
    option = ""
    for word in words:
        head, sign, value = word.partition("=")
        if option:
            found.append(_as_path(word))
        elif sign and head in _PATHS:
            found.append(f"{head}={_as_path(value)}")
        else:
            found.append(word)
        option = word if word in _PATHS else ""
    return found


def _as_path(value: str) -> str:
    is_plain = not value or value[0].isalnum() or value[0] in "./"
    is_name = value.startswith("#") or (value and Path(value).exists())
    return f"./{value}" if is_name and (not is_plain or value.casefold() == "null") else value
