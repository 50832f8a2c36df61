from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from benchmark.callbacks.compiling import WORTHWHILE_BATCHES, CompiledNetwork
from benchmark.data.datamodule import ClipsPerVideo
from benchmark.models import SingleFrame
from tests.models.plain import random_clips


def compiled_sizes(choice: str, device: str, batches: int, monkeypatch: pytest.MonkeyPatch) -> set[int] | None:
    """What is compiled in a fit of so many steps."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    asked: list[set[int]] = []
    network = SimpleNamespace(device=torch.device(device), planned_steps=lambda: batches, compile_for=asked.append)
    data = SimpleNamespace(
        batch_size=30,
        clips_per_video=ClipsPerVideo(validation=4, test=20),
        test_protocol=SimpleNamespace(clips_per_video=20),
    )
    trainer = SimpleNamespace(compile_choice=choice, datamodule=data, is_global_zero=False)
    before = torch._dynamo.config.suppress_errors
    CompiledNetwork().on_train_start(cast(Any, trainer), cast(Any, network))
    torch._dynamo.config.suppress_errors = before
    return asked[0] if asked else None


def test_long_runs_on_a_gpu_are_compiled_for_their_usual_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {30, 28, 20}  # of training; of validation, 7 videos of 4 clips; of testing, 1 video of 20
    assert compiled_sizes("auto", "cuda", WORTHWHILE_BATCHES, monkeypatch) == usual
    assert compiled_sizes("auto", "cuda", WORTHWHILE_BATCHES - 1, monkeypatch) is None
    assert compiled_sizes("auto", "cpu", 10**9, monkeypatch) is None
    assert compiled_sizes("never", "cuda", 10**9, monkeypatch) is None
    assert compiled_sizes("always", "cpu", 1, monkeypatch) == usual


def test_only_batches_of_a_usual_size_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = torch.compile
    seen: list[int] = []

    def compiled(function: Any, **options: Any) -> Any:
        inner = original(function, backend="aot_eager", **options)

        def call(clips: torch.Tensor) -> Any:
            seen.append(len(clips))
            return inner(clips)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    network = SingleFrame(7, width=0.05).eval()
    clips = random_clips(3, 1, network.input_side)
    with torch.no_grad():
        expected = network.logits(clips)
        network.compile_for({2})
        for count in (2, 3, 0):
            torch.testing.assert_close(network.logits(clips[:count]), expected[:count], rtol=1e-4, atol=1e-5)
    assert seen == [2]
    assert set(network.state_dict()) == set(SingleFrame(7, width=0.05).state_dict())
