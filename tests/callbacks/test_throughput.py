from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from benchmark.callbacks.throughput import Throughput


def test_a_step_ends_when_the_gpu_has_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append(f"waited for {device}"))
    throughput = Throughput()
    monkeypatch.setattr(throughput.stopwatch, "step_done", lambda clips: events.append(f"{clips} clips done"))
    for device in ("cuda:1", "cpu"):
        module = cast(Any, SimpleNamespace(device=torch.device(device)))
        throughput.on_train_batch_end(cast(Any, None), module, None, cast(Any, [0, 0, 0]), 0)
    assert events == ["waited for cuda:1", "3 clips done", "3 clips done"]
