"""What a user can mend comes out as one message: exit code 2, no traceback."""

import errno
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from benchmark.cli import main
from benchmark.messages import for_the_user
from benchmark.models import Recipe, VideoClassifier
from tests.generators.forked import forked
from tests.generators.small_test import options

ROOT = Path(__file__).resolve().parents[1]
RECIPE = Recipe()


class Deep(VideoClassifier):
    """An architecture that needs a number of its own."""

    frame_offsets, input_side = (8,), 170

    def __init__(self, num_classes: int, depth: int, *, recipe: Recipe = RECIPE) -> None:
        super().__init__(num_classes, recipe)
        if depth == 13:
            raise ValueError("13 layers are bad luck")
        self.layer = nn.Linear(3, num_classes)


class Absent(CSVLogger):
    """A logger of a library that is nowhere installed; those of Lightning may be, by an extra or a user."""

    def __init__(self) -> None:
        raise ModuleNotFoundError("No module named 'a_library_that_is_absent'")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--trainer.devices two", "the trainer cannot be made: `devices`"),
        ("--trainer.devices -1", "the trainer cannot be made: `devices`"),
        ("--trainer.val_check_interval 1000", "`val_check_interval` (1000) must be less than or equal"),
        ("--trainer.check_val_every_n_epoch 0", "trainer.check_val_every_n_epoch is 0; it must be 1 or more"),
        ("--trainer.accumulate_grad_batches 0", "trainer.accumulate_grad_batches is 0; it must be 1 or more"),
        ("--trainer.compile maybe", "trainer.compile is maybe; it must be one of auto, never, always"),
        ("--seed_everything -1", "seed_everything is -1; it must be a whole number from 0 to 4294967295"),
        ("--checkpoint.minutes 1e300", "checkpoint.minutes is 1e+300; it must be a number from 0 to 1000000"),
        ("--checkpoint.minutes -1", "checkpoint.minutes is -1.0; it must be a number from 0 to 1000000"),
        ("--trainer.gradient_clip_val -1", "trainer.gradient_clip_val is -1; it must be a number from 0, or null"),
        ("--model.num_classes 3", "model.num_classes is 3, and the data have 16 classes; leave the option out"),
        ("--trainer.callbacks BatchSizeFinder", "leave it out, try some values in short fits, and give the best by "),
        ("--trainer.callbacks LearningRateFinder", "trainer.callbacks has LearningRateFinder, which changes"),
        (
            "--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/nosuch",
            "monitor of EarlyStopping is val/nosuch; a validation logs val/clip_hit1",
        ),
        (
            "--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/clip_hit1",
            "mode of EarlyStopping is min, and val/clip_hit1 is better the higher it is; make it max",
        ),
        (
            "--checkpoint.monitor val/ece --checkpoint.mode max",
            "--checkpoint.mode is max, and val/ece is better the lower it is; leave the option out",
        ),
        ("--data.batch_size null", "data.batch_size is null, and needs a value"),
        ("--data.clips_per_video.train null", "data.clips_per_video.train is None; it must be a whole number"),
        ("--trainer.logger tests.test_messages.Absent", "No module named 'a_library_that_is_absent'"),
        ("--ckpt_path=", "--ckpt_path is empty"),
        ("--run_dir=", "--run_dir is empty; name a file or a folder, `.` for the current one, or leave it out"),
        ("--checkpoint.monitor val/acc", "--checkpoint.monitor is val/acc; a validation logs val/clip_hit1, "),
        ("--model SingleFrme", "'SingleFrme'; did you mean SingleFrame? There are "),
        ("--data.batchsize 4", "SyntheticActions has no option batchsize; did you mean batch_size? It has "),
        ("--model Sinlge", "'Sinlge'; did you mean SingleFrame? There are "),
        ("--optimizer SDG", "optimizer is SDG, which is no Optimizer; did you mean SGD? There are "),
        ("--optimizer SDG", "ASGD"),
        ("--trainer.callbacks EarlyStoping", "is EarlyStoping, which is no Callback; did you mean EarlyStopping?"),
        ("--trainer.logger CSVLoger", "which is no Logger; did you mean CSVLogger? There are "),
        ("--optimizer os.system", "optimizer is os.system, which is no Optimizer; there are "),
        ("--model os.system", "os.system is no VideoClassifier"),
        ("--trainer.precision bf61", "trainer.precision is bf61; it must be one of auto, 32-true"),
        (
            "--data.clips_per_video.trian 3",
            "SyntheticActions.clips_per_video has no option trian; did you mean train? It has test, train, train_epoch",
        ),
        ('--data.clips_per_video {"trian":3}', "clips_per_video has no option trian; did you mean train?"),
        ("--model.recipe.warmup 1", "recipe has no option warmup; did you mean warmup_steps? It has "),
        ("--data.augmentation.flp 0.1", "augmentation has no option flp; it has aspect_ratio, colour, grey"),
        ("--run_di x", "--run_di is no option; did you mean --run_dir? `clipbench fit --help_all` lists"),
        ("--trainer.max_epoch 3", "--trainer.max_epoch is no option; did you mean --trainer.max_epochs?"),
        ("--modl.width 1", "--modl.width is no option; did you mean --model.width?"),
        ("run_dir=x", "run_dir=x is one word too many; did you mean --run_dir?"),
        ("--trainer.max_epochs 0", "trainer.max_epochs is 0, with which fit does nothing"),
        ("--trainer.limit_train_batches 0", "trainer.limit_train_batches is 0, with which fit does nothing"),
        ("--trainer.max_time 00:00:00:00", "fit trained on no batch; raise trainer.max_time"),
        ("--trainer.default_root_dir x", "trainer.default_root_dir is x; --run_dir names a run's folder"),
        ("--data.test_views centre", "data.test_views is centre; it must be a list"),
        ("--model tests.test_messages.Deep", "Deep needs a value for depth; give it by --model.depth"),
        (
            "--model tests.test_messages.Deep --model.init_args.depth 13",
            "cannot be made with these options: 13 layers are bad luck (CLIPBENCH_TRACEBACK=1 shows where)",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_options_that_cannot_be_are_said(
    words: str, message: str, small_set: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("CLIPBENCH_TRACEBACK", raising=False)
    given = words.split()
    kept = options(small_set, tmp_path / "run")
    if "--model tests" in words:  # without the width of another network
        place = kept.index("--model.width")
        config = tmp_path / "own.yaml"
        config.write_text("data: SyntheticActions\n", "utf-8")
        del kept[place : place + 2]
        kept[1] = str(config)
    assert main(["fit", *kept, *given]) == 2
    said = capfd.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_configuration_in_another_encoding_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "wide.yaml"
    config.write_text("model: SingleFrame\n", "utf-16")
    assert main(["fit", "--config", str(config)]) == 2
    assert f"--config {config} is not text in UTF-8; save it as such" in capsys.readouterr().err


def test_the_traceback_is_shown_to_who_asks(small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPBENCH_TRACEBACK", "1")
    with pytest.raises(ValueError, match="accumulate_grad_batches is 0"):
        main(["fit", *options(small_set, tmp_path / "run"), "--trainer.accumulate_grad_batches", "0"])


def test_predictions_that_cannot_be_written_are_refused_before_the_work(
    small_set: Path, checkpoint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = [*options(small_set, tmp_path / "run", report=None), "--ckpt_path", checkpoint]
    assert main(["predict", *words, "--predict.output", str(tmp_path / "file/x.csv")]) == 2
    said = capfd.readouterr()
    assert f"the folder {tmp_path}/file cannot be written to: " in said.err
    assert "name another one by --predict.output" in said.err
    assert "videos (" not in said.out
    assert not (tmp_path / "run").exists()


def test_a_slip_in_a_configuration_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, message in (
        ("trianer:\n  max_epochs: 1\n", "has trianer.max_epochs, which is no option; did you mean trainer.max_epochs?"),
        ("trainer:\n  max_epoch: 1\n", "has trainer.max_epoch, which is no option; did you mean trainer.max_epochs?"),
        ("b: 1\n", "has b, which is no option. `clipbench fit --help_all` lists"),
    ):
        config = tmp_path / "own.yaml"
        config.write_text(f"model: SingleFrame\ndata: SyntheticActions\n{text}", "utf-8")
        assert main(["fit", "--config", str(config)]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "said",
    [
        "DataLoader worker (pid 4711) is killed by signal: Killed. ",
        "DataLoader worker (pid(s) 4711, 4712) exited unexpectedly",
        "DataLoader worker (pid 4711) exited unexpectedly with exit code 1.",
    ],
)
def test_a_killed_loader_worker_is_named(said: str) -> None:
    shown = for_the_user(RuntimeError(said)) or ""
    assert "loader worker 4711" in shown
    assert "was killed, as a system does" in shown


def test_a_loader_worker_that_crashes_is_not_said_to_be_killed() -> None:
    said = "DataLoader worker (pid 4711) is killed by signal: Segmentation fault. "
    assert "loader worker 4711 crashed (Segmentation fault)" in (for_the_user(RuntimeError(said)) or "")


def test_what_every_experiment_says_is_asked_for_by_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [tmp_path / "x.ckpt", tmp_path / "v.mp4"]
    for file in given:
        file.touch()
    assert main(["predict", "--ckpt_path", str(given[0]), "--predict.videos", str(given[1])]) == 2
    said = capsys.readouterr().err
    assert "--data" in said
    assert "--model" in said
    assert "predict.data" not in said


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.cli.run", stopped)
    assert main(["fit"]) == 130
    assert capsys.readouterr().err == "clipbench: interrupted\n"


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EACCES, "change its rights"), (errno.ENOSPC, "make room"), (errno.EMFILE, "raise the limit of open files")],
)
def test_what_the_system_refuses_names_the_file(number: int, advice: str) -> None:
    said = for_the_user(OSError(number, os.strerror(number), "/data/videos"))
    assert said == f"/data/videos cannot be used: {os.strerror(number)}; {said.partition('; ')[2]}" if said else False
    assert advice in (said or "")
    assert for_the_user(OSError(errno.EINVAL, "Invalid argument", "/data/videos")) is None


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="needs to act as another user")
def test_a_folder_of_videos_that_one_may_not_enter(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    run = tmp_path / "run"
    run.mkdir()
    run.chmod(0o777)
    for folder in itertools.takewhile(lambda one: one != Path(tempfile.gettempdir()), tmp_path.parents):
        folder.chmod(0o755)
    code, _, said = forked(run, "fit", *options(tmp_path / "closed/videos", run / "run"), before=_nobody)
    assert code == 2
    assert said.count("cannot be used: Permission denied; change its rights") == 1
    assert "Traceback" not in said


def _nobody() -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    shown = subprocess.run(
        [f"{sys.executable} -m benchmark leaderboard build --help | head -c 10"],
        cwd=ROOT,
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "Traceback" not in shown.stderr
    assert len(shown.stdout) == 10
