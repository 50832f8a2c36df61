"""A verb takes its own options, and optimiser and scheduler can be chosen on the command line."""

import inspect
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace

from benchmark.cli import main
from benchmark.data import VideoDataModule
from benchmark.verb_options import unlabelled_videos, with_literal_paths
from tests.generators.small_test import options

namespace: Any = Namespace  # has no types


def test_videos_named_on_the_command_line_are_read_with_all_options_of_the_data() -> None:
    shared = [name for name in inspect.signature(VideoDataModule).parameters if name != "root"]
    given: dict[str, Any] = {name: f"value of {name}" for name in shared}
    assert "clip_seconds" in given
    data = namespace(class_path="SyntheticActions", init_args=namespace(**given, root=Path("here"), fold=2))
    predict = namespace(videos=[Path("a.mp4")])
    found = unlabelled_videos(namespace(data=data, predict=predict), ["dark", "light"])
    expected = {"videos": [Path("a.mp4")], "class_names": ["dark", "light"], **given}
    assert found == namespace(class_path="benchmark.data.files.VideoFiles", init_args=namespace(**expected))
    without = unlabelled_videos(namespace(data=namespace(class_path="Own"), predict=predict), ["dark", "light"])
    assert set(vars(without.init_args)) == {"videos", "class_names"}


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("fit", ["--predict.top", "3"], "--predict.top is an option of predict, and does nothing in fit"),
        ("fit", ["--sample.videos=4"], "--sample.videos is an option of test, and does nothing in fit"),
        ("test", ["--transfer.regime", "top"], "--transfer.regime is an option of fit, and does nothing in test"),
        ("validate", ["--optimizer", "SGD"], "--optimizer is an option of fit, and does nothing in validate"),
        ("predict", ["--allow_contaminated", "true"], "is an option of fit and test, and does nothing in predict"),
        ("predict", ["--entry_name", "mine"], "--entry_name is an option of test, and does nothing in predict"),
    ],
)
def test_an_option_of_another_verb_is_refused(
    verb: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--config", "multires", *words]) == 2
    assert message in capsys.readouterr().err


def test_help_shows_what_people_write_and_how_to_see_all_of_a_verbs_own(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for verb in ("fit", "test", "predict", "speed"):
        help_of = []
        for asked in ("--help", "--help_all"):
            with pytest.raises(SystemExit) as stopped:
                main([verb, asked])
            assert stopped.value.code == 0
            help_of.append(capsys.readouterr().out)
            assert help_of[-1].startswith(f"usage: clipbench {verb} --config NAME [--data NAME]")
        usual, every = help_of
        shown[verb] = every
        assert len(usual.splitlines()) < 36
        assert usual.endswith(f"\n`clipbench {verb} --help_all` shows every option with its type and default.\n")
        assert "--model.help SingleFrame" in usual
        assert "--trainer.accumulate_grad_batches " in every
        # Whatever is named there is an option of the verb, or of a class.
        for option in set(re.findall(r"--[a-z_]+(?:\.[a-z_]+)*", usual)) - {"--model", "--data", "--help_all"}:
            assert option.startswith(("--model.", "--data.", "--optimizer.")) or option in every, option
    own = {"--transfer.regime": ["fit"], "--sample.videos": ["test"], "--predict.top": ["predict"]}
    for option, verbs in own.items():
        assert [other for other, text in shown.items() if f"{option} " in text] == verbs, option


@pytest.mark.filterwarnings("ignore")
def test_optimiser_and_scheduler_are_chosen_by_name_and_go_on_after_a_resume(small_set: Path, tmp_path: Path) -> None:
    chosen = ["--optimizer", "AdamW", "--optimizer.lr", "0.01", "--lr_scheduler", "CosineAnnealingLR"]
    chosen += ["--lr_scheduler.T_max", "4", "--trainer.max_epochs"]
    assert main(["fit", *options(small_set, tmp_path / "run", *chosen, "2")]) == 0
    assert main(["fit", *options(small_set, tmp_path / "run", *chosen, "3"), "--ckpt_path", "last"]) == 0
    held = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    (group,) = held["optimizer_states"][0]["param_groups"]
    assert "betas" in group
    assert group["lr"] == pytest.approx(0.01 * (1 + math.cos(math.pi * 3 / 4)) / 2)


def test_a_scheduler_without_an_optimiser_is_refused(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--lr_scheduler", "StepLR", "--lr_scheduler.step_size", "1"]
    assert main(["fit", *options(small_set, tmp_path / "run", *words)]) == 2
    assert "StepLR without an optimizer to work on; give one too" in capsys.readouterr().err


def test_names_of_files_are_taken_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("null", "[1].mp4", "a: b.mp4"):
        Path(name).touch()
    given = ["--predict.videos", "#1.mp4", "--run_dir=#x", "--data.root", "null", "--predict.videos=[1].mp4"]
    assert with_literal_paths(given) == [
        *("--predict.videos", "./#1.mp4", "--run_dir=./#x", "--data.root", "./null", "--predict.videos=./[1].mp4"),
    ]
    others = ["--predict.videos", "[a.mp4, b.mp4]", "--predict.output", "a: b.mp4", "--entry_name", "#1"]
    assert with_literal_paths(others) == others
    for name in ("&x", "- x.mp4", "!x", "~", "-x.mp4"):
        Path(name).touch()
        assert with_literal_paths(["--predict.videos", name]) == ["--predict.videos", f"./{name}"]
    Path("null").unlink()
    assert with_literal_paths(["--run_dir", "null"]) == ["--run_dir", "null"]
