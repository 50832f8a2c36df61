"""The command line from end to end on real encoded videos: fit, resume, test, predict, two processes, errors."""

import csv
import importlib.metadata
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from benchmark.cli import main
from tests.generators.encoded import encode

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes told by brightness, 8 training, 4 validation and 4 test videos, and two broken training files."""
    root = tmp_path_factory.mktemp("videos")
    for split, count in (("train", 8), ("validation", 4), ("test", 4)):
        for name, level in (("dark", 20), ("light", 160)):
            for n in range(count // 2):
                folder = root / split / name
                folder.mkdir(parents=True, exist_ok=True)
                planes = np.full((96, 96), 128, np.uint8)
                planes[:64] = np.random.default_rng([n, len(split)]).integers(level, level + 60, (64, 96))
                encode(folder / f"{name}{n}.mp4", planes=planes, frames=20)
    (root / "train" / "dark" / "empty.mp4").touch()
    (root / "train" / "light" / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    return root


def options(videos: Path, run: Path, *more: str, report: bool | None = False) -> list[str]:
    """Arguments of a small fit, or of a verb that leaves no report."""
    return [
        *("--config", str(ROOT / "conf/multires.yaml"), "--data", str(ROOT / "conf/data/folder.yaml")),
        *("--data.root", str(videos), "--data.num_workers", "0", "--data.batch_size", "4"),
        *("--data.clips_per_video", '{"train": 8, "train_epoch": 2, "validation": 2, "test": 3}'),
        *("--model.width", "0.05", "--model.recipe.warmup_steps", "2", "--trainer.max_epochs", "2"),
        *("--trainer.accelerator", "cpu", "--trainer.precision", "32-true"),
        *(() if report is None else ("--report", str(report).lower())),
        *("--trainer.enable_progress_bar", "false", "--run_dir", str(run), *more),
    ]


@pytest.fixture(scope="session")
def run_dir(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    run = tmp_path_factory.mktemp("runs") / "one"
    with pytest.warns(UserWarning, match="2 videos could not be read and were skipped in training"):
        assert main(["fit", *options(videos, run)]) == 0
    return run


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return state


@pytest.mark.extra("wandb")
def test_a_run_has_one_folder_with_all_that_it_left(run_dir: Path) -> None:
    assert {"config.yaml", "csv", "checkpoints", "wandb"} <= {path.name for path in run_dir.iterdir()}
    assert {path.name for path in (run_dir / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert list(run_dir.glob("wandb/offline-run-*/*.wandb"))
    rows = list(csv.DictReader((run_dir / "csv/version_0/metrics.csv").open(encoding="utf-8")))
    logged = {name for row in rows for name, value in row.items() if value}
    assert {
        *("train/loss_step", "train/loss_epoch", "train/clip_hit1", "train/clip_hit5", "train/clips_per_second"),
        *("train/compute_clips_per_second", "train/waiting_share", "train/peak_memory_mb"),
        *("val/clip_hit1", "val/clip_hit5", "val/video_hit1", "val/video_hit5", "val/map"),
    } <= logged


def test_two_runs_with_one_seed_are_equal(videos: Path, run_dir: Path, tmp_path: Path) -> None:
    assert main(["fit", *options(videos, tmp_path / "again")]) == 0
    first, second = (weights(run / "checkpoints/last.ckpt") for run in (run_dir, tmp_path / "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_resolved_config_repeats_the_run(run_dir: Path, tmp_path: Path) -> None:
    config = str(run_dir / "config.yaml")
    assert main(["fit", "--config", config, "--run_dir", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/csv/version_0/metrics.csv").is_file()
    assert not (run_dir / "csv/version_1").exists()
    first, second = (weights(run / "checkpoints/last.ckpt") for run in (run_dir, tmp_path / "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def start(arguments: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "WANDB_SILENT": "true"}
    environment.pop("CLIPBENCH_RUN_DIR", None)
    command = [sys.executable, "-m", "benchmark", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


@pytest.mark.parametrize("order", ["SIGKILL", "SIGTERM"])
def test_a_run_stopped_in_mid_epoch_and_resumed_equals_one_that_was_not(
    order: str, videos: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    often = ["--checkpoint.minutes", "0.0001", "--data.num_workers", "1"]
    process = start(["fit", *options(videos, broken, *often)])
    last = broken / "checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not (last.exists() and 1 <= torch.load(last, weights_only=True)["global_step"]):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(getattr(signal, order))
    output, _ = process.communicate(timeout=240)
    if order == "SIGTERM":
        assert process.returncode == 128 + signal.SIGTERM
        assert "fit was stopped by SIGTERM before its end; --ckpt_path last goes on" in output
    steps = torch.load(last, weights_only=True)["global_step"]
    for arguments in (options(videos, broken, *often, "--ckpt_path", "last"), options(videos, whole, *often)):
        process = start(["fit", *arguments])  # the same number of threads, so that sums have the same order
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
    resumed, uninterrupted = weights(last), weights(whole / "checkpoints/last.ckpt")
    assert 1 <= steps < torch.load(last, weights_only=True)["global_step"] == 10
    assert all(torch.equal(resumed[name], uninterrupted[name]) for name in uninterrupted)


def test_a_run_resumed_behind_an_epoch_keeps_its_learning_rate(videos: Path, tmp_path: Path) -> None:
    # A cooldown ends with the run, so it has to be off where a run that was planned shorter is to equal a longer one.
    falls = ["--model.recipe.cooldown", "0", "--model.recipe.plateau_patience", "0"]
    falls += ["--model.recipe.warmup_steps", "0", "--trainer.max_epochs"]
    assert main(["fit", *options(videos, tmp_path / "broken", *falls, "3")]) == 0
    assert main(["fit", *options(videos, tmp_path / "broken", *falls, "6"), "--ckpt_path", "last"]) == 0
    assert main(["fit", *options(videos, tmp_path / "whole", *falls, "6")]) == 0
    resumed, whole = (
        torch.load(tmp_path / run / "checkpoints/last.ckpt", weights_only=True) for run in ("broken", "whole")
    )
    rates = [held["optimizer_states"][0]["param_groups"][0]["lr"] for held in (resumed, whole)]
    assert rates[0] == rates[1] < 0.01  # it fell at least once, or this would show nothing
    assert all(torch.equal(resumed["state_dict"][name], value) for name, value in whole["state_dict"].items())


AGREEMENT = '''
import json, pathlib, lightning as L
class Agreement(L.Callback):
    """Writes what each process ended with."""
    def __init__(self, folder: str) -> None:
        self.folder = pathlib.Path(folder)
    def on_train_end(self, trainer, pl_module) -> None:
        total = [float(p.double().sum()) for p in pl_module.parameters()]
        known = trainer.callback_metrics.items()
        scores = {k: float(v) for k, v in known if k.startswith("val/") or k == "train/loss_epoch"}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        text = json.dumps([total, scores, rate, trainer.global_step])
        (self.folder / f"{trainer.global_rank}.json").write_text(text)
'''


def test_two_processes_with_unreadable_videos_end_and_agree(videos: Path, tmp_path: Path) -> None:
    module = tmp_path / "agreement.py"
    module.write_text(AGREEMENT, "utf-8")
    callback = f'[{{"class_path": "agreement.Agreement", "init_args": {{"folder": "{tmp_path}"}}}}]'
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.callbacks", callback]
    two += ["--data.batch_size", "1"]  # so that some steps of a process have no clip at all
    os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        process = start(["fit", *options(videos, tmp_path / "run", *two)])
        output, _ = process.communicate(timeout=240)
    finally:
        del os.environ["PYTHONPATH"]
    assert process.returncode == 0, output
    first, second = ((tmp_path / f"{rank}.json").read_text("utf-8") for rank in (0, 1))
    assert first == second
    assert "train/loss_epoch" in first
    assert "2 videos could not be read and were skipped in training" in output


@pytest.mark.parametrize("processes", [1, 2])
def test_training_on_videos_that_cannot_be_read_stops(tmp_path: Path, processes: int) -> None:
    for split, name, number in itertools.product(("train", "validation"), ("dark", "light"), range(4)):
        video = tmp_path / "videos" / split / name / f"{number}.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        video.write_bytes(b"no video")
    strategy = ["--trainer.devices", "2", "--trainer.strategy", "ddp"] if processes == 2 else []
    process = start(["fit", *options(tmp_path / "videos", tmp_path / "run", *strategy)])
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 2, output
    assert re.search(
        r"clipbench: .*epoch 1 had no clip to train on: 8 videos could not be read and were skipped", output
    )
    assert "(first train/dark/0.mp4: " in output
    assert "Traceback" not in output
    assert not list(tmp_path.rglob("*.ckpt"))


def test_test_scores_every_clip_in_every_view(
    videos: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(run_dir / "checkpoints/best.ckpt")
    assert main(["test", *options(videos, tmp_path / "test"), "--ckpt_path", checkpoint]) == 0
    shown = capsys.readouterr().out
    assert "test:  clip@1" in shown
    assert "mAP" in shown


def predicting(videos: Path, folder: Path, run_dir: Path) -> list[str]:
    """A small prediction by the last weights of a run."""
    last = str(run_dir / "checkpoints/last.ckpt")
    return ["predict", *options(videos, folder, report=None), "--ckpt_path", last]


def test_predict_takes_a_single_path(videos: Path, run_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    arguments = [
        *predicting(videos, tmp_path / "predict", run_dir),
        *("--predict.videos", str(videos / "train/dark/dark0.mp4"), "--predict.output", str(output)),
    ]
    assert main(arguments) == 0
    assert [Path(row["video"]).name for row in csv.DictReader(output.open(encoding="utf-8"))] == ["dark0.mp4"]


def test_predictions_of_the_test_videos_have_their_true_class(videos: Path, run_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "predict"
    assert main(predicting(videos, run, run_dir)) == 0
    rows = list(csv.DictReader((run / "predictions.csv").open(encoding="utf-8")))
    assert [row["true"] for row in rows] == [Path(row["video"]).parent.name for row in rows]
    assert {row["true"] for row in rows} == {"dark", "light"}


def test_predictions_of_nothing_are_refused(
    videos: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"no video")
    output = tmp_path / "out.csv"
    words = predicting(videos, tmp_path / "predict", run_dir)
    bad, good = [tmp_path / "a.mp4", tmp_path / "b.mp4"], videos / "train/dark/dark0.mp4"
    given = ["--predict.videos", f"[{','.join(map(str, bad))}]", "--predict.output", str(output)]
    assert main([*words, *given]) == 2
    said = capsys.readouterr().err
    assert "2 videos were to be predicted, and none could be read: " in said
    assert all(f"{name} (" in said for name in bad)
    assert not output.exists()
    given = ["--predict.videos", f"[{bad[0]},{good}]", "--predict.output", str(output)]
    assert main([*words, *given]) == 0  # the table says which
    assert f"wrote {output}: 2 videos; 1 could not be read: {bad[0]} (" in " ".join(capsys.readouterr().out.split())
    rows = {row["video"]: row["failed"] for row in csv.DictReader(output.open(encoding="utf-8"))}
    assert {name for name, why in rows.items() if why} == {str(bad[0])}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_predict_takes_any_videos(videos: Path, run_dir: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out.{suffix}"
    arguments = [
        *predicting(videos, tmp_path / "predict", run_dir),
        *("--predict.videos", f'["{videos / "train"}"]', "--predict.output", str(output), "--predict.top", "2"),
    ]
    assert main(arguments) == 0
    rows = list(csv.DictReader(output.open(encoding="utf-8"))) if suffix == "csv" else pq.read_table(output).to_pylist()
    read = [row for row in rows if not row["failed"]]
    failed = {Path(row["video"]).name: row["failed"] for row in rows if row["failed"]}
    assert len(read) == 8
    assert failed["empty.mp4"] == "the file is empty"
    assert set(failed) == {"empty.mp4", "noise.mp4"}
    for row in read:
        assert "true" not in row  # nobody has said what these videos show
        assert {row["class_1"], row["class_2"]} == {"dark", "light"}
        assert float(row["probability_1"]) + float(row["probability_2"]) == pytest.approx(1, abs=1e-5)


def test_the_checkpoint_must_fit_the_configuration(
    videos: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(run_dir / "checkpoints/last.ckpt")
    changed = ["--model.width", "0.06", "--model.resolution", "fovea"]
    assert main(["test", *options(videos, tmp_path / "test", *changed), "--ckpt_path", checkpoint]) == 2
    error = capsys.readouterr().err
    assert "resolution is multires in the checkpoint and fovea in the configuration" in error
    assert "width is 0.05 in the checkpoint and 0.06 in the configuration" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--config", "{conf}", "--data.fold", "7"], "data.fold is 7"),
        (["fit", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "{conf}", "fit"], "the verb comes first; write `python -m benchmark fit --config"),
        (["train"], "'train' is no verb"),
        (["fit", "--config", "{conf}", "--model.widht", "1"], "widht"),
        (["fit", "--config", "{conf}", "--model", "NoSuchModel"], "NoSuchModel"),
        (["fit", "--config", "{conf}", "--model.width", "-1"], "model.width is -1"),
        (["fit", "--config", "{conf}", "--model.resolution", "half"], "half"),
        (["fit", "--config", "{conf}", "--data", "UCF101", "--data.root", "/no/such"], "/no/such"),
        (["fit", "--config", "{conf}", "--data", "{videos}", "--data.root", "/no/such"], "/no/such"),
        (["fit", "--config", "{conf}", "--data.batch_size", "0"], "data.batch_size is 0"),
        (["fit", "--config", "{conf}", "--data.clips_per_video.train", "0"], "clips_per_video.train is 0"),
        (["fit", "--config", "{conf}", "--ckpt_path", "last"], "nothing to resume"),
        (["test", "--config", "{conf}", "--ckpt_path", "no.ckpt"], "no.ckpt"),
        (["predict", "--config", "{conf}", "--predict.videos", '["x.mp4"]'], "predict needs --ckpt_path"),
        (["test", "--config", "{conf}"], "test needs --ckpt_path"),
        (["test", "--config", "{conf}", "--ckpt_path", "{conf}"], "is no checkpoint"),
        (["prepare", "ucf101", "--root", "/no/such"], "/no/such"),
        (["fit", "--config", "{conf}", "--trainer.strategy", "foo"], "strategy='foo'"),
        (["fit", "--config", "{conf}", "--trainer.accelerator", "foo"], "accelerator='foo'"),
        (["fit", "--config", "{conf}", "--run_dir", "{conf}"], "multires.yaml is a file; name a folder"),
        (["fit", "--config", "{conf}", "--run_dir", "{conf}/run"], "multires.yaml is a file; name a folder"),
        (["fit"], "an experiment says them all: --config multires"),
        (["fit", "--config", "{videos}"], "folder.yaml holds a part of an experiment alone, VideoFolder"),
        (["predict", "--config", "{conf}", "--predict.videos", "x.mp4"], "names x.mp4, which does not exist"),
        (["fit", "--config", "{conf}", "--data.cache", "diks"], "data.cache is diks; allowed are off, memory and disk"),
        (["fit", "--config", "{conf}", "--data.fold", "x"], "clipbench: data.fold is x; it must be a whole number\n"),
        (["fit", "--config", "{conf}", "--data.decoder", "x"], "data.decoder is x; it must be one of pyav, torchcodec"),
    ],
)
def test_what_a_user_can_cause_gets_one_message(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"conf": str(ROOT / "conf/multires.yaml"), "videos": str(ROOT / "conf/data/folder.yaml")}
    given = [argument.format(**names) if argument.startswith("{") else argument for argument in arguments]
    assert main(given) != 0
    captured = capsys.readouterr()
    assert message in captured.err + captured.out
    assert "Traceback" not in captured.err + captured.out
    assert not list(tmp_path.rglob("*.ckpt"))


def test_without_a_verb_the_verbs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb}" in shown for verb in ("fit", "validate", "test", "predict", "prepare"))


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"clipbench {importlib.metadata.version('clipbench')}\n"
