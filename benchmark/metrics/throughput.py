"""Clips per second of training, split into waiting for data and computing."""

import math
import time
from collections.abc import Callable
from typing import Any

_UNSETTLED = 64  # steps whose marks are kept; a GPU has long finished older ones


class ClipsPerSecond:
    """A stopwatch for the two halves of a training step.

    ```
    start()      data_ready()   step_done(32)  data_ready()   step_done(32)
       |--- waiting ---|--- computing ---|--- waiting ---|--- computing ---|
    ```

    Call `start` again after a pause such as a validation: the time between the last finished step and `start` is not
    counted. A GPU works on its own: there the clock makes marks in its queue, and the seconds between two
    are asked for when it has long passed both. The figures are those of one process and NaN before a step is measured.

    Args:
        warmup_steps: Steps ignored at the beginning, 0 or more.
        clock: Marks a moment; by default seconds since any fixed one.
        seconds_between: Of two marks.

    Raises:
        ValueError: If `warmup_steps` is negative.
    """

    def __init__(
        self,
        *,
        warmup_steps: int = 10,
        clock: Callable[[], Any] = time.perf_counter,
        seconds_between: Callable[[Any, Any], float] = lambda first, last: float(last - first),
    ) -> None:
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps is {warmup_steps}; it must be 0 or more")
        self._clock, self._seconds_between = clock, seconds_between
        self._ignored_steps_left = warmup_steps
        self._waiting_since: Any = None
        self._computing_since: Any = None
        self.reset()

    def reset(self) -> None:
        """Forget the measured steps, for the figures of a new epoch; the warm-up is not repeated."""
        self.steps = 0
        self.clips = 0
        self._settled = [0.0, 0.0]  # seconds of waiting and of computing
        self._marks: list[tuple[Any, Any, Any]] = []

    def start(self) -> None:
        """Begin to wait for data; a step that was not finished is dropped."""
        self._waiting_since, self._computing_since = self._clock(), None

    def data_ready(self) -> None:
        """The batch has arrived and computing begins.

        Raises:
            RuntimeError: If neither `start` nor `step_done` came before.
        """
        if self._waiting_since is None or self._computing_since is not None:
            raise RuntimeError("data_ready() must follow start() or step_done()")
        self._computing_since = self._clock()

    def step_done(self, clips: int) -> None:
        """The step is computed and waiting for the next batch begins.

        Args:
            clips: Clips of the batch.

        Raises:
            RuntimeError: If `data_ready` did not come before.
        """
        if self._waiting_since is None or self._computing_since is None:
            raise RuntimeError("step_done() must follow data_ready()")
        now = self._clock()
        if self._ignored_steps_left:
            self._ignored_steps_left -= 1
        else:
            self.steps += 1
            self.clips += clips
            self._marks.append((self._waiting_since, self._computing_since, now))
            self._settle(_UNSETTLED)
        self._waiting_since, self._computing_since = now, None

    def _settle(self, left: int) -> None:
        """Add up all but the last steps."""
        while len(self._marks) > left:
            begun, ready, done = self._marks.pop(0)
            self._settled[0] += self._seconds_between(begun, ready)
            self._settled[1] += self._seconds_between(ready, done)

    @property
    def waiting_seconds(self) -> float:
        """Spent waiting for data."""
        self._settle(0)
        return self._settled[0]

    @property
    def compute_seconds(self) -> float:
        """Spent computing."""
        self._settle(0)
        return self._settled[1]

    @property
    def clips_per_second(self) -> float:
        """Clips over waiting and compute time."""
        return _ratio(self.clips, self.waiting_seconds + self.compute_seconds)

    @property
    def compute_clips_per_second(self) -> float:
        """Clips over compute time alone: what the model would reach if data were always ready."""
        return _ratio(self.clips, self.compute_seconds)

    @property
    def waiting_share(self) -> float:
        """Share of the time spent waiting for data, 0 to 1."""
        return _ratio(self.waiting_seconds, self.waiting_seconds + self.compute_seconds)


def _ratio(amount: float, seconds: float) -> float:
    return amount / seconds if seconds > 0 else math.nan
