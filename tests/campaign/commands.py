"""Real processes that run a command line of the suite, begun as copies of this one so that each begins at once."""

import contextlib
import dataclasses
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmark.cli import main
from benchmark.plugins import load_plugins
from tests.campaign.attacks import require

_POLL_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Args:
        code: Exit code; below 0 the signal that killed it.
        said: What it printed.
        seconds: How long it took.
    """

    code: int
    said: str
    seconds: float


class Command:
    """A running `clipbench WORDS`.

    Args:
        words: Its command line.
        log: File for what it prints.
        environment: Added to this process's.
        before: Run in the new process before anything else.
        file_bytes: Largest file that it may write, as where a quota is used up.
    """

    def __init__(
        self,
        words: Sequence[str],
        log: Path,
        *,
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
        file_bytes: int | None = None,
    ) -> None:
        self._log, self._begun = log, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _become(words, log, environment or {}, before, file_bytes)

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """Send a signal to it and to all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it has; it stays to be waited for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, seconds: float = 120.0) -> Ended:
        """Wait for its end; one that does not come is a fault, and then it is killed."""
        until = time.monotonic() + seconds
        while not self.has_ended():
            if time.monotonic() > until:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                require(False, f"it hangs: no end for {seconds:g} seconds; it said last: {_last(self.said())}")
            time.sleep(_POLL_SECONDS)
        _, status = os.waitpid(self.pid, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what it has started and left
        return Ended(os.waitstatus_to_exitcode(status), self.said(), time.monotonic() - self._begun)

    def said(self) -> str:
        """What it has printed so far."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""


def _become(
    words: Sequence[str],
    log: Path,
    environment: dict[str, str],
    before: Callable[[], None] | None,
    file_bytes: int | None,
) -> None:
    """Turn this copy into the command; does not return."""
    code = 70
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, place in ((nothing, 0), (sink, 1), (sink, 2)):
            os.dup2(source, place)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, "utf-8", "replace", closefd=False) for number in (1, 2))
        os.environ.pop("CLIPBENCH_RUN_DIR", None)
        os.environ.update(environment)
        if before is not None:
            before()
        if file_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        torch.set_num_threads(1)  # a copy has none of the threads that would share the work
        load_plugins.cache_clear()
        code = main(list(words))
    except KeyboardInterrupt:  # before the command line was reached
        code = 128 + signal.SIGINT
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def run(words: Sequence[str], log: Path, **options: object) -> Ended:
    """Run a command to its end."""
    return Command(words, log, **options).wait()  # type: ignore[arg-type]


def require_one_message(ended: Ended, what: str) -> None:
    """Of a command that was refused: no traceback, and a message that is its last word."""
    require("Traceback" not in ended.said, f"{what}: a traceback: {_last(ended.said)}")
    require(ended.code > 0, f"{what}: exit code {ended.code}")
    require("clipbench: " in ended.said, f"{what}: no message, but {_last(ended.said)}")


def _last(said: str) -> str:
    return " / ".join(said.strip().splitlines()[-3:])[-400:]
