"""What offline W&B runs hold, read back from their logs: of a fit, of the same fit that went on, and of its test."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

pytest.importorskip("wandb", reason="needs the extra wandb")

import wandb
from lightning.pytorch.loggers import WandbLogger

from benchmark.cli import main
from benchmark.runs.wandb_runs import _choose
from tests.generators.wandb_log import Run, read_run
from tests.generators.wandb_stub import no_login
from tests.test_cli import options, videos  # noqa: F401  (videos is a fixture)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, without a login and without what wandb reads from the environment."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    no_login(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    wandb.teardown()


def runs_in(folder: Path) -> list[Run]:
    """Runs of a folder, in the order in which they began."""
    wandb.teardown()  # the logs are whole when wandb's service has ended
    return [read_run(path) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]


@pytest.mark.filterwarnings("ignore:.*videos? could not be read")
def test_a_fit_that_went_on_is_one_run_and_its_test_says_so(videos: Path, alone: Path) -> None:  # noqa: F811
    small = [word for word in options(videos, Path("x")) if word not in {"--run_dir", "x"}]
    assert main(["fit", *small, "--trainer.max_epochs", "1", "--checkpoint.artifact", "true"]) == 0
    (folder,) = alone.glob("runs/multires-*")
    assert main(["fit", *small, "--trainer.max_epochs", "2", "--ckpt_path", "last"]) == 0
    first, second = runs_in(folder)
    assert first.id == second.id
    assert first.exit_code == second.exit_code == 0
    for run in (first, second):
        assert (run.name, run.group, run.job_type) == (folder.name, "multires", "fit")
        assert set(run.tags) == {"SingleFrame", "VideoFolder"}
        held = run.config["options"]
        resolved = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        assert held["model"] == resolved["model"]
        assert held["data"]["init_args"]["batch_size"] == 4
        assert run.best["val/clip_hit1"] == {"max", "last"}
        assert run.best["val/ece"] == run.best["train/loss_epoch"] == {"min", "last"}
    best = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["callbacks"]
    (score,) = {float(held["best_model_score"]) for name, held in best.items() if "BestWeights" in name}
    assert second.summary["best/val/clip_hit1"] == pytest.approx(score)
    epochs = [entry["val/clip_hit1"] for run in (first, second) for entry in run.history if "val/clip_hit1" in entry]
    assert second.summary["best/val/clip_hit1"] == pytest.approx(max(epochs))
    assert first.artifacts == {f"checkpoint-{first.id}": {"best.ckpt"}}
    assert second.artifacts == {}

    config = str(folder / "config.yaml")
    assert main(["test", "--config", config, "--ckpt_path", str(folder / "checkpoints/best.ckpt")]) == 0
    (tested,) = [path.parent for path in alone.glob("runs/*/record.json")]
    assert tested.name.startswith("multires-")  # after the experiment, not after the file
    (run,) = runs_in(tested)
    assert run.config["fit"] == {"id": first.id, "name": folder.name, "group": "multires"}
    assert (run.group, run.job_type) == ("multires", "test")
    assert run.id != first.id
    assert run.summary["evaluation/predictions"]["nrows"] == 4
    (table,) = [held for name, held in run.artifacts.items() if "predictions" in name]
    assert sum(path.endswith(".jpg") for path in table) == 4  # a strip of frames for each test video


@pytest.mark.filterwarnings("ignore:.*videos? could not be read")
def test_predictions_and_refused_commands_leave_neither_run_nor_folder(
    videos: Path,  # noqa: F811
    alone: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = [word for word in options(videos, Path("x"), report=None) if word not in {"--run_dir", "x"}]
    assert main(["fit", *small, "--trainer.max_epochs", "1"]) == 0
    (folder,) = alone.glob("runs/*")
    checkpoint = str(folder / "checkpoints/best.ckpt")
    capsys.readouterr()
    assert main(["predict", *small, "--ckpt_path", checkpoint, "--predict.output", "top.csv"]) == 0
    assert "run folder" not in capsys.readouterr().out
    assert (alone / "top.csv").is_file()
    for refused in (
        ["fit", *small, "--checkpoint.monitor", "val/typo"],
        ["test", *small, "--ckpt_path", checkpoint, "--model.width", "0.06"],
        ["validate", *small, "--ckpt_path", checkpoint, "--data.root", str(alone)],
    ):
        assert main(refused) == 2
    assert [*alone.glob("runs/*")] == [folder]
    assert len([*alone.rglob("*.wandb")]) == 1
    # A table in the run folder needs the folder, and no run.
    assert main(["predict", *small, "--ckpt_path", checkpoint]) == 0
    (predicted,) = {*alone.glob("runs/*")} - {folder}
    assert {path.name for path in predicted.iterdir()} >= {"predictions.csv", "config_predict.yaml"}
    assert "true" in (predicted / "predictions.csv").read_text("utf-8").splitlines()[0]
    assert len([*alone.rglob("*.wandb")]) == 1


@pytest.mark.filterwarnings("ignore:.*videos? could not be read")
def test_without_a_login_the_logs_stay_here_and_the_mode_is_obeyed(
    videos: Path,  # noqa: F811
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = [*options(videos, alone / "run"), "--trainer.max_epochs", "1"]
    assert main(["fit", *small, "--trainer.logger.offline", "false", "--trainer.logger.log_model", "true"]) == 0
    shown = capsys.readouterr()
    (line,) = [line for line in shown.out.splitlines() if line.startswith("no login")]
    assert len(line) <= 79
    assert "Traceback" not in shown.err
    assert len(runs_in(alone / "run")) == 1
    assert not (alone / "run/report.html").exists()
    assert "WANDB_MODE" not in os.environ  # Lightning would set it for all runs to come
    monkeypatch.setenv("WANDB_MODE", "disabled")
    small[small.index(str(alone / "run"))] = str(alone / "other")
    assert main(["fit", *small]) == 0
    assert not (alone / "other/wandb").exists()


@pytest.mark.filterwarnings("ignore:.*videos? could not be read")
def test_a_sweep_names_its_runs_itself(
    videos: Path,  # noqa: F811
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `wandb agent` starts the command: the run's name in the environment, the parameters as options."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/wandb.md").read_text("utf-8"), re.DOTALL)
    sweep = yaml.safe_load(text)
    words = [f"--{name}={held['values'][0]}" for name, held in sweep["parameters"].items()]
    assert sweep["command"][:2] == ["${env}", "clipbench"]
    assert sweep["command"][-1] == "${args}"
    monkeypatch.setenv("WANDB_RUN_ID", "sweep123")
    monkeypatch.setenv("WANDB_NAME", "fast-sweep-1")
    small = [*options(videos, alone / "run"), "--trainer.max_epochs", "1", *words]
    assert main(["fit", *small, "--trainer.logger.group", "sweeps"]) == 0
    (run,) = runs_in(alone / "run")
    assert (run.id, run.name, run.group) == ("sweep123", "fast-sweep-1", "sweeps")
    held = torch.load(alone / "run/checkpoints/last.ckpt", weights_only=True)["wandb"]  # by which its test names it
    assert held == {"id": run.id, "name": run.name, "group": run.group}
    assert sweep["metric"]["name"] in run.summary


def test_wandb_is_not_passed_an_option_of_which_it_warns(alone: Path) -> None:
    logger = WandbLogger(name="made", offline=True)
    assert "anonymous" in logger._wandb_init
    _choose(logger, {})
    assert "anonymous" not in logger._wandb_init
