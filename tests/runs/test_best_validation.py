"""The best validation of a fit, kept as a ledger."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from benchmark.data import SyntheticActions
from benchmark.results.ledger import Ledger
from benchmark.runs import best_validation
from benchmark.runs.best_validation import FILE_NAME, BestValidation
from benchmark.runs.checkpoints import BestWeights, run_checkpoints


def test_only_a_better_validation_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    data = SyntheticActions(source_groups=3)
    rows = data.index.rows("validation")
    classes = len(data.class_names)
    trainer = cast(Any, SimpleNamespace(
        datamodule=data, state=SimpleNamespace(fn="fit"), sanity_checking=False, world_size=1, is_global_zero=True,
        callback_metrics={},
    ))  # fmt: skip
    kept = BestValidation(tmp_path, "val/map")

    def validate(value: float, likely: int) -> None:
        kept.on_validation_start(trainer, cast(Any, None))
        scores = torch.full((2 * len(rows), classes), 0.5 / (classes - 1))
        scores[:, likely] = 0.5
        scores[0] = torch.nan  # of the first video
        batch: Any = SimpleNamespace(rows=torch.from_numpy(np.repeat(rows, 2)), failures=[])
        batch = _Sized(batch)
        kept.on_validation_batch_end(trainer, cast(Any, None), scores, batch, 0)
        trainer.callback_metrics["val/map"] = torch.tensor(value)
        kept.on_validation_end(trainer, cast(Any, None))

    best: list[int] = []
    for value, likely in ((0.2, 1), (float("nan"), 2), (0.3, 3), (0.3, 4), (0.1, 5)):
        validate(value, likely)
        ledger = Ledger.read(tmp_path / FILE_NAME)
        best.append(int(ledger.scores[1].argmax()))
    assert best == [1, 1, 3, 3, 3]
    assert ledger.video_ids == [data.index.table["video_id"][int(row)].as_py() for row in rows]
    assert list(ledger.failures()) == [ledger.video_ids[0]]
    # One that goes on in the same folder knows what it has to be better than.
    again = BestValidation(tmp_path, "val/map")
    again.load_state_dict(kept.state_dict())
    assert again.best == np.float32(0.3)
    for other in (BestValidation(tmp_path / "other", "val/map"), BestValidation(tmp_path, "val/ece")):
        other.load_state_dict(kept.state_dict())
        assert other.best is None  # its file is not there, or says something else
    (tmp_path / "moved").mkdir()
    for is_here in (False, True):
        moved = BestValidation(tmp_path / "moved", "val/map", goes_on=True)
        moved.setup(trainer, cast(Any, None), "fit")
        moved.load_state_dict(kept.state_dict())
        assert moved.best == (np.float32(0.3) if is_here else None)
        (tmp_path / "moved" / FILE_NAME).touch()
    # A value of the training is known only after the validation.
    of_training = BestValidation(tmp_path, "train/loss_epoch")
    of_training.on_validation_start(trainer, cast(Any, None))
    trainer.callback_metrics["train/loss_epoch"] = torch.tensor(1.0)
    of_training.on_validation_end(trainer, cast(Any, None))
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("monitor", ["val/ece", "val/loss", "val/map"])
def test_what_is_kept_is_what_the_checkpoint_was_chosen_for(
    monitor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode of Lightning's own callback says which of the values is the best."""
    written: list[Any] = []
    monkeypatch.setattr(
        best_validation, "_ledger", lambda rows, data: SimpleNamespace(write=lambda path: written.append(rows))
    )
    kept = BestValidation(tmp_path, monitor)
    values = [0.4, float("nan"), 0.1, 0.6, 0.1, 0.2]
    for value in values:
        trainer: Any = SimpleNamespace(
            datamodule=None, state=SimpleNamespace(fn="fit"), sanity_checking=False, world_size=1, is_global_zero=True,
            callback_metrics={monitor: torch.tensor(value)},
        )  # fmt: skip
        kept.rows = [(0, None, np.array([value]))]
        kept.on_validation_end(trainer, cast(Any, None))
    (best,) = (each for each in run_checkpoints(tmp_path, monitor, 5) if isinstance(each, BestWeights))
    finite = [value for value in values if not np.isnan(value)]
    assert written[-1][0][2] == (min(finite) if best.mode == "min" else max(finite))
    assert len(written) == 2


def test_the_index_is_searched_once_a_validation(tmp_path: Path) -> None:
    searched: list[str] = []

    def rows(split: str) -> range:
        searched.append(split)
        return range(2)

    data = SimpleNamespace(class_names=("a", "b"), index=SimpleNamespace(rows=rows))
    kept, trainer = BestValidation(tmp_path, "val/map"), cast(Any, SimpleNamespace(datamodule=data))
    kept.on_validation_start(trainer, cast(Any, None))
    for row in range(2):
        batch: Any = _Sized(SimpleNamespace(rows=torch.tensor([row]), failures=[]))
        kept.on_validation_batch_end(trainer, cast(Any, None), torch.tensor([[0.5, 0.5]]), batch, row)
    assert [number for number, _, _ in kept.rows] == [0, 1]
    assert searched == ["validation"]


class _Sized:
    def __init__(self, batch: Any) -> None:
        self.rows, self.failures = batch.rows, batch.failures

    def __len__(self) -> int:
        return len(self.rows)
