"""Slips of typing are refused in the time that Python takes to start, and nothing that is right is refused."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.early_checks import OPTIONS_OF_ALL, OPTIONS_OF_VERBS, refuse_early
from benchmark.errors import UserError
from benchmark.training_cli import BenchmarkCLI, train
from benchmark.verbs import TRAINER_VERBS

EARLY = {
    "fti": "did you mean fit?",
    "fit --config multires --max-epochs 3": "--max-epochs is no option; did you mean --trainer.max_epochs?",
    "fit --config multires --max_epoch 3": "did you mean --trainer.max_epochs?",
    "fit --config multires --modle.width 1": "did you mean --model.width?",
    "fit --config multires --xyzzy=1": "--xyzzy=1 is no option. `clipbench fit --help_all`",
    "fit --config multires --sample.videos 3": "--sample.videos is an option of test",
    "fit --config multirez": "the nearest: multires",
    "evaluate --config multirez": "the nearest: multires",
    "transfer --config transfr/embedded": "the nearest: transfer/embedded",
    "fit --data.fold 2 --config multires": "write --config first",
    "test --config multires": "test needs --ckpt_path",
    "test --config multires --ckpt_path gone.ckpt": "there is no file gone.ckpt",
    "fit --config multires --data ucf101 --data.root /nowhere": "data.root is /nowhere, which is not a folder",
    "predict --config multires --ckpt_path last --predict.videos gone.mp4": "names gone.mp4, which does not exist",
    "new My-Net": "use lower-case letters and digits",
    "models --jsn": "did you mean --json?",
}


@pytest.mark.parametrize("line", EARLY)
def test_a_slip_is_refused_before_torch_is_imported(line: str, tmp_path: Path) -> None:
    script = (
        "import sys; from benchmark.cli import main; code = main(sys.argv[1:]); "
        "print({'torch', 'lightning'} & {*sys.modules}, file=sys.stderr); sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    words = [sys.executable, "-c", script, *shlex.split(line)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert EARLY[line] in done.stderr
    assert done.stderr.splitlines()[-1] == "set()"


def test_the_options_that_are_known_early_are_those_of_the_parsers(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, set[str]] = {}

    def parse(self: BenchmarkCLI, parser: Any, args: Any) -> None:
        for name, one in self._subcommand_parsers.items():
            options = (option for action in one._actions for option in action.option_strings)
            found[name] = {option.lstrip("-").partition(".")[0] for option in options}
        raise SystemExit

    monkeypatch.setattr(BenchmarkCLI, "parse_arguments", parse)
    for verb in TRAINER_VERBS:
        with pytest.raises(SystemExit):
            train(verb, [])
    assert {*found} == {*TRAINER_VERBS}
    assert set().union(*found.values()) == OPTIONS_OF_ALL | {*OPTIONS_OF_VERBS}


@pytest.mark.parametrize(
    "line",
    [
        "fit --config multires --print_config",
        "fit -c multires --trainer.max_epochs 3 --seed_everything=1 --run_dir x",
        "fit --config multires --xyzzy 3 --help",
        "test --config average --model.checkpoints [a.ckpt,b.ckpt]",
        "test --config multires --model my_file.MyAverage",
        "test --config own.yaml",
        "test --config multires --ckpt_path last",
        "fit --config multires --run_dir x --ckpt_path auto",
        "predict --config multires --ckpt_path here.ckpt --predict.videos [a.mp4,b.mp4]",
        "predict --config multires --ckpt_path here.ckpt --predict.videos here.ckpt",
        "fit --config multires --data my_file.Streamed --data.root anywhere",
        "leaderboard biuld",  # another verb's words
    ],
)
def test_what_may_be_right_is_left_to_the_parsers(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.ckpt").touch()
    (tmp_path / "own.yaml").write_text("model: my_file.MyAverage\ndata: SyntheticActions\n", "utf-8")
    verb, *words = shlex.split(line)
    refuse_early(verb, words)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    refuse_early("fit", ["--config", str(tmp_path / "pipe.yaml"), "--xyzzy", "1"])  # would wait for ever


def refused(verb: str, words: Sequence[str]) -> str:
    with pytest.raises(UserError) as refusal:
        refuse_early(verb, words)
    return str(refusal.value)


def test_the_last_of_several_values_counts(tmp_path: Path) -> None:
    (tmp_path / "here.ckpt").touch()
    words = ["--config", "multires", "--ckpt_path", "gone.ckpt"]
    assert "gone.ckpt" in refused("test", words)
    refuse_early("test", [*words, f"--ckpt_path={tmp_path / 'here.ckpt'}"])


@pytest.mark.parametrize("variable", ["RANK", "NODE_RANK", "SLURM_STEP_ID"])
def test_of_several_processes_another_may_have_the_file(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "NODE_RANK", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    words = ["--config", "multires", "--ckpt_path", "gone.ckpt"]
    assert "gone.ckpt" in refused("test", words)
    refuse_early("test", words, runs_here=False)
    monkeypatch.setenv(variable, "0")
    refuse_early("test", words)
    assert "--max-epochs" in refused("test", [*words, "--max-epochs", "3"])  # a slip is one everywhere
