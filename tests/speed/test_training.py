import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from benchmark.errors import UserError
from benchmark.models import SingleFrame
from benchmark.speed.training import PARTS, StepClock, computing_dtype, random_batch


def run(clock: StepClock, *, backwards: int = 1, batches: int = 6) -> None:
    """The hooks of a fit, in Lightning's order."""
    module = cast(Any, SimpleNamespace(device=torch.device("cpu")))
    batch = random_batch(SingleFrame(3, width=0.05), 4)
    trainer = cast(Any, None)
    for number in range(batches):
        clock.on_train_batch_start(trainer, module, batch, number)
        for _ in range(backwards):
            clock.on_before_backward(trainer, module, torch.zeros(()))
            clock.on_after_backward(trainer, module)
        if number == 1:
            torch.ones(2, 3) @ torch.ones(3, 5)
        clock.on_train_batch_end(trainer, module, None, batch, number)


def test_each_part_is_the_time_between_two_marks() -> None:
    ticks = (float(number**2) for number in itertools.count())
    clock = StepClock(warmup=2, clock=lambda: next(ticks))
    run(clock, batches=6)
    # Marks 8, 9, 10, 11 are those of the first batch behind the warm-up, and 7 is the end of the one before.
    assert [clock.seconds[part][0] for part in PARTS] == [8**2 - 7**2, 9**2 - 8**2, 10**2 - 9**2, 11**2 - 10**2]
    assert clock.clips == [4] * 4
    assert sum(map(sum, clock.seconds.values())) == 23**2 - 7**2
    rounds = clock.stage("forward", 3)
    assert rounds.clips == (4, 4, 8)
    assert sum(rounds.seconds) == sum(clock.seconds["forward"])


def test_operations_are_counted_in_one_batch_alone() -> None:
    clock = StepClock(warmup=2)
    run(clock)
    assert clock.gflop_per_clip * 1e9 == pytest.approx(2 * 2 * 3 * 5 / 4)


def test_a_step_without_one_backward_is_refused() -> None:
    with pytest.raises(UserError, match="backward once a step"):
        run(StepClock(warmup=2), backwards=2)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("32-true", torch.float32),
        ("bf16-mixed", torch.bfloat16),
        ("bf16-true", torch.bfloat16),
        ("16-mixed", torch.float16),
        ("64-true", torch.float64),
    ],
)
def test_in_what_products_are_computed(precision: str, dtype: torch.dtype) -> None:
    assert computing_dtype(precision) is dtype


def test_noise_has_the_shape_that_the_model_reads() -> None:
    batch = random_batch(SingleFrame(3, resolution="multires", width=0.05), 5)
    assert batch.frames.shape == (5, 1, 178, 178, 3)
    assert batch.labels.argmax(1).tolist() == [0, 1, 2, 0, 1]
    assert batch.labels.sum(1).tolist() == [1] * 5
