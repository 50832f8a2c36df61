import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from benchmark.runs.casts import CastOnce
from benchmark.runs.trainer import Trainer
from tests.models.training import Batches, build, training_batch


def trainer(folder: Path, *callbacks: L.Callback, **options: Any) -> Trainer:
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    return Trainer(accelerator="cpu", default_root_dir=folder, callbacks=list(callbacks), **quiet, **options)


def casts_of(numbers: int, run: Callable[[], object]) -> int:
    """How often tensors of so many numbers change their dtype while something runs."""
    with torch.profiler.profile(record_shapes=True) as profiler:
        run()
    copies = [event for event in profiler.events() if event.name == "aten::_to_copy"]
    return sum(math.prod(event.input_shapes[0]) == numbers for event in copies)


@pytest.mark.parametrize(("callbacks", "casts"), [([], 3), ([CastOnce()], 1)])
def test_a_weight_is_cast_once_for_all_batches(tmp_path: Path, callbacks: list[L.Callback], casts: int) -> None:
    tested = build()
    data = Batches([], [training_batch(tested, 4, seed=number) for number in range(3)])
    runner = trainer(tmp_path, *callbacks, precision="bf16-mixed")
    weight = max(tested.parameters(), key=torch.numel)
    assert casts_of(weight.numel(), lambda: runner.validate(tested, datamodule=data, verbose=False)) == casts


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_scores_are_the_same_and_nothing_is_left_behind(tmp_path: Path, precision: str) -> None:
    scores = []
    for callbacks in ([], [CastOnce()]):
        tested = build()
        batches = [training_batch(tested, 4, seed=number) for number in range(3)]
        runner = trainer(tmp_path, *callbacks, precision=precision)
        runner.validate(tested, datamodule=Batches([], batches), verbose=False)
        scores.append(dict(runner.callback_metrics))
        assert not torch.is_autocast_enabled("cpu")
    assert scores[0].keys() == scores[1].keys()
    assert all(torch.equal(scores[0][name], scores[1][name]) for name in scores[0])


class Fails(L.Callback):
    def on_validation_batch_end(self, *_: object, **__: object) -> None:
        raise RuntimeError("in the middle")


def test_an_error_leaves_no_context_behind(tmp_path: Path) -> None:
    tested = build()
    runner = trainer(tmp_path, CastOnce(), Fails(), precision="bf16-mixed")
    with pytest.raises(RuntimeError, match="in the middle"):
        runner.validate(tested, datamodule=Batches([], [training_batch(tested, 4)]), verbose=False)
    assert not torch.is_autocast_enabled("cpu")


class NoContext(L.Callback):
    def on_train_batch_start(self, *_: object, **__: object) -> None:
        assert not torch.is_autocast_enabled("cpu")


def test_weights_are_cast_anew_after_they_have_changed(tmp_path: Path) -> None:
    """Validation in the middle of a fit scores as one after it does."""
    tested = build()
    data = Batches([training_batch(tested, 4)], [training_batch(tested, 4, seed=1)])
    runner = trainer(tmp_path, CastOnce(), NoContext(), precision="bf16-mixed", max_epochs=2)
    runner.fit(tested, datamodule=data)
    within = runner.callback_metrics["val/map"]
    fresh = trainer(tmp_path, precision="bf16-mixed")
    fresh.validate(tested, datamodule=data, verbose=False)
    torch.testing.assert_close(within, fresh.callback_metrics["val/map"])
