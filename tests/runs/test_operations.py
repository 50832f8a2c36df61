"""Operations and number formats of the batches of a test, against a hand count."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmark.clip import VideoBatch
from benchmark.runs.operations import CountedOperations, Work, read_work


def test_a_linear_layer_is_counted_by_hand(tmp_path: Path) -> None:
    nothing: Any = None
    counted, layer = CountedOperations(tmp_path), nn.Linear(5, 3)
    for size, dtype in ((2, torch.float32), (4, torch.bfloat16)):
        features, rows = torch.zeros(size, 5), torch.arange(size)
        batch = VideoBatch(features, 0, torch.zeros(size, 3), rows, torch.zeros_like(rows))
        counted.on_test_batch_start(nothing, nothing, batch, 0)
        layer.to(dtype)(features.to(dtype))
        counted.on_test_batch_end(nothing, nothing, None, batch, 0)
    layer(features.to(torch.bfloat16))  # after the batch
    counted.on_test_end(nothing, nothing)
    assert read_work(tmp_path) == [
        Work((0, 1), 2, 2 * 2 * 5 * 3, ("float32",)),
        Work((0, 1, 2, 3), 4, 2 * 4 * 5 * 3, ("bfloat16",)),
    ]
