import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from benchmark.errors import UserError
from benchmark.models import SingleFrame
from benchmark.protocol import Protocol
from benchmark.runs import compiling
from benchmark.runs.compiling import WORTHWHILE_BATCHES, CompiledNetwork
from tests.models.plain import random_clips

USUAL = {30, 28, 20}  # of training; of validation, 7 videos of 4 clips; of testing, 1 video of 20


@pytest.fixture(autouse=True)
def a_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiling, "_lacking", lambda device: None)
    patched: Any = torch._dynamo.config.patch(suppress_errors=False)
    with patched:
        yield


def compiled_sizes(choice: str, device: str, batches: int, hook: str = "on_train_start", **more: Any) -> Any:
    """What is compiled in a run of so many batches."""
    asked: list[set[int]] = []
    network = SimpleNamespace(device=torch.device(device), compile_for=asked.append)
    data = SimpleNamespace(
        batch_size=30,
        loaders=SimpleNamespace(gives_frames=True),
        validation_protocol=Protocol(clips_per_video=4),
        test_protocol=Protocol(clips_per_video=20),
    )
    facts: dict[str, Any] = dict(num_training_batches=batches, max_epochs=1, max_steps=-1, accumulate_grad_batches=1)
    facts |= dict(num_val_batches=[batches], num_test_batches=[batches], num_predict_batches=[batches])
    trainer = SimpleNamespace(
        **{**facts, **more},
        compile_choice=choice,
        datamodule=data,
        is_global_zero=False,
        state=SimpleNamespace(fn="fit"),
    )
    trainer.state.fn = more.get("fn", "fit")
    getattr(CompiledNetwork(), hook)(cast(Any, trainer), cast(Any, network))
    return asked[0] if asked else None


def test_long_runs_on_a_gpu_are_compiled_for_their_usual_batches() -> None:
    assert compiled_sizes("auto", "cuda", WORTHWHILE_BATCHES - 1) is None
    assert compiled_sizes("auto", "cpu", 10**9) is None
    assert compiled_sizes("never", "cuda", 10**9) is None
    assert not torch._dynamo.config.suppress_errors
    assert compiled_sizes("auto", "cuda", WORTHWHILE_BATCHES) == USUAL
    assert torch._dynamo.config.suppress_errors
    assert compiled_sizes("always", "cpu", 1) == USUAL
    assert not torch._dynamo.config.suppress_errors


@pytest.mark.parametrize(
    ("more", "is_compiled"),
    [
        (dict(max_epochs=10), True),
        (dict(max_epochs=9), False),
        (dict(max_epochs=-1), False),  # nobody knows how long
        (dict(max_epochs=-1, max_steps=2500, accumulate_grad_batches=4), True),
        (dict(max_epochs=100, max_steps=2499, accumulate_grad_batches=4), False),
    ],
)
def test_the_batches_of_all_epochs_count(more: dict[str, Any], is_compiled: bool) -> None:
    assert (compiled_sizes("auto", "cuda", WORTHWHILE_BATCHES // 10, **more) == USUAL) is is_compiled


@pytest.mark.parametrize(
    ("hook", "batches"),
    [("on_validation_start", 10_000), ("on_test_start", 2500), ("on_predict_start", 2500)],  # in four views
)
def test_evaluations_count_their_views(hook: str, batches: int) -> None:
    assert compiled_sizes("auto", "cuda", batches, hook, fn="validate") == USUAL
    assert compiled_sizes("auto", "cuda", batches - 1, hook, fn="validate") is None
    if hook == "on_validation_start":
        assert compiled_sizes("always", "cuda", batches, hook, fn="fit") is None


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert compiled_sizes("auto", "cuda", 10**6) is None
    with pytest.raises(UserError, match="needs Triton"):
        compiled_sizes("always", "cuda", 10**6)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler"):
        compiled_sizes("always", "cpu", 10**6)


def test_a_pytorch_that_cannot_compile_here_ends_no_run_that_did_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("torch.compile is not supported on Python 3.14+")

    network = SimpleNamespace(device=torch.device("cuda"), compile_for=refuse)
    loaders = SimpleNamespace(gives_frames=True)
    data = SimpleNamespace(batch_size=8, loaders=loaders, validation_protocol=Protocol(), test_protocol=Protocol())
    length = dict(num_training_batches=10**6, max_epochs=1, max_steps=-1, accumulate_grad_batches=1)
    for choice in ("auto", "always"):
        trainer = cast(Any, SimpleNamespace(compile_choice=choice, datamodule=data, is_global_zero=True, **length))
        if choice == "auto":
            CompiledNetwork().on_train_start(trainer, cast(Any, network))
        else:
            with pytest.raises(UserError, match=r"is always, but PyTorch says: torch.compile is not supported"):
                CompiledNetwork().on_train_start(trainer, cast(Any, network))


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
    copied = copy.deepcopy(network)  # it would compute with the weights of the first
    assert copied._compiled is None
    assert network._compiled is not None
    assert set(network.state_dict()) == set(SingleFrame(7, width=0.05).state_dict())
