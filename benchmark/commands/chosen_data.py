"""The data that a verb is to read: named by its words, by a configuration, or by a record."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace

from benchmark.command_line import Parser, WholeNames
from benchmark.commands.reproduction import recorded_settings
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError
from benchmark.plugins import require_named_classes
from benchmark.results.record import Record
from benchmark.shipped import with_files
from benchmark.verb_options import with_literal_paths


def add_data(parser: Parser, config: str = "its data") -> None:
    """Let a verb take `--data` and its options, and the data of a `--config`.

    Args:
        parser: The verb's.
        config: What it reads of a configuration.
    """
    parser.add_argument("-c", "--config", action="config", help=f"Configuration, of which it reads {config}.")
    parser.add_subclass_arguments(VideoDataModule, "data", required=True)


def words_of_data(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Words for a parser with `add_data`, with what configurations say of the data in place of their names.

    Args:
        words: Of the command line.

    Returns:
        The words, and the files of the configurations.

    Raises:
        UserError: If a configuration cannot be read, or a class is not found.
    """
    found: list[str] = []
    files: list[Path] = []
    takes_file = False
    for word in with_literal_paths(with_files(words)):
        option, equals, value = word.partition("=")
        if takes_file or (option in {"--config", "-c"} and equals):
            files.append(Path(word if takes_file else value))
            found += ["--config", _data_block(files[-1])]
            takes_file = False
        elif word in {"--config", "-c"}:
            takes_file = True
        else:
            found.append(word)
    require_named_classes(found)
    return found, files


def _data_block(file: Path) -> str:
    try:
        held = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"--config {file} cannot be read: {error}; give a configuration file") from error
    return yaml.safe_dump({"data": held["data"]} if isinstance(held, dict) and "data" in held else {})


def settings_of_data(words: Sequence[str]) -> Any:
    """Class path and options of the data that `--data` and its options name, as in a fit.

    Args:
        words: These alone.
    """
    data = _parser().parse_args(list(words)).data
    if "init_args" not in data:  # which the parser leaves out where the class has no options
        data.init_args = Namespace()  # type: ignore[no-untyped-call]
    return data


def data_of(settings: Mapping[str, Any]) -> VideoDataModule:
    """The data of a configuration."""
    parser = _parser()
    data: VideoDataModule = parser.instantiate(parser.parse_object({"data": settings["data"]})).data
    return data


def recorded_data(record: Record, data_root: Path | None, lists: Path | None, trust_code: bool) -> VideoDataModule:
    """The recorded data on this machine.

    Args:
        record: Of a test.
        data_root: Folder of the videos; None is the recorded one where it is here.
        lists: Folder of the official lists, or None for the recorded one.
        trust_code: Whether to run classes from outside this package.

    Raises:
        UserError: If the record names no data, a class from outside this package, or videos that are elsewhere.
    """
    options = (record.config.get("data") or {}).get("init_args") or {}
    recorded = options.get("root")
    if data_root is None and isinstance(recorded, str) and Path(recorded).is_dir():
        data_root = Path(recorded)
    return data_of(recorded_settings(record, data_root, lists, trust_code))


def _parser() -> WholeNames:
    parser = WholeNames(exit_on_error=False)
    parser.add_subclass_arguments(VideoDataModule, "data", required=True)
    return parser
