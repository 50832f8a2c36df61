"""Leaks that names do not show, each tried from the command line as a user would meet it."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.cli import main
from benchmark.data.synthetic import read_synthetic_index
from benchmark.models import SingleFrame
from benchmark.results.record import Record
from benchmark.runs.weights_origin import is_loaded
from tests.generators.scenes import scene, write_frames, write_scene
from tests.generators.small_test import options

CLASSES = ("Jump", "Run")


def fit_options(root: Path, run: Path, *more: str) -> list[str]:
    return [
        *("--config", "multires", "--data", "VideoFolder", "--data.root", str(root), "--model.width", "0.05"),
        *("--data.num_workers", "0", "--data.batch_size", "4"),
        *("--data.clips_per_video", '{"train": 2, "train_epoch": 1, "validation": 1, "test": 2}'),
        *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.precision", "32-true"),
        *("--trainer.enable_progress_bar", "false", "--trainer.logger", "false", "--run_dir", str(run), *more),
    ]


def folder(root: Path, first: int) -> Path:
    """Three videos of each class to train on, one to validate and one to test; other first numbers, other videos."""
    for label_number, label in enumerate(CLASSES):
        for number in range(5):
            split = "train" if number < 3 else "val" if number == 3 else "test"
            write_scene(root / split / label / f"{number}.avi", first + 10 * label_number + number)
    return root


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("clean") / "mine", 0)


@pytest.fixture(scope="module")
def trained(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = tmp_path_factory.mktemp("fit") / "run"
    assert main(["fit", *fit_options(clean, run)]) == 0
    return str(run / "checkpoints/last.ckpt")


def test_an_honest_test_is_clean_and_says_what_was_compared(
    clean: Path, trained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", *fit_options(clean, tmp_path / "run"), "--ckpt_path", trained]) == 0
    checkpoint = Record.read(tmp_path / "run").checkpoint
    assert checkpoint.provenance == "clean"
    assert checkpoint.content is not None
    assert checkpoint.content.model_dump() == {
        "videos": 2, "by_bytes": 2, "by_print": 2, "against": 8, "same_file": 0, "alike": 0,
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "2 of 2 test videos compared with the 8 seen by their bytes, 2 by three frames" in said


@pytest.mark.parametrize("kind", ["the same file", "looks the same"])
def test_training_videos_under_other_names_are_refused_in_a_test(
    kind: str, clean: Path, trained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = folder(tmp_path / "theirs", 500)
    target = other / "test/Jump/4.avi"
    if kind == "the same file":
        shutil.copy(clean / "train/Jump/0.avi", target)
    else:
        write_frames(target, scene(0)[:, 6:-6, 8:-8][:, :, ::-1], options={"qscale": "6"})
    command = ["test", *fit_options(other, tmp_path / "run"), "--ckpt_path", trained]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"whatever names: 1 of 2 videos: test/Jump/4.avi ({kind})" in said
    assert main([*command, "--allow_contaminated", "true"]) == 0
    assert Record.read(tmp_path / "run").checkpoint.provenance == "contaminated"


def test_one_file_in_training_and_test_is_refused_in_a_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "data", 40)
    shutil.copy(root / "train/Run/1.avi", root / "test/Run/9.avi")
    shutil.copy(root / "train/Run/2.avi", root / "val/Run/9.avi")
    assert main(["fit", *fit_options(root, tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "are in its test split too, by their content: 1 of 3 videos: test/Run/9.avi (the same file)" in said
    assert "clipbench audit" in said
    (root / "test/Run/9.avi").unlink()
    assert main(["fit", *fit_options(root, tmp_path / "run")]) == 0
    assert "validation flatters, as it shows what training videos show: 1 of 3 videos: val/Run/9.avi" in (
        capsys.readouterr().out
    )


def test_a_set_without_validation_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "data", 60)
    shutil.rmtree(root / "val")
    assert main(["fit", *fit_options(root, tmp_path / "run")]) == 0
    assert "no validation split: nothing is validated, and no best.ckpt is chosen" in capsys.readouterr().out


def test_a_validation_on_training_videos_gives_a_notice(
    clean: Path, trained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It was chosen on its own validation videos, which is what they are for.
    assert main(["validate", *fit_options(clean, tmp_path / "own"), "--ckpt_path", trained]) == 0
    assert "notice" not in capsys.readouterr().out
    other = folder(tmp_path / "theirs", 800)
    shutil.copy(clean / "train/Run/0.avi", other / "val/Run/3.avi")
    assert main(["validate", *fit_options(other, tmp_path / "other"), "--ckpt_path", trained]) == 0
    assert "trained on what it is validated on here: 1 of 2 videos: val/Run/3.avi (the same file)" in (
        capsys.readouterr().out
    )


def test_the_same_generated_videos_of_another_set_are_known_by_content(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "four"
    index = read_synthetic_index(root, 2, source_groups=4)
    mine = read_synthetic_index(small_set, 1, source_groups=3)
    hashes = {path.read_bytes() for row in [*mine.rows("train"), *mine.rows("validation")]
              for path in [mine.video(int(row)).path]}  # fmt: skip
    expected = sum(index.video(int(row)).path.read_bytes() in hashes for row in index.rows("test"))
    assert expected
    command = options(root, tmp_path / "run", "--data.fold", "2", "--data.source_groups", "4")
    assert main(["test", *command, "--ckpt_path", checkpoint]) == 2
    said = capsys.readouterr().err
    count = int(said.split("whatever names: ")[1].split(" of ")[0])
    assert count >= expected


class BeginsWithMine(SingleFrame):
    """Loads weights in its constructor, and says nothing of it."""

    path = ""

    def __init__(self, num_classes: int, *, width: float = 0.05) -> None:
        super().__init__(num_classes, width=width)
        if self.path:
            self.load_state_dict(torch.load(self.path, weights_only=True))


def test_weights_of_a_fit_here_keep_their_provenance_however_they_are_loaded(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--model", f"{__name__}.BeginsWithMine"]
    assert main(["fit", *fit_options(clean, tmp_path / "first", *own)]) == 0
    weights = torch.load(tmp_path / "first/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    torch.save(weights, tmp_path / "stripped.pt")
    monkeypatch.setattr(BeginsWithMine, "path", str(tmp_path / "stripped.pt"))
    other = folder(tmp_path / "theirs", 700)
    shutil.copy(clean / "train/Run/0.avi", other / "test/Run/4.avi")
    assert main(["fit", *fit_options(other, tmp_path / "second", *own)]) == 0
    held = torch.load(tmp_path / "second/checkpoints/last.ckpt", weights_only=True)["provenance"]
    assert held["is_known"]
    assert set(held["content"]) == {"mine (own split)", "theirs (own split)"}
    capsys.readouterr()
    last = str(tmp_path / "second/checkpoints/last.ckpt")
    assert main(["test", *fit_options(other, tmp_path / "test", *own), "--ckpt_path", last]) == 2
    assert "test/Run/4.avi (the same file)" in capsys.readouterr().err


def test_weights_of_elsewhere_are_told_by_building_the_network_again(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not is_loaded(SingleFrame(3, width=0.05))
    torch.manual_seed(7)
    elsewhere = SingleFrame(2, width=0.05)
    for value in elsewhere.parameters():
        nn.init.normal_(value)
    torch.save(elsewhere.state_dict(), tmp_path / "weights.pt")
    monkeypatch.setattr(BeginsWithMine, "path", str(tmp_path / "weights.pt"))
    own = ["--model", f"{__name__}.BeginsWithMine"]
    assert main(["fit", *fit_options(clean, tmp_path / "run", *own)]) == 0
    assert "begins with the same weights whatever the seed" in capsys.readouterr().out
    last = str(tmp_path / "run/checkpoints/last.ckpt")
    assert main(["test", *fit_options(clean, tmp_path / "test", *own), "--ckpt_path", last]) == 0
    assert Record.read(tmp_path / "test").checkpoint.provenance == "unknown"
