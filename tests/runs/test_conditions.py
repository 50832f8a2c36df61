"""On what and how a checkpoint was trained, and what a fit that goes on from it may change."""

from pathlib import Path

import pytest
import torch

from benchmark.cli import main
from benchmark.runs.conditions import differences
from tests.generators.small_test import options

CHANGED = [
    (["--data.fold", "2"], "data.fold was 1 and is 2 now"),
    (["--data.seed", "3"], "data.seed was 0 and is 3 now"),
    (["--seed_everything", "4"], "seed_everything was 0 and is 4 now"),
    (["--data.batch_size", "8"], "data.batch_size was 4 and is 8 now"),
    (["--data.clips_per_video.train_epoch", "2"], "data.clips_per_video.train_epoch was 1 and is 2 now"),
    (["--data.augmentation.grey", "0.5"], "data.augmentation.grey was 0.0 and is 0.5 now"),
    (["--model.recipe.learning_rate", "0.02"], "model.recipe.learning_rate was 0.01 and is 0.02 now"),
    (["--model.dropout", "0.3"], "model.dropout was 0.5 and is 0.3 now"),
    (["--trainer.accumulate_grad_batches", "2"], "trainer.accumulate_grad_batches was 1 and is 2 now"),
    (["--trainer.gradient_clip_val", "1.0"], "trainer.gradient_clip_val was None and is 1.0 now"),
    (["--trainer.precision", "64-true"], "trainer.precision was 32-true and is 64-true now"),
    (["--optimizer", "SGD", "--optimizer.lr", "0.01"], "optimizer was None and is {'class_path': 'torch.optim.SGD'"),
    (["--data.generation_seed", "1"], "the dataset was"),
]


@pytest.fixture(scope="module")
def run(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    folder = tmp_path_factory.mktemp("fit") / "run"
    assert main(["fit", *options(small_set, folder)]) == 0
    return folder


def test_a_run_does_not_go_on_with_other_options(
    small_set: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = (run / "config.yaml").read_bytes()
    for words, message in CHANGED:
        assert main(["fit", *options(small_set, run, "--trainer.max_epochs", "2", *words), "--ckpt_path", "last"]) == 2
        assert f"this fit cannot go on from --ckpt_path: {message}" in capsys.readouterr().err
    assert main(["fit", *options(small_set, run, *CHANGED[0][0], *CHANGED[3][0]), "--ckpt_path", "last"]) == 2
    assert f"{CHANGED[0][1]}; {CHANGED[3][1]}. Give the options" in capsys.readouterr().err
    assert (run / "config.yaml").read_bytes() == written


def test_a_run_goes_on_longer_elsewhere_and_a_checkpoint_that_says_nothing_too(
    small_set: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = ["--trainer.max_epochs", "2", "--data.num_workers", "1", "--data.cache", "memory"]
    allowed += ["--data.clips_per_video.test", "4", "--checkpoint.minutes", "1", "--ckpt_path", "last"]
    held = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    goes_on = tmp_path / "goes_on"
    for removed, more in ((None, []), ("conditions", CHANGED[3][0])):
        held.pop(removed, None)
        (goes_on / "checkpoints").mkdir(parents=True, exist_ok=True)
        torch.save(held, goes_on / "checkpoints/last.ckpt")
        assert main(["fit", *options(small_set, goes_on, *allowed, *more)]) == 0
        kept = torch.load(goes_on / "checkpoints/last.ckpt", weights_only=True)
        assert kept["epoch"] == 1
        assert kept["conditions"]["data.batch_size"] == (4 if removed is None else 8)
    assert "trained otherwise" not in capsys.readouterr().out


def test_a_new_run_may_begin_with_a_checkpoint_that_was_trained_otherwise(
    small_set: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.fold", "2", "--trainer.max_epochs", "2", "--ckpt_path", str(run / "checkpoints/last.ckpt")]
    assert main(["fit", *options(small_set, tmp_path / "new", *words)]) == 0
    assert f"a checkpoint that was trained otherwise: {CHANGED[0][1]}\n" in capsys.readouterr().out


NOISY = """
from pathlib import Path

from benchmark.data import SyntheticActions


class Noisy(SyntheticActions):
    def __init__(self, root: Path | None, *, noise: float = 0.0, more: dict[str, int] = {"a": 1},
                 notes: Path | None = None, **shared: object) -> None:
        super().__init__(root, **shared)
"""


def test_an_option_of_a_plugins_data_is_a_condition_too(
    small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "noisy_data.py").write_text(NOISY, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"

    def fit(*words: str) -> int:
        given = options(small_set, run, "--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1")
        given[2:2] = ["--data", "noisy_data.Noisy"]
        return main(["fit", *given, *words])

    assert fit("--data.notes", "here") == 0
    assert fit("--data.noise", "3", "--data.more", "{a: 2}", "--ckpt_path", "last") == 2
    error = capsys.readouterr().err
    assert "data.noise was 0.0 and is 3.0 now" in error
    assert "data.more.a was 1 and is 2 now" in error
    assert fit("--data.notes", "there", "--data.test_views", "[centre]", "--ckpt_path", "last") == 0
    held = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    for name in ("data.noise", "data.more.a"):
        held["conditions"].pop(name)
    torch.save(held, run / "checkpoints/last.ckpt")
    assert fit("--data.noise", "3", "--ckpt_path", "last") == 0  # of a version that did not note it


def test_other_videos_under_one_name_are_told_by_their_fingerprint() -> None:
    held, mine = ({"data.fold": 1, "the fingerprint of the videos held": text} for text in ("ab", "cd"))
    assert differences({"conditions": held}, mine) == ["the fingerprint of the videos held was ab and is cd now"]
    assert differences({"conditions": "strange"}, mine) == differences({}, mine) == []
