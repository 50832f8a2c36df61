"""Grids of transfer and of the whole paper that are killed: in the end each has the ledgers of one that was not."""

import dataclasses
import signal
import time
from pathlib import Path

import numpy as np

from benchmark.data.synthetic import read_synthetic_index
from benchmark.files import file_hash
from tests.campaign.attacks import Kind, Outcome, require
from tests.campaign.commands import Command, Ended, run
from tests.generators.small_test import options
from tests.generators.transfer_grids import MOTION, write_config

_MOST_KILLS = 3
_SECONDS = 400.0


@dataclasses.dataclass(frozen=True)
class Grid:
    """A grid and what it came to when nothing disturbed it.

    Args:
        words: Its command line but for the folder.
        option: Names the folder.
        seconds: How long it took.
        ledgers: Hashes of its ledgers by their place.
    """

    words: list[str]
    option: str
    seconds: float = 0.0
    ledgers: dict[str, str] = dataclasses.field(default_factory=dict)

    def command(self, folder: Path) -> list[str]:
        """Its command line."""
        return [*self.words, self.option, str(folder)]


def prepare(folder: Path) -> list[Grid]:
    """Run both to their ends."""
    data = folder / "data"
    read_synthetic_index(data, source_groups=3)
    fit = run(["fit", *options(data, folder / "pretrained", "--data.classes", "[Discs, Tiles]")], folder / "fit.log")
    if fit.code:
        raise RuntimeError(f"fit: {fit.said[-500:]}")
    regimes = {"top": {"keep_probabilities": [0.2, 0.9]}, "scratch": {"keep_probabilities": [0.9], "max_epochs": 1}}
    config = write_config(folder, data, regimes=regimes, folds=[1])
    weights = str(folder / "pretrained/checkpoints/last.ckpt")
    paper = [
        *("reproduce", "--width", "0.05", "--epochs", "1", "--folds", "1", "--only", "single_frame"),
        *("--data.root", str(data), "--data.source_groups", "3", "--data.classes", f"[{','.join(MOTION)}]"),
        *("--data.num_workers", "0", "--data.batch_size", "4", "--trainer.logger", "false"),
        *("--data.clips_per_video", '{"train": 8, "train_epoch": 1, "validation": 1, "test": 3}'),
        *("--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false"),
    ]
    transfer = ["transfer", "--config", str(config), "--pretrained", weights]
    grids = [Grid(transfer, "--run_dir"), Grid(paper, "--out")]
    return [_undisturbed(grid, folder / grid.words[0]) for grid in grids]


def _undisturbed(grid: Grid, folder: Path) -> Grid:
    ended = _run(grid.command(folder), folder.with_suffix(".log"))
    found = _ledgers(folder)
    if ended.code or not found:
        raise RuntimeError(f"{grid.words[0]}: code {ended.code}, {len(found)} ledgers: {ended.said[-500:]}")
    return dataclasses.replace(grid, seconds=ended.seconds, ledgers=found)


def _run(words: list[str], log: Path) -> Ended:
    return Command(words, log).wait(_SECONDS)


def _ledgers(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_hash(path) for path in sorted(folder.rglob("ledger.parquet"))}


def attack(grids: list[Grid], seed: int, folder: Path) -> Outcome:
    """Kill a grid at random moments, now its own process alone and now all that it began, and let it go on."""
    rng = np.random.default_rng([seed, 23])
    grid, path = grids[seed % len(grids)], folder / "grid"
    kills = int(rng.integers(1, _MOST_KILLS + 1))
    killed: list[Command] = []
    try:
        for number in range(kills):
            killed.append(Command(grid.command(path), folder / f"{number}.log"))
            time.sleep(float(rng.uniform(0, grid.seconds)))
            if rng.integers(2):
                killed[-1].signal_all(signal.SIGKILL)
            else:  # what it has begun may still run when the next one comes
                killed[-1].signal(signal.SIGKILL)
        done = _run(grid.command(path), folder / "last.log")
    finally:
        for command in killed:
            command.wait()
    what = f"{grid.words[0]}, {kills} kills"
    require(done.code == 0, f"{what}: it does not go on: {done.said[-400:]}")
    require("Traceback" not in done.said, f"{what}: a traceback: {done.said[-400:]}")
    require(_ledgers(path) == grid.ledgers, f"{what}: other ledgers than those of an undisturbed grid")
    return Outcome("survived", what)


GRIDS = Kind("grids", attack, prepare, size=12, seconds=1800, share=3)
