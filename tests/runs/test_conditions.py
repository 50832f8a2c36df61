"""On what and how a checkpoint was trained, and what a fit that goes on from it may change."""

from pathlib import Path

import pytest
import torch

from benchmark.cli import main
from benchmark.runs.conditions import differences, go_on_at_same_clip
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


def test_a_new_run_with_other_batches_goes_on_at_the_same_clip(
    small_set: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An epoch has 32 clips."""

    def steps(name: str, *words: str) -> int:
        assert main(["fit", *options(small_set, tmp_path / name, *words)]) == 0
        held = torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)
        return int(held["global_step"])

    assert steps("stopped", "--trainer.max_steps", "3") == 3  # of 8, with 4 clips each
    midway = ["--ckpt_path", str(tmp_path / "stopped/checkpoints/last.ckpt")]
    assert steps("six", "--data.batch_size", "6", *midway) == 3 + 4  # for 20 clips
    assert "a step has 6 clips and had 4: epoch 1 goes on behind its first 12 clips\n" in capsys.readouterr().out
    assert steps("eight", "--data.batch_size", "8", *midway) == 3 + 4  # for 32 clips
    assert "which 12 are no whole number of steps: epoch 1 begins anew\n" in capsys.readouterr().out
    ended = ["--ckpt_path", str(run / "checkpoints/last.ckpt"), "--trainer.max_epochs", "2"]
    assert steps("two", "--data.batch_size", "2", *ended) == 8 + 16
    assert "epoch 1" not in capsys.readouterr().out.partition("trained otherwise")[2]


def test_where_an_epoch_goes_on_is_counted_in_clips() -> None:
    def counts(**changed: int) -> tuple[dict[str, int], list[dict[str, int]]]:
        """Of a checkpoint behind 6 batches, with 2 processes of 4 clips."""
        held = {"data.batch_size": 4, "the number of processes": 2}
        count = {"ready": 6, "started": 6, "processed": 6, "completed": 5}
        loaders = [{"epoch": 1, "batches": 6}]
        fit = {"epoch_loop.batch_progress": {"current": count}, "state_dict": {"combined_loader": loaders}}
        checkpoint = {"epoch": 1, "conditions": held, "loops": {"fit_loop": fit}}
        facts = held | {name.replace("_", " "): value for name, value in changed.items() if name[:3] == "the"}
        go_on_at_same_clip(checkpoint, facts | {"data.batch_size": changed["size"]}, lambda: 0)
        return count, loaders

    for size, processes, batches in ((4, 2, 6), (8, 1, 6), (4, 1, 12), (8, 3, 2), (5, 1, 0)):
        count, loaders = counts(size=size, the_number_of_processes=processes)
        assert count == {"ready": batches, "started": batches, "processed": batches, "completed": batches - 1}
        assert loaders == [{"epoch": 1, "batches": batches}]
    assert go_on_at_same_clip({"epoch": 0}, {}, lambda: 0) == ""


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
    counts = {"data.batch_size": 4, "the number of processes": 2}
    strange = {"data.batch_size": "four", "the number of processes": 1}  # in a damaged file
    assert "data.batch_size was four and is 4 now" in differences({"conditions": strange}, counts)
    assert go_on_at_same_clip({"conditions": strange}, counts, lambda: 8) == ""
    assert differences({"conditions": "strange"}, mine) == differences({}, mine) == []
