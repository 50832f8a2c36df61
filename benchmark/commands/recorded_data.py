"""The data module that a record was made with, for pictures of its videos and audits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.command_line import WholeNames
from benchmark.commands.reproduction import recorded_settings
from benchmark.data.datamodule import VideoDataModule
from benchmark.results.record import Record


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


def data_of(settings: Mapping[str, Any]) -> VideoDataModule:
    """The data of a configuration."""
    parser = WholeNames(exit_on_error=False)
    parser.add_subclass_arguments(VideoDataModule, "data", required=True)
    data: VideoDataModule = parser.instantiate(parser.parse_object({"data": settings["data"]})).data
    return data
