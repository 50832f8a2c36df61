"""Waits until a cluster has shown what its workers wrote to their standard output.

Ray reads their lines from files and sends them some time later; who disconnects when the work is done loses the last
ones, such as a test's table.
"""

import contextlib
import io
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TextIO

_SECONDS = 30.0
_COLOUR_ENDS = "\x1b[0m"


class Listener(io.TextIOBase):
    """Standard output that notes, and does not show, the mark with which a worker ends.

    Args:
        shown: Where everything else goes.
    """

    def __init__(self, shown: TextIO) -> None:
        # A line that several workers print is shown once by Ray, unless every word of it holds a digit.
        self.mark = f"0{uuid.uuid4().hex}"
        self._shown = shown
        self._heard = threading.Semaphore(0)
        self._is_after_mark = False

    def write(self, text: str) -> int:
        """Show what is no mark; the line break after a mark belongs to it."""
        is_break_of_mark, self._is_after_mark = self._is_after_mark and text == "\n", False
        if self.mark in text:
            said = text.partition(self.mark)[0]
            is_own_line = not said or said.endswith((") ", f"){_COLOUR_ENDS} "))  # behind what Ray puts before a line
            self._is_after_mark = is_own_line and not text.endswith("\n")
            self._shown.write("" if is_own_line else said)
            self._heard.release()
        elif not is_break_of_mark:
            self._shown.write(text)
        return len(text)

    def flush(self) -> None:
        """Show what was kept back."""
        self._shown.flush()

    def wait(self, marks: int, seconds: float = _SECONDS) -> None:
        """Wait until that many workers have printed the mark.

        Args:
            marks: How many.
            seconds: The longest wait, after which it is said where the lines are.
        """
        if os.environ.get("RAY_LOG_TO_DRIVER", "1").lower() in ("0", "false"):
            return  # nothing is sent
        until = time.monotonic() + seconds
        for heard in range(marks):
            if not self._heard.acquire(timeout=max(until - time.monotonic(), 0.001)):
                print(
                    f"the last lines of {marks - heard} of {marks} workers did not come within {seconds:g} s; they are "
                    "in Ray's logs (/tmp/ray/session_latest/logs on the workers' machines)",
                    file=sys.stderr,
                    flush=True,
                )
                return


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """Standard output as a `Listener`, to which Ray writes what workers say."""
    with contextlib.redirect_stdout(Listener(sys.stdout)) as listener:
        yield listener
