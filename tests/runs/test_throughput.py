from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from benchmark.runs.throughput import ThroughputMeter


class Queue:
    """A GPU's queue: what is put in is done `behind` seconds later than the host's clock says."""

    def __init__(self) -> None:
        self.host, self.waits = 0.0, 0
        queue = self

        class Event:
            def __init__(self, *, enable_timing: bool) -> None:
                assert enable_timing

            def record(self) -> None:
                self.done = queue.host

            def synchronize(self) -> None:
                queue.waits += 1

            def elapsed_time(self, last: "Event") -> float:
                return 1000 * (last.done - self.done)

        self.event = Event


def test_a_gpu_is_timed_by_marks_in_its_queue_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, throughput = Queue(), ThroughputMeter(warmup_steps=1)
    monkeypatch.setattr(torch.cuda, "Event", queue.event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: pytest.fail("the GPU was waited for"))
    module, none = cast(Any, SimpleNamespace(device=torch.device("cuda:1"))), cast(Any, None)
    throughput.on_train_start(none, module)
    for waiting, computing in ((9, 9), (1, 3), (0, 4)):
        queue.host += waiting
        throughput.on_train_batch_start(none, module, none, 0)
        queue.host += computing
        throughput.on_train_batch_end(none, module, None, cast(Any, [0] * 32), 0)
    assert queue.waits == 0
    assert (throughput.stopwatch.waiting_seconds, throughput.stopwatch.compute_seconds) == (1, 7)
    assert throughput.stopwatch.clips_per_second == 8
    assert queue.waits


def test_marks_are_settled_in_a_long_epoch() -> None:
    seconds = iter(range(10**6))
    throughput = ThroughputMeter(warmup_steps=0)
    monitored = throughput.stopwatch
    monitored._clock = lambda: float(next(seconds))
    monitored.start()
    for _ in range(1000):
        monitored.data_ready()
        monitored.step_done(2)
    assert len(monitored._marks) <= 64
    assert (monitored.waiting_seconds, monitored.compute_seconds) == (1000, 1000)


def test_a_validation_in_mid_epoch_is_no_waiting() -> None:
    clock = iter([0.0, 1.0, 3.0, 100.0, 101.0, 104.0])
    throughput, none = ThroughputMeter(warmup_steps=0), cast(Any, None)
    throughput.stopwatch._clock = lambda: next(clock)
    module = cast(Any, SimpleNamespace(device=torch.device("cpu")))
    trainer = cast(Any, SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=False))
    throughput.on_train_start(trainer, module)
    for _ in range(2):
        throughput.on_train_batch_start(none, module, none, 0)
        throughput.on_train_batch_end(none, module, None, cast(Any, [0]), 0)
        if throughput.stopwatch.steps == 1:
            throughput.on_validation_end(trainer, module)
    assert (throughput.stopwatch.waiting_seconds, throughput.stopwatch.compute_seconds) == (2, 5)
