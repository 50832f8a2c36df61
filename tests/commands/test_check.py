import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmark.cli import main
from benchmark.conformance import CHECKS, Subject
from benchmark.conformance.optional import compilation, export
from benchmark.cost import gflop_by_shapes, gflop_per_clip

MODELS = "tests.generators.broken_models"


def test_a_sound_architecture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{MODELS}.Sound", "--steps", "12"]) == 0
    out = capsys.readouterr().out
    assert all(f"  ok      {name} " in out for name in CHECKS)
    assert f"all {len(CHECKS)} checks passed" in out
    weights = (6 * 8 + 8) + 2 * 8 + (8 * 5 + 5)
    assert f"{weights} parameters, 0.000 GFLOP a clip, " in out
    assert "clips/s without gradients" in out
    assert "torch.compile and torch.export not tried; pass --compile true" in out


def test_a_fault_is_shown_with_what_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{MODELS}.IdleFrame", "--steps", "12"]) == 1
    out = capsys.readouterr().out
    assert "  FAILED  frames" in out
    assert "logits do not depend on frame 15 of frame_offsets\n          change: leave out of frame_offsets" in out
    assert f"1 of {len(CHECKS)} checks failed" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([f"{MODELS}.NoClassifier"], "is no VideoClassifier"),
        (["NoSuchModel"], "there is no VideoClassifier called 'NoSuchModel'"),
        (["no_such_file.Model"], "there is no module no_such_file"),
        (["SingleFrame", "--model.widht", "1"], "widht"),
        (["SingleFrame", "--model.width", "-1"], "model.width is -1"),
        ([f"{MODELS}.Demanding"], "size"),
        (["SingleFrame", "--compile", "maybe"], "maybe"),
    ],
)
def test_what_a_user_can_cause_gets_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["check", *arguments])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_options_reach_the_architecture() -> None:
    subject = Subject.parse(["--model", f"{MODELS}.Demanding", "--model.size", "7"])
    assert vars(subject.build())["size"] == 7
    assert subject.build(num_classes=3).num_classes == 3


def test_gflop_of_a_clip_without_computing_it() -> None:
    sound = Subject.of(f"{MODELS}.Sound", {}).build()
    assert gflop_by_shapes(sound) * 1e9 == pytest.approx(2 * (6 * 8 + 8 * 5))
    assert gflop_per_clip(sound) == gflop_by_shapes(sound)


def _raises(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    raise RuntimeError("no such operation")


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        (lambda forward: forward, "works"),
        (lambda forward: lambda clips: forward(clips) + 0.5, "gives other logits, by up to 0.5"),
        (_raises, "does not work: RuntimeError: no such operation"),
    ],
    ids=["works", "other", "raises"],
)
def test_what_compilation_may_come_to(
    compiler: Callable[[Callable[[Tensor], Tensor]], object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/c++")
    monkeypatch.setattr(torch, "compile", compiler)
    assert compilation(Subject.of(f"{MODELS}.Sound", {})).startswith(said)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_export_and_compilation_say_why_not(has_gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject.of(f"{MODELS}.Sound", {})
    assert export(subject) == "works"
    assert "does not work" in export(Subject.of(f"{MODELS}.OtherSide", {}))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)  # the network is on the processor all the same
    assert compilation(subject) == "not tried: torch.compile needs a C++ compiler here, and none is installed"
