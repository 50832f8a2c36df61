"""What is set for a whole process when it begins: how it computes, and when it ends."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

UNTIL_EOF = "CLIPBENCH_UNTIL_EOF"
"""Environment variable of a process that another one runs for itself: it ends when its standard input does."""


# glibc's mallopt: never hand large blocks back to the system, which would clear and map them again every step.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEPT_BYTES = 2**31 - 1
_GROWTH_BYTES = 128 * 2**20


def tune_process() -> None:
    """Keep freed memory; call it before the first parallel operation.

    A step that allocates its activations again spends part of its time in the system's page faults: with memory that is
    kept, full-width multires makes 1.5 to 1.6 times as many steps (torch 2.14, two cores). Loader workers inherit the
    setting only where they are forked. C libraries other than glibc keep their own habits.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # a C library other than glibc
        return
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TOP_PAD, _GROWTH_BYTES)
    mallopt(_M_MMAP_MAX, 0)


def end_with_starter() -> None:
    """Where another process runs this one for itself, end when that one does, however it ends.

    Nobody tells a process on every system that its parent was killed, but a pipe's other end is closed then. A process
    that this one starts does not inherit the wish.
    """
    if os.environ.pop(UNTIL_EOF, None):
        threading.Thread(target=_end_at_eof, name="end with starter", daemon=True).start()


def _end_at_eof() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


class _Outliving:
    """A stream whose reader may leave; what is written after that goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._to_nowhere()
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._to_nowhere()

    def _to_nowhere(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        print("clipbench: nobody reads the output any more; the work goes on", file=sys.stderr)


@contextlib.contextmanager
def outliving_readers() -> Iterator[None]:
    """Let work go on whose output nobody reads any more, as where the other end of a pipe was closed."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _Outliving(stream)) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
