"""Words in an order that loses some, checkpoints that are none, and limits below what was trained."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.cli import main
from benchmark.early_checks import require_config_first
from benchmark.errors import UserError
from benchmark.verb_checks import (
    require_from_fit,
    require_more_to_train,
    require_number_of_classes,
    require_state,
)
from tests.generators.small_test import options

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """model:
  class_path: SingleFrame
trainer:
  max_epochs: 3
seed_everything: 1
"""


@pytest.mark.parametrize(
    "words",
    [
        "--model.width 1.0 --config {}",
        "--model SlowFusion --config={}",
        "--trainer.max_epochs 2 -c {}",
        "--seed_everything=4 --config {}",
        "--config {} --model.width 1.0 --config {}",
    ],
)
def test_what_a_later_configuration_would_replace_is_refused(words: str, tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text(CONFIG, "utf-8")
    option = next(word for word in words.split() if not re.match("--config|-c|{}", word)).partition("=")[0]
    with pytest.raises(UserError, match=f"^{option} comes before --config {re.escape(str(config))}, .* --config first"):
        require_config_first(words.format(config, config).split())


def test_what_it_does_not_say_may_come_before_it(tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text(CONFIG, "utf-8")
    for words in (
        "--run_dir x --config {}",
        "--trainer.devices 1 --config {}",
        "--config {} --config {} --model.width 1",
    ):
        require_config_first(words.format(config, config).split())


def test_a_part_of_an_experiment_is_no_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "data/ucf101"]) == 2
    assert "holds a part of an experiment alone, UCF101; name an experiment, and the part after it" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_epochs": 2}, "trainer.max_epochs is 2, and last.ckpt was trained for 3 epochs already"),
        ({"max_epochs": 9, "max_steps": 11}, "trainer.max_steps is 11, and last.ckpt was trained for 12 steps already"),
        ({"max_epochs": 3, "max_steps": -1}, None),  # which has been reached
        ({"max_epochs": -1, "max_steps": 12}, None),
        ({"max_epochs": None}, None),
    ],
)
def test_a_limit_below_what_was_trained_is_refused(limits: dict[str, Any], message: str | None) -> None:
    loops = {"fit_loop": {"epoch_progress": {"current": {"processed": 3}}}}
    checkpoint = {"global_step": 12, "loops": loops}
    if message is None:
        require_more_to_train(checkpoint, limits, "last.ckpt")
        return
    with pytest.raises(UserError, match=f"^{message}; raise it above"):
        require_more_to_train(checkpoint, limits, "last.ckpt")


@pytest.mark.filterwarnings("ignore")
def test_a_fit_that_would_train_nothing_more_is_refused(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = torch.load(checkpoint, weights_only=True)["global_step"]
    assert steps > 1
    words = ["--ckpt_path", checkpoint, "--trainer.max_epochs", "2", "--trainer.max_steps", str(steps - 1)]
    assert main(["fit", *options(small_set, tmp_path / "run", *words)]) == 2
    said = capsys.readouterr().err
    assert f"trainer.max_steps is {steps - 1}, and {checkpoint} was trained for {steps} steps already" in said
    assert main(["fit", *options(small_set, tmp_path / "again", *words[:2])]) == 0  # finished, and asked for again


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("verb", ["fit", "test"])
def test_what_is_no_checkpoint_of_a_fit_is_one_message(
    verb: str, small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = torch.load(checkpoint, weights_only=True)
    files: dict[str, Any] = {
        "bare": held["state_dict"],
        "wrapped": {"state_dict": held["state_dict"]},
        "number": {**held, "state_dict": 3},
        "list": [1],
    }
    for name, content in files.items():
        torch.save(content, tmp_path / f"{name}.ckpt")
    (tmp_path / "text.ckpt").write_text("weights\n", "utf-8")
    (tmp_path / "empty.ckpt").touch()
    (tmp_path / "folder.ckpt").mkdir()
    for path in sorted(tmp_path.glob("*.ckpt")):
        assert main([verb, *options(small_set, tmp_path / "run", "--ckpt_path", str(path), report=None)]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("clipbench: ")]
        assert f"--ckpt_path {path}" in line
        assert "checkpoint" in line or "another file" in line


def test_a_number_of_classes_is_that_of_the_data() -> None:
    for given in (None, {}, {"num_classes": None}, {"num_classes": 16}):
        require_number_of_classes({"init_args": given}, 16)
    with pytest.raises(UserError, match=r"^model.num_classes is 101, and the data have 16 classes; .* --data.classes"):
        require_number_of_classes({"init_args": {"num_classes": 101}}, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer_states": None}, "has no optimizer_states, as where save_weights_only was set"),
        ({"optimizer_states": [{}]}, "is damaged: its optimizer_states"),
        ({"optimizer_states": 3}, "is damaged: its optimizer_states"),
        ({"lr_schedulers": [3]}, "is damaged: its lr_schedulers"),
        ({"loops": 3}, "is damaged: its loops"),
        ({"loops": {"fit_loop": {"epoch_progress": 3}}}, "is damaged: its loops"),
    ],
)
def test_a_fit_goes_on_from_a_whole_checkpoint_alone(change: dict[str, Any], message: str, checkpoint: str) -> None:
    held = torch.load(checkpoint, weights_only=True)
    require_from_fit(held, "last.ckpt")
    require_state(held, "last.ckpt")
    changed = {name: value for name, value in {**held, **change}.items() if value is not None}
    with pytest.raises(UserError, match=rf"^--ckpt_path last\.ckpt {message}"):
        require_state(changed, "last.ckpt")


def test_names_of_classes_are_a_list_of_texts(checkpoint: str) -> None:
    held = torch.load(checkpoint, weights_only=True)
    for names in (3, [3], "Discs"):
        with pytest.raises(UserError, match=r"^--ckpt_path last\.ckpt is damaged: its class_names"):
            require_from_fit({**held, "class_names": names}, "last.ckpt")


def interrupted(arguments: list[str], until: str, folder: Path) -> tuple[int, str]:
    """Exit code and output of the program, sent SIGINT when it has imported a module; `until` names it."""
    program = f"""
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {until!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["clipbench", *{arguments!r}]
runpy.run_module("benchmark", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends processes no SIGINT")
@pytest.mark.parametrize("until", ["benchmark.cli", "jsonargparse", "torch.nn", "benchmark.runs.trainer"])
def test_an_interrupt_during_imports_is_no_traceback(until: str, tmp_path: Path) -> None:
    assert interrupted(["fit", "--config", "multires"], until, tmp_path) == (130, "clipbench: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends processes no SIGINT")
def test_an_interrupt_in_training_ends_with_its_code(small_set: Path, tmp_path: Path) -> None:
    words = options(small_set, tmp_path / "run", "--trainer.max_epochs", "1000", "--checkpoint.minutes", "0.0001")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark", "fit", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8",
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/checkpoints/last.ckpt").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 130, output
    said = r"clipbench: interrupted; --ckpt_path last goes on from what was saved \d+ s ago\n"
    assert re.fullmatch(said, output.splitlines(keepends=True)[-1])
    assert "Traceback" not in output
