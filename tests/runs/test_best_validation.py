"""The best validation of a fit, kept as a ledger."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch

from benchmark.data import SyntheticActions
from benchmark.results.ledger import Ledger
from benchmark.runs.best_validation import FILE_NAME, BestValidation


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
    # One that goes on knows what it has to be better than.
    again = BestValidation(tmp_path, "val/map")
    again.load_state_dict(kept.state_dict())
    assert again.best == np.float32(0.3)


class _Sized:
    def __init__(self, batch: Any) -> None:
        self.rows, self.failures = batch.rows, batch.failures

    def __len__(self) -> int:
        return len(self.rows)
