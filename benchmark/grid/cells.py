"""A cell of a grid: some fits and a test that leave a ledger and a record in one folder.

Everything that is done is a file, so a killed cell goes on where it stopped. The fits and the test are processes of
their own: what one of them dies of does not reach the others.
"""

import dataclasses
import json
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.grid import processes
from benchmark.grid.processes import CellFailure, locked
from benchmark.metrics.descriptors import lower_is_better
from benchmark.models.stored import read_checkpoint
from benchmark.results.record import FILE_NAME as RECORD_NAME

FAILURE_NAME, LOG_NAME = "failed.txt", processes.LOG_NAME
NOT_RUN = "not run"


class Cell(ABC):
    """What every cell has.

    Args:
        number: From 1, in the order of the grid.
        folder: Where its record will be.
    """

    number: int
    folder: Path

    @property
    @abstractmethod
    def name(self) -> str:
        """For people and as a folder."""

    @property
    def is_finished(self) -> bool:
        """Whether its record is there."""
        return (self.folder / RECORD_NAME).is_file()

    def state(self) -> str:
        """`finished`, `failed`, `unfinished` or `not run`, from its files."""
        if self.is_finished:
            return "finished"
        if (self.folder / FAILURE_NAME).is_file():
            return "failed"
        return "unfinished" if (self.folder / LOG_NAME).is_file() else NOT_RUN

    def failure(self) -> str:
        """Why it failed."""
        return (self.folder / FAILURE_NAME).read_text("utf-8").strip()


@dataclasses.dataclass(frozen=True)
class Validated:
    """The best validation of a fit.

    Args:
        score: What `best.ckpt` was chosen by.
        monitor: Its name.
        mode: `min` if less of it is better; None as the suite knows it, which fits did not say at first.
    """

    score: float
    monitor: str
    mode: str | None = None

    @property
    def rising(self) -> float:
        """The score, the higher the better: a loss or an error is negated."""
        is_min = lower_is_better(self.monitor) if self.mode is None else self.mode == "min"
        return -self.score if is_min else self.score


@dataclasses.dataclass(frozen=True)
class Running:
    """A cell that this process holds, and what can be done in it.

    Args:
        cell: The cell.
        head: What lines about it begin with.
        lock: Descriptor that child processes inherit, or -1.
    """

    cell: Cell
    head: str
    lock: int

    def say(self, text: str) -> None:
        """Print a line about the cell."""
        print(f"{self.head}: {text}", flush=True)

    def verb(self, words: Sequence[str]) -> None:
        """Run a verb of the command line to its end.

        Raises:
            CellFailure: If it ends with an error, with its message.
        """
        processes.run_verb(words, self.cell.folder, self.lock)

    def fit(self, run: Path, config: dict[str, Any], words: Sequence[str] = (), what: str = "") -> Validated:
        """Train in a run folder, from where an earlier process stopped.

        Args:
            run: The run folder.
            config: The fit's configuration.
            words: Options that win over it.
            what: Is said beside `fit`.

        Returns:
            The best validation score.
        """
        done = run / "fit.json"
        if done.is_file():
            held = json.loads(done.read_text("utf-8"))
            return Validated(float(held["score"]), str(held["monitor"]), held.get("mode"))
        run.mkdir(parents=True, exist_ok=True)
        file, last = run / "fit.yaml", run / "checkpoints/last.ckpt"
        write_whole(file, yaml.safe_dump(config, sort_keys=False))
        resume = []
        if last.is_file():
            try:
                read_checkpoint(str(last))
            except UserError:  # cut off while it was written
                shutil.rmtree(run / "checkpoints")
            else:
                resume = ["--ckpt_path", "last"]
        self.say(f"{'going on' if resume else 'fit'}{what}")
        begun = time.monotonic()
        self.verb(["fit", "--config", str(file), "--run_dir", str(run), *words, *resume])
        found = _validated(run)
        seconds = time.monotonic() - begun
        write_whole(done, json.dumps({**dataclasses.asdict(found), "seconds": seconds}))
        self.say(f"{found.monitor} {found.score:.4f}{what}, {seconds:.0f} s")
        return found

    def test(self, run: Path) -> None:
        """Test the best checkpoint of a fit's run folder; leaves ledger and record in the cell's."""
        self.say("test")
        config, best = run / "config.yaml", run / "checkpoints/best.ckpt"
        self.verb(["test", "--config", str(config), "--run_dir", str(self.cell.folder), "--ckpt_path", str(best)])

    def require_record(self) -> None:
        """Refuse a cell whose steps have ended without one.

        Raises:
            CellFailure: With the log.
        """
        if not self.cell.is_finished:
            raise CellFailure(f"the test ended without a record; see {self.cell.folder / LOG_NAME}")


def run_cell(cell: Cell, count: int, steps: Callable[[Running], None], tidy: Callable[[], None] = lambda: None) -> bool:
    """Bring a cell to its end, or say why that failed.

    Args:
        cell: The cell.
        count: Number of cells, for the lines shown.
        steps: What is done in it; each must see from files what was done before.
        tidy: Removes what a finished cell needs no more; it is called whenever the cell is met.

    Returns:
        Whether it is finished.
    """
    head = f"cell {cell.number} of {count}, {cell.name}"
    if cell.is_finished:
        print(f"{head}: finished before", flush=True)
        tidy()
        return True
    try:
        cell.folder.mkdir(parents=True, exist_ok=True)
        with locked(cell.folder / "lock") as lock:
            if lock is None:
                print(f"{head}: another process runs it", flush=True)
                return False
            if cell.is_finished:
                return True
            (cell.folder / FAILURE_NAME).unlink(missing_ok=True)
            running = Running(cell, head, lock)
            try:
                steps(running)
                running.require_record()
            except (CellFailure, UserError, OSError) as error:
                print(f"{head}: FAILED: {error}", flush=True)
                (cell.folder / FAILURE_NAME).write_text(f"{error}\n", "utf-8")
                return False
    except OSError as error:  # not even that could be written
        print(f"{head}: FAILED: {error}", flush=True)
        return False
    tidy()
    return True


def _validated(run: Path) -> Validated:
    """What `best.ckpt` was chosen by."""
    best = run / "checkpoints/best.ckpt"
    if not best.is_file():
        raise CellFailure(f"{run} has no best.ckpt: nothing was validated, so nothing can be chosen")
    for state in read_checkpoint(str(best)).get("callbacks", {}).values():
        if isinstance(state, dict) and state.get("monitor") and state.get("best_model_score") is not None:
            return Validated(float(state["best_model_score"]), str(state["monitor"]), state.get("mode"))
    raise CellFailure(f"{best} does not say what it was chosen by")
