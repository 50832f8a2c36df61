import logging
import shutil
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from benchmark.runs.screen import COLUMNS, RunLines, ScoreLines, program, quiet


def trainer(**values: float) -> Any:
    metrics = {name.replace("_of_", "/"): torch.tensor(value) for name, value in values.items()}
    return SimpleNamespace(
        is_global_zero=True, callback_metrics=metrics, current_epoch=2, precision="32-true", max_epochs=5,
        num_training_batches=20, progress_bar_callback=None,
    )  # fmt: skip


def lines(tmp_path: Path, **best: Any) -> RunLines:
    known = {"monitor": "val/clip_hit1", "best_model_score": None, "best_model_path": ""} | best
    return RunLines(cast(Any, SimpleNamespace(**known)), tmp_path / "config.yaml")


def test_an_epoch_has_lines_that_fit_and_break_between_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"train_of_loss_epoch": 2.1392, "val_of_clip_hit1": 0.621, "val_of_video_hit1": 0.609}
    metrics = trainer(**values, train_of_clips_per_second=264.4, train_of_waiting_share=0.39)
    groups = {f"val/map/group [{number}]": torch.tensor(0.5) for number in range(9)}
    metrics.callback_metrics |= {**groups, "val/map": torch.tensor(float("nan"))}
    lines(tmp_path).on_train_epoch_end(metrics, cast(Any, None))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "epoch 3  loss 2.139  clip@1 62.1%  video@1 60.9%"
    assert said[-1] == "  speed:  264 clips/s  39% waiting"
    assert all(len(line) <= COLUMNS for line in said)
    assert sum(line.count("] 0.500") for line in said) == 9
    assert "nan" not in "".join(said)


def test_a_run_says_what_it_trains_and_in_the_end_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network = cast(Any, nn.Linear(10, 100))
    network.bias.requires_grad, network.device = False, "cpu"
    torch.save({"epoch": 3}, tmp_path / "best one.ckpt")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    shown = lines(tmp_path, best_model_score=torch.tensor(0.75), best_model_path=str(tmp_path / "best one.ckpt"))
    shown.on_train_start(trainer(), network)
    shown.on_fit_end(trainer(), network)
    assert capsys.readouterr().out.splitlines() == [
        "Linear: 1,100 parameters (1,000 of them trained)  32-true on cpu",
        "  5 epochs, 20 steps each",
        "best val/clip_hit1 0.750 in epoch 4:  best one.ckpt",
        f"test it: clipbench test --config {tmp_path}/config.yaml --ckpt_path 'best one.ckpt'",
    ]
    lines(tmp_path).on_fit_end(trainer(), network)
    assert capsys.readouterr().out == ""


def test_what_to_do_works_without_an_activated_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert program() == [str(Path(".venv/bin/python")), "-m", "benchmark"]
    monkeypatch.setattr(sys, "executable", "/elsewhere/python")
    assert program() == ["/elsewhere/python", "-m", "benchmark"]


def test_a_validation_of_its_own_and_a_test_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = trainer(val_of_clip_hit1=0.5, test_of_clip_hit1=0.25)
    for verb in ("fit", "validate"):
        metrics.state = SimpleNamespace(fn=verb)
        ScoreLines().on_validation_end(metrics, cast(Any, None))
    ScoreLines().on_test_end(metrics, cast(Any, None))
    assert capsys.readouterr().out.splitlines() == ["validation:  clip@1 50.0%", "test:  clip@1 25.0%"]


def test_notices_are_hidden_for_a_while_alone() -> None:
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels, filters = [logger.level for logger in loggers], list(warnings.filters)

    def in_quiet(text: str) -> None:
        with quiet():
            assert {logger.level for logger in loggers} == {logging.WARNING}
            warnings.warn(text, stacklevel=1)
            raise KeyError

    with warnings.catch_warnings(record=True) as shown:
        for text in ("The 'x' loader does not have many workers which may be a bottleneck", "something else"):
            with pytest.raises(KeyError):
                in_quiet(text)
    assert [str(each.message) for each in shown] == ["something else"]
    assert [logger.level for logger in loggers] == levels
    assert list(warnings.filters) == filters


@pytest.mark.parametrize(("classes", "shown"), [(2, ["clip@1"]), (5, ["clip@1"]), (6, ["clip@1", "clip@5"])])
def test_hits_that_cannot_miss_are_left_out(
    classes: int, shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = trainer(val_of_clip_hit1=0.5, val_of_clip_hit5=1.0)
    lines(tmp_path).on_train_epoch_end(metrics, cast(Any, SimpleNamespace(num_classes=classes)))
    said = capsys.readouterr().out.split()
    assert [word for word in said if word.startswith("clip@")] == shown


def test_one_epoch_of_one_step_is_not_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = cast(Any, nn.Linear(1, 1))
    network.device = "cpu"
    single = trainer()
    single.max_epochs = single.num_training_batches = 1
    lines(tmp_path).on_train_start(single, network)
    assert "1 epoch, 1 step each" in capsys.readouterr().out
