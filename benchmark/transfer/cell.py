"""Runs one cell of a transfer grid: a fit for each keep probability, the choice on validation, one test.

Everything that is done is a file, so a killed cell goes on where it stopped. The fits and the test are processes of
their own: what one of them dies of does not reach the others.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import yaml
from filelock import FileLock, Timeout

from benchmark.errors import UserError
from benchmark.files import UNFINISHED, write_whole
from benchmark.process import UNTIL_EOF
from benchmark.runs.folder import read_checkpoint
from benchmark.transfer.grid import CHOICE_NAME, FAILURE_NAME, LOG_NAME, Cell, Experiment

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_WAIT_SECONDS = 20.0
"""For processes of a killed grid to end."""


class CellFailure(Exception):
    """A fit or test of a cell ended with an error."""


def run_cell(experiment: Experiment, cell: Cell, count: int) -> bool:
    """Bring a cell to its end, or say why that failed.

    Args:
        experiment: The grid.
        cell: The cell.
        count: Number of cells, for the lines shown.

    Returns:
        Whether it is finished.
    """
    head = f"cell {cell.number} of {count}, {cell.name}"
    if cell.is_finished:
        print(f"{head}: finished before", flush=True)
        _tidy(cell)
        return True
    try:
        cell.folder.mkdir(parents=True, exist_ok=True)
        with _locked(cell.folder / "lock") as lock:
            if lock is None:
                print(f"{head}: another process runs it", flush=True)
                return False
            if cell.is_finished:
                return True
            (cell.folder / FAILURE_NAME).unlink(missing_ok=True)
            try:
                keep = _choose(experiment, cell, head, lock)
                _test(cell, keep, head, lock)
            except (CellFailure, UserError, OSError) as error:
                print(f"{head}: FAILED: {error}", flush=True)
                (cell.folder / FAILURE_NAME).write_text(f"{error}\n", "utf-8")
                return False
    except OSError as error:  # not even that could be written
        print(f"{head}: FAILED: {error}", flush=True)
        return False
    _tidy(cell)
    return True


def keep_folder(cell: Cell, keep: float) -> Path:
    """Run folder of the fit with one keep probability."""
    return cell.folder / f"keep-{keep:g}"


def _choose(experiment: Experiment, cell: Cell, head: str, lock: int) -> float:
    """Train with each keep probability; returns the one with the best validation score, the first of equal ones."""
    candidates = experiment.grid.regimes[cell.regime].keep_probabilities
    scores = {keep: _fit(experiment, cell, keep, head, lock) for keep in candidates}
    best = max(candidates, key=lambda keep: scores[keep])
    choice = {
        "keep_probability": best,
        "chosen_on": f"the validation videos of fold {cell.fold}",
        "validation": {f"{keep:g}": score for keep, score in scores.items()},
    }
    write_whole(cell.folder / CHOICE_NAME, json.dumps(choice, indent=1))
    return best


def _fit(experiment: Experiment, cell: Cell, keep: float, head: str, lock: int) -> float:
    """Train with one keep probability, from where an earlier one stopped; returns its best validation score."""
    run = keep_folder(cell, keep)
    done = run / "fit.json"
    if done.is_file():
        return float(json.loads(done.read_text("utf-8"))["score"])
    run.mkdir(parents=True, exist_ok=True)
    for unfinished in (cell.folder / "features").glob(f"*{UNFINISHED}"):  # of a fit that was killed
        shutil.rmtree(unfinished)
    config, last = run / "fit.yaml", run / "checkpoints/last.ckpt"
    write_whole(config, yaml.safe_dump(experiment.fit_config(cell, keep), sort_keys=False))
    resume = []
    if last.is_file():
        try:
            read_checkpoint(str(last))
        except UserError:  # cut off while it was written
            shutil.rmtree(run / "checkpoints")
        else:
            resume = ["--ckpt_path", "last"]
    print(f"{head}: {'going on' if resume else 'fit'} with {keep:.0%} of the units kept", flush=True)
    begun = time.monotonic()
    _verb(["fit", "--config", str(config), "--run_dir", str(run), *experiment.fit_words(cell), *resume], cell, lock)
    score, monitor = _validation_score(run)
    seconds = time.monotonic() - begun
    write_whole(done, json.dumps({"score": score, "monitor": monitor, "seconds": seconds}))
    print(f"{head}: {monitor} {score:.4f} with {keep:.0%} kept, {seconds:.0f} s", flush=True)
    return score


def _validation_score(run: Path) -> tuple[float, str]:
    """What `best.ckpt` was chosen by."""
    best = run / "checkpoints/best.ckpt"
    if not best.is_file():
        raise CellFailure(f"{run} has no best.ckpt: nothing was validated, so nothing can be chosen")
    for state in read_checkpoint(str(best)).get("callbacks", {}).values():
        if isinstance(state, dict) and state.get("monitor") and state.get("best_model_score") is not None:
            return float(state["best_model_score"]), str(state["monitor"])
    raise CellFailure(f"{best} does not say what it was chosen by")


def _test(cell: Cell, keep: float, head: str, lock: int) -> None:
    run = keep_folder(cell, keep)
    print(f"{head}: test", flush=True)
    config, best = run / "config.yaml", run / "checkpoints/best.ckpt"
    words = ["test", "--config", str(config), "--run_dir", str(cell.folder), "--ckpt_path", str(best)]
    _verb(words, cell, lock)
    if not cell.is_finished:
        raise CellFailure(f"the test ended without a record; see {cell.folder / LOG_NAME}")


def _tidy(cell: Cell) -> None:
    """Remove what a finished cell needs no more: features, and all weights but those that were tested."""
    shutil.rmtree(cell.folder / "features", ignore_errors=True)
    try:
        keep = float(json.loads((cell.folder / CHOICE_NAME).read_text("utf-8"))["keep_probability"])
        tested = keep_folder(cell, keep) / "checkpoints/best.ckpt"
        for path in cell.folder.glob("keep-*/checkpoints/*.ckpt"):
            if path != tested:
                path.unlink(missing_ok=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{cell.folder} keeps weights that it needs no more: {error}", flush=True)


def _verb(words: Sequence[str], cell: Cell, lock: int) -> None:
    """Run a verb of the command line to its end, its output in the cell's log.

    Raises:
        CellFailure: If it ends with an error, with its message.
    """
    log = cell.folder / LOG_NAME
    environment = {name: value for name, value in os.environ.items() if name not in {"CLIPBENCH_RUN_DIR", "LOCAL_RANK"}}
    environment |= {UNTIL_EOF: "1", "PYTHONIOENCODING": "utf-8"}
    with log.open("ab") as sink:
        sink.write(f"\n$ {' '.join(words)}\n".encode())
        sink.flush()
        begins = sink.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmark", *words],
            stdin=subprocess.PIPE,  # which the system closes when this process ends, however it does
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(lock,) if lock >= 0 else (),
        )
        try:
            code = child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
    if code:
        with log.open("rb") as written:
            written.seek(begins)
            raise CellFailure(f"{words[0]}: {_reason(written, code)}; see {log}")


def _reason(log: IO[bytes], code: int) -> str:
    """What a process said last: its message, or its last line."""
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    own = [line.removeprefix("clipbench: ") for line in lines if line.startswith("clipbench: ")]
    if own:
        return own[-1]
    ended = f"killed by {_signal_name(-code)}" if code < 0 else f"exit code {code}"
    return f"{lines[-1]} ({ended})" if lines else ended


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Hold a cell; yields a descriptor that child processes inherit, and the lock with it, or None if it is taken.

    Where the system has no locks that are inherited, this process alone holds it and -1 is yielded; where the file
    system has no locks, nothing is locked, and -1 is yielded too.
    """
    if fcntl is None:
        try:
            with FileLock(path, timeout=_WAIT_SECONDS):
                yield -1
        except Timeout:
            yield None
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    deadline, held = time.monotonic() + _WAIT_SECONDS, None
    try:
        while held is None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = descriptor
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            except OSError:  # a file system without locks
                held = -1
        yield held
    finally:
        os.close(descriptor)
