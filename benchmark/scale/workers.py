"""A verb of the Trainer on the workers of a Ray cluster: which words each runs, and what becomes of a lost one."""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmark.added_scores import take_scores
from benchmark.errors import UserError
from benchmark.grid.processes import Part
from benchmark.messages import for_the_user
from benchmark.models.stored import read_checkpoint
from benchmark.plugins import load_plugins
from benchmark.process import tune_process
from benchmark.runs.folder import SHARED
from benchmark.runs.ranks import LostProcess
from benchmark.scale.downpour import REPLICA
from benchmark.training_cli import train

_REPORT = "ray.train.lightning.RayTrainReportCallback"
_STORED = "checkpoint.ckpt"  # as RayTrainReportCallback calls it


@dataclasses.dataclass(frozen=True)
class Job:
    """One verb, as every worker runs it.

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
        words: Its options.
        run_dir: The run folder: the same name on every machine, whether they share it or not.
        folder: Where the command was given; relative paths begin there, on machines that have it.
        reports: Whether each epoch's checkpoint goes to Ray's storage, from which a run goes on whose machines are
            all lost.
        paths: What the process that gave the command imports from.
        mark: Line after which a worker says nothing more.
    """

    verb: str
    words: tuple[str, ...]
    run_dir: Path
    folder: Path
    reports: bool
    paths: tuple[str, ...]
    mark: str

    def command(self) -> list[str]:
        """The words of a worker, which Ray has given its place among the others."""
        own = [self.verb, *self.words, "--run_dir", str(self.run_dir), "--trainer.devices", "auto"]
        own += ["--trainer.strategy", _named("ray.train.lightning.RayDDPStrategy")]
        own += ["--trainer.plugins", _named("ray.train.lightning.RayLightningEnvironment")]
        if self.verb == "fit":
            own += ["--ckpt_path", "auto"]
            own += ["--trainer.callbacks+", _named(_REPORT)] if self.reports else []
        return own

    def replica_command(self, options: str) -> list[str]:
        """The words of a replica of Downpour.

        Args:
            options: Of `Downpour`, as JSON.
        """
        strategy = _named("benchmark.scale.downpour.Downpour", **json.loads(options))
        own = [self.verb, *self.words, "--run_dir", str(self.run_dir), "--ckpt_path", "auto"]
        return [*own, "--trainer.devices", "1", "--trainer.strategy", strategy]


def _named(cls: str, **options: Any) -> str:
    """A class as a value of an option that also takes names of Lightning's own."""
    return json.dumps({"class_path": cls, "init_args": options})


def work(job: Job) -> str | None:
    """Run a job in a worker of Ray Train; returns what it was refused for, which is not tried again.

    Raises:
        LostProcess: If another worker is lost, so that Ray starts all of them again.
    """
    _begin(job.folder, job.paths)
    if job.verb == "fit":
        take_stored(job.run_dir)
    refused = _refusal(job.command())
    print(job.mark, flush=True)
    return refused


def replicate(job: Job, options: str) -> str | None:
    """Run a fit as a replica of Downpour, which the environment names; returns what it was refused for.

    Args:
        job: The fit.
        options: See `Job.replica_command`.
    """
    _begin(job.folder, job.paths)
    refused = _refusal(job.replica_command(options))
    if os.environ[REPLICA] == "0":
        print(job.mark, flush=True)
    return refused


def _begin(folder: Path, paths: tuple[str, ...]) -> None:
    os.environ.pop(SHARED, None)  # of a run in which the cluster was started
    with contextlib.suppress(OSError):
        os.chdir(folder)
    sys.path[:0] = [path for path in paths if path not in sys.path]
    tune_process()


def _refusal(words: list[str]) -> str | None:
    try:
        rest = take_scores(words[1:])
        load_plugins()
        train(words[0], rest)
    except LostProcess:
        raise
    except Exception as error:
        message = for_the_user(error)
        if message is None:
            raise
        return message
    return None


def take_stored(run_dir: Path) -> None:
    """Let the newest checkpoint of Ray's storage be this machine's `last.ckpt`, where that is older or not there."""
    train: Any = importlib.import_module("ray.train")
    stored = train.get_checkpoint()
    if stored is None or train.get_context().get_local_rank() != 0:
        return
    with stored.as_directory() as folder:
        found, own = Path(folder) / _STORED, run_dir / "checkpoints" / "last.ckpt"
        if own.is_file() and _steps(own) >= _steps(found):
            return
        own.parent.mkdir(parents=True, exist_ok=True)
        unfinished = own.with_name(f"{own.name}.stored.new")
        shutil.copyfile(found, unfinished)
        unfinished.replace(own)


def _steps(checkpoint: Path) -> int:
    try:
        return int(read_checkpoint(str(checkpoint)).get("global_step", 0))
    except UserError:  # damaged
        return -1


def parameters_of(words: Sequence[str], option: str) -> str | None:
    """The value that a command line gives an option last, or None."""
    found = None
    for place, word in enumerate(words):
        head, sign, value = word.partition("=")
        if head == option:
            found = value if sign else next(iter(words[place + 1 : place + 2]), None)
    return found


class Grid(Protocol):
    """`main` of the verb of a grid."""

    def __call__(self, argv: Sequence[str], part: Part = "all") -> int:
        """Run the verb, or a part of it, and return the exit code."""


def cell_states(grid: Grid, words: Sequence[str]) -> dict[int, str]:
    """State of each cell by its number, as the verb's `--list` says.

    Args:
        grid: The verb.
        words: Its options.
    """
    with contextlib.redirect_stdout(io.StringIO()) as listed:
        grid([*words, "--list"])
    rows = [re.split(r" {2,}", line.strip()) for line in listed.getvalue().splitlines()]
    header = next(row for row in rows if row[0] == "cell")
    return {int(row[0]): row[header.index("state")] for row in rows if row[0].isdigit() and len(row) == len(header)}


def run_cell(grid: Grid, words: tuple[str, ...], cell: int, folder: Path, paths: tuple[str, ...], mark: str) -> str:
    """Run one cell of a grid; returns its state, or what it was refused for.

    Args:
        grid: The verb.
        words: Its options.
        cell: Number, from 1.
        folder: Where the command was given.
        paths: See `Job`.
        mark: See `Job`.
    """
    _begin(folder, paths)
    try:
        grid([*words, "--cell", str(cell)], "cells")
        state = cell_states(grid, words)[cell]
    except Exception as error:
        message = for_the_user(error)
        if message is None:
            raise
        state = f"refused: {message}"
    print(mark, flush=True)
    return state
