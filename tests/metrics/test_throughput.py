"""The stopwatch against hand counts with a clock that is set by hand."""

import math

import pytest

from benchmark.metrics.throughput import ClipsPerSecond


class HandClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def step(watch: ClipsPerSecond, clock: HandClock, waiting: float, computing: float, clips: int) -> None:
    clock.seconds += waiting
    watch.data_ready()
    clock.seconds += computing
    watch.step_done(clips)


def test_waiting_and_computing_are_told_apart() -> None:
    clock = HandClock()
    watch = ClipsPerSecond(warmup_steps=0, clock=clock)
    watch.start()
    step(watch, clock, waiting=1, computing=3, clips=32)
    step(watch, clock, waiting=0, computing=4, clips=16)
    assert (watch.steps, watch.clips, watch.waiting_seconds, watch.compute_seconds) == (2, 48, 1.0, 7.0)
    assert watch.clips_per_second == 6
    assert watch.compute_clips_per_second == 48 / 7
    assert watch.waiting_share == 1 / 8


def test_warm_up_is_ignored_once() -> None:
    clock = HandClock()
    watch = ClipsPerSecond(warmup_steps=2, clock=clock)
    watch.start()
    step(watch, clock, 100, 100, 32)
    watch.start()
    step(watch, clock, 50, 50, 32)
    assert watch.steps == 0
    assert math.isnan(watch.clips_per_second)
    assert math.isnan(watch.compute_clips_per_second)
    assert math.isnan(watch.waiting_share)
    step(watch, clock, 1, 1, 32)
    assert watch.clips_per_second == 16
    watch.reset()
    step(watch, clock, 1, 3, 32)
    assert (watch.steps, watch.clips_per_second) == (1, 8)


def test_a_pause_is_not_counted() -> None:
    clock = HandClock()
    watch = ClipsPerSecond(warmup_steps=0, clock=clock)
    watch.start()
    step(watch, clock, 1, 1, 10)
    clock.seconds += 500
    watch.start()
    step(watch, clock, 1, 2, 10)
    assert watch.waiting_seconds + watch.compute_seconds == 5


def test_an_unfinished_step_is_dropped() -> None:
    clock = HandClock()
    watch = ClipsPerSecond(warmup_steps=0, clock=clock)
    watch.start()
    clock.seconds += 5
    watch.data_ready()
    clock.seconds += 5
    watch.start()
    step(watch, clock, 1, 3, 8)
    assert (watch.steps, watch.clips_per_second, watch.waiting_share) == (1, 2, 0.25)


def test_wrong_order_is_refused() -> None:
    watch = ClipsPerSecond()
    with pytest.raises(RuntimeError, match="must follow start"):
        watch.data_ready()
    with pytest.raises(RuntimeError, match="must follow data_ready"):
        watch.step_done(1)
    watch.start()
    with pytest.raises(RuntimeError, match="must follow data_ready"):
        watch.step_done(1)
    watch.data_ready()
    with pytest.raises(RuntimeError, match="must follow start"):
        watch.data_ready()


def test_negative_warm_up_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_steps is -1"):
        ClipsPerSecond(warmup_steps=-1)
