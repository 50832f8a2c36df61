"""Verbs in processes of their own, and the lock that they inherit."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal

from filelock import FileLock, Timeout

from benchmark.errors import UserError
from benchmark.process import UNTIL_EOF

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOG_NAME = "log.txt"

Part = Literal["all", "check", "cells", "report"]
"""What a verb over a grid does: everything, or one part of it for `launch`. `check` refuses what no cell could be run
with, `cells` runs them and reports nothing, `report` reports and publishes what is finished and runs none."""

_WAIT_SECONDS = 20.0
"""For processes of a killed grid to end."""

_REPORT_SECONDS = 600.0
"""For others to write their report, of which the longest takes a minute."""


def going_on_later(run: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Run a verb over a grid; where it is interrupted, say that nothing is lost, and return the code of that."""
    try:
        return run(argv)
    except KeyboardInterrupt:
        print("clipbench: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT


class CellFailure(Exception):
    """A verb of a cell ended with an error."""


def run_verb(words: Sequence[str], folder: Path, lock: int) -> None:
    """Run a verb of the command line to its end, its output in the log of a cell's folder.

    Raises:
        CellFailure: If it ends with an error, with its message.
    """
    log = folder / LOG_NAME
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
def reporting(folder: Path) -> Iterator[None]:
    """Write the report of a grid alone: cells of a cluster end at the same time, and the last must see them all.

    Where the file system has no locks they may still write at once, so each writes to names of its own first.

    Raises:
        UserError: If another process does not finish its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "report.lock", _REPORT_SECONDS) as lock:
        if lock is None:
            raise UserError(
                f"another process has been writing the report in {folder} for {_REPORT_SECONDS / 60:g} minutes; "
                "end it, and give the command again: what is finished stays"
            )
        yield


@contextlib.contextmanager
def locked(path: Path, wait_seconds: float | None = None) -> Iterator[int | None]:
    """Hold a cell; yields a descriptor that child processes inherit, and the lock with it, or None if it is taken.

    Where the system has no locks that are inherited, this process alone holds it and -1 is yielded; where the file
    system has no locks, nothing is locked, and -1 is yielded too.
    """
    seconds = _WAIT_SECONDS if wait_seconds is None else wait_seconds
    if fcntl is None:
        try:
            with FileLock(path, timeout=seconds):
                yield -1
        except Timeout:
            yield None
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    deadline, held = time.monotonic() + seconds, None
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
