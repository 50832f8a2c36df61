"""The runs that the tests look at: each a process of its own with a limit, started in parallel, made once.

A run that fails or hangs fails the tests that look at it, and leaves the others alone.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from benchmark.process import UNTIL_EOF
from tests.generators.small_test import options

ROOT = Path(__file__).resolve().parents[2]
IS_DRY = os.environ.get("CLIPBENCH_GPU_TESTS") == "cpu"
"""Whether the processor stands in for the GPU, to try the tests themselves."""
ACCELERATOR = "cpu" if IS_DRY else "gpu"
SECONDS = 1200 if IS_DRY else 150
"""Limit of a run."""
SHOWN = 3000


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished process.

    Args:
        code: Its exit code, None where it was ended at the limit.
        output: What it printed.
        folder: Its run folder.
        seconds: How long it took.
    """

    code: int | None
    output: str
    folder: Path
    seconds: float

    @property
    def checkpoint(self) -> str:
        """Its last weights."""
        return str(self.folder / "checkpoints/last.ckpt")


class Runs:
    """Starts runs and hands them out.

    Args:
        data: The smallest set of the embedded data.
        folder: Where run folders go.
        at_once: Processes side by side.
    """

    def __init__(self, data: Path, folder: Path, at_once: int) -> None:
        self.data, self.folder = data, folder
        self._pool = ThreadPoolExecutor(at_once)
        self._started: dict[str, Future[Run]] = {}
        self._processes: list[subprocess.Popen[str]] = []
        self._is_closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Start nothing more and end what runs: pytest waits for the threads of the pool before it goes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                if process.returncode is None:
                    _kill(process)

    def start(
        self, name: str, words: Callable[[], list[str]], *, killed: bool = False, seconds: float = SECONDS
    ) -> None:
        """Start a process once the runs that its words name are there.

        Args:
            name: Of the run.
            words: What follows `python`; called in the thread of the run, it may wait for other runs by `need`.
            killed: Whether it is killed as soon as it has left a checkpoint.
            seconds: Its limit.
        """
        self._started[name] = self._pool.submit(self._run, name, words, killed, seconds)

    def wait(self, name: str) -> Run:
        """A run, whatever became of it."""
        return self._started[name].result()

    def need(self, name: str) -> Run:
        """A run that must have worked; waits for it."""
        run = self.wait(name)
        if run.code != 0:
            how = f"ended with {run.code}" if run.code is not None else f"was ended after {run.seconds:.0f} s"
            pytest.fail(f"run {name} {how}:\n{run.output[-SHOWN:]}", pytrace=False)
        return run

    def verb(self, verb: str, name: str, *more: str, device: str = ACCELERATOR) -> list[str]:
        """Words of a small run of a verb on a device, options behind `--config`."""
        words = [word if word != "cpu" else device for word in options(self.data, self.folder / name, *more)]
        return ["-m", "benchmark", verb, *words, "--trainer.devices", "1"]

    def _run(self, name: str, words: Callable[[], list[str]], killed: bool, seconds: float) -> Run:
        folder, begun = self.folder / name, time.monotonic()
        with (self.folder / f"{name}.txt").open("w+", encoding="utf-8") as output:
            process = self._begun([sys.executable, *words()], output)
            code = _killed(process, folder / "checkpoints/last.ckpt", seconds) if killed else _ended(process, seconds)
            output.seek(0)
            return Run(code, output.read(), folder, time.monotonic() - begun)

    def _begun(self, command: list[str], output: IO[str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the tests are over")
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                # Nobody else ends what is in a session of its own, should these tests be killed.
                env={**os.environ, "OMP_NUM_THREADS": "2", UNTIL_EOF: "1"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                start_new_session=True,
            )
            self._processes.append(process)
            return process


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill it with all that it has started, which would keep the GPU."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _ended(process: subprocess.Popen[str], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()
        return None


def _killed(process: subprocess.Popen[str], checkpoint: Path, seconds: float) -> int | None:
    """0 where it was killed while it trained and after it had left a checkpoint."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and not checkpoint.exists():
        time.sleep(0.02)
    _kill(process)
    left = process.wait()
    return 0 if checkpoint.exists() and left in {-getattr(signal, "SIGKILL", 9), 1} else left
