"""Clips per second of training, split into waiting for data and computing."""

import math
import time
from collections.abc import Callable


class ClipsPerSecond:
    """A stopwatch for the two halves of a training step.

    ```
    start()      data_ready()   step_done(32)  data_ready()   step_done(32)
       |--- waiting ---|--- computing ---|--- waiting ---|--- computing ---|
    ```

    Call `start` again after a pause such as a validation: what lies between the last finished step and `start` is not
    counted. A GPU works behind the host's back, so wait for it before `step_done`. The figures are those of one
    process and NaN before a step is measured.

    Args:
        warmup_steps: Steps ignored at the beginning, 0 or more.
        clock: Seconds since any fixed moment.

    Raises:
        ValueError: If `warmup_steps` is negative.
    """

    def __init__(self, *, warmup_steps: int = 10, clock: Callable[[], float] = time.perf_counter) -> None:
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps is {warmup_steps}; it must be 0 or more")
        self._clock = clock
        self._ignored_steps_left = warmup_steps
        self._waiting_since: float | None = None
        self._computing_since: float | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the measured steps, for the figures of a new epoch; the warm-up is not repeated."""
        self.steps = 0
        self.clips = 0
        self.waiting_seconds = 0.0
        self.compute_seconds = 0.0

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
            self.waiting_seconds += self._computing_since - self._waiting_since
            self.compute_seconds += now - self._computing_since
        self._waiting_since, self._computing_since = now, None

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
