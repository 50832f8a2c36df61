"""Where the time of reading a clip goes: laps that count only while somebody measures this thread."""

import collections
import contextlib
import contextvars
import time
from collections.abc import Iterator


class _Laps:
    """Seconds by stage, and when the last lap ended."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self.last = time.perf_counter()


_running = contextvars.ContextVar[_Laps | None]("laps", default=None)


def lap(stage: str) -> None:
    """Give the time since the last lap to a stage; does nothing where nobody measures."""
    laps = _running.get()
    if laps is not None:
        now = time.perf_counter()
        laps.seconds[stage] += now - laps.last
        laps.last = now


@contextlib.contextmanager
def measured_laps() -> Iterator[dict[str, float]]:
    """Seconds by stage of what is read within, in this thread."""
    laps = _Laps()
    token = _running.set(laps)
    try:
        yield laps.seconds
    finally:
        _running.reset(token)
