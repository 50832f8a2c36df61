"""Runs that are killed or told to stop, over and over, and go on: in the end everything is as without that."""

import dataclasses
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.data.synthetic import read_synthetic_index
from benchmark.files import file_hash
from tests.campaign.attacks import Kind, Outcome, require
from tests.campaign.commands import Command, Ended, require_one_message, run
from tests.generators.small_test import options

_MOST_STOPS = 4


@dataclasses.dataclass(frozen=True)
class Ground:
    """What runs are compared with: the same ones, undisturbed.

    Args:
        data: Generated videos.
        run: Folder of a fit of two epochs and its test.
        fit_seconds: How long the fit took.
        test_seconds: How long the test took.
    """

    data: Path
    run: Path
    fit_seconds: float
    test_seconds: float

    def fit(self, folder: Path) -> list[str]:
        """The fit's command line, which goes on where it can."""
        last = ["--ckpt_path", "last"] if (folder / "checkpoints/last.ckpt").exists() else []
        few = ["--trainer.limit_train_batches", "6", "--trainer.max_epochs", "2", "--checkpoint.minutes", "0.005"]
        return ["fit", *options(self.data, folder, *few), *last]

    def test(self, folder: Path) -> list[str]:
        """The test's command line."""
        return ["test", *options(self.data, folder), "--ckpt_path", "last"]


def prepare(folder: Path) -> Ground:
    """Generate the videos, and run a fit and a test of it to their ends."""
    data = folder / "data"
    read_synthetic_index(data, source_groups=3)
    ground = Ground(data, folder / "run", 0.0, 0.0)
    fit = run(ground.fit(ground.run), folder / "fit.log")
    test = run(ground.test(ground.run), folder / "test.log")
    if fit.code or test.code:
        raise RuntimeError(f"fit: {fit.code}, test: {test.code}: {fit.said[-500:]} {test.said[-500:]}")
    return dataclasses.replace(ground, fit_seconds=fit.seconds, test_seconds=test.seconds)


def weights(path: Path) -> dict[str, Any]:
    """What a checkpoint holds of the training's state."""
    held = torch.load(path, weights_only=True, map_location="cpu")
    return {name: held[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")}


def is_equal(one: Any, other: Any) -> bool:
    """Whether two states are the same to the last bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(is_equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_equal, one, other))
    return bool(one == other)


def _stopped(command: Command, seconds: float, number: int) -> Ended:
    """Send a signal after some time; the exit code must not say that all was done unless it was."""
    time.sleep(seconds)
    command.signal(number)
    return command.wait()


def _check(ended: Ended, number: int, what: str, done: bool) -> None:
    name = signal.Signals(number).name
    require("Traceback" not in ended.said, f"{what}, {name}: a traceback: {ended.said[-400:]}")
    if ended.code > 0 and ended.said.strip() and not done:  # else it was stopped before it could say anything
        require_one_message(ended, f"{what}, {name}")
    require(ended.code != 0 or done, f"{what}, {name}: exit code 0 before its end")


def _is_done(path: Path, ground: Ground) -> bool:
    """Whether a fit was trained to its end."""
    last = path / "checkpoints/last.ckpt"
    return last.exists() and is_equal(weights(last), weights(ground.run / "checkpoints/last.ckpt"))


def _disturb(ground: Ground, seed: int, folder: Path, signals: list[int]) -> Outcome:
    rng = np.random.default_rng([seed, 11])
    path, stops = folder / "run", 0
    for stops in range(1, int(rng.integers(1, _MOST_STOPS)) + 1):
        number = int(rng.choice(signals))
        command = Command(ground.fit(path), folder / f"fit{stops}.log")
        ended = _stopped(command, float(rng.uniform(0, 1.1 * ground.fit_seconds)), number)
        _check(ended, number, f"fit, stop {stops}", _is_done(path, ground))
        if ended.code == 0:
            break
    else:
        ended = run(ground.fit(path), folder / "fit.log")
    is_over = ended.code == 2 and "already" in ended.said  # killed after its last checkpoint
    require(ended.code == 0 or is_over, f"fit does not go on: {ended.said[-400:]}")
    for name in ("last", "best"):
        same = is_equal(weights(path / f"checkpoints/{name}.ckpt"), weights(ground.run / f"checkpoints/{name}.ckpt"))
        require(same, f"{name}.ckpt differs after {stops} stops")
    number = int(rng.choice(signals))
    ended = _stopped(Command(ground.test(path), folder / "t1.log"), float(rng.uniform(0, ground.test_seconds)), number)
    _check(ended, number, "test", (path / "record.json").exists())
    if ended.code:
        ended = run(ground.test(path), folder / "test.log")
        is_over = ended.code == 2 and "holds a finished test" in ended.said  # killed after its record
        require(ended.code == 0 or is_over, f"test does not go on: {ended.said[-400:]}")
    same = file_hash(path / "ledger.parquet") == file_hash(ground.run / "ledger.parquet")
    require(same, "the ledger differs after the test was stopped")
    return Outcome("survived", f"{stops + 1} stops")


def kill(ground: Ground, seed: int, folder: Path) -> Outcome:
    """Kill a fit and its test at random moments."""
    return _disturb(ground, seed, folder, [signal.SIGKILL])


def stop(ground: Ground, seed: int, folder: Path) -> Outcome:
    """Tell a fit and its test to stop at random moments."""
    return _disturb(ground, seed, folder, [signal.SIGTERM, signal.SIGINT])


KILLS = Kind("kills", kill, prepare, size=40, seconds=600, share=4)
SIGNALS = Kind("signals", stop, prepare, size=30, seconds=600, share=3)
