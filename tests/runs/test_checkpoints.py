import os
import signal
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.synthetic import SyntheticActions
from benchmark.models import SingleFrame
from benchmark.runs import checkpoints
from benchmark.runs.checkpoints import BestWeights, run_checkpoints
from tests.models.training import trainer


class AsksEarly(SingleFrame):
    """Its schedule wants to know how long the run is, as most do."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.001)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.01, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Seen(L.Callback):
    """Which clips each step trained on; a checkpoint is written after one of the steps."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step, self.clips = path, step, list[list[int]]()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, _: Any, batch: Any, __: int) -> None:
        self.clips.append((1000 * batch.rows + batch.clips).tolist())
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("network", [SingleFrame, AsksEarly])
def test_a_fit_goes_on_behind_the_batches_of_its_epoch_whoever_asked_for_its_length(
    network: type[SingleFrame], small_set: Path, tmp_path: Path
) -> None:
    path = tmp_path / "middle.ckpt"

    def fit(**more: Any) -> Seen:
        torch.manual_seed(0)
        seen = Seen(path, 3)
        clips = ClipsPerVideo(train=2, train_epoch=1, validation=1, test=1)
        data = SyntheticActions(root=small_set, source_groups=3, batch_size=8, num_workers=0, clips_per_video=clips)
        ours = run_checkpoints(tmp_path / "checkpoints", "val/clip_hit1", 60.0)
        runner = trainer(tmp_path, seen, *ours, max_epochs=2, enable_checkpointing=True)
        runner.fit(network(16, width=0.05), datamodule=data, **more)
        return seen

    whole = fit().clips
    resumed = fit(ckpt_path=str(path), weights_only=True).clips
    assert len(whole) > 6
    assert resumed == whole[3:]


@pytest.mark.filterwarnings("ignore")
def test_an_epoch_that_was_broken_off_is_gone_on_with(small_set: Path, tmp_path: Path) -> None:
    def fit(folder: str, **more: Any) -> list[list[int]]:
        torch.manual_seed(0)
        seen = Seen(tmp_path / "unused.ckpt", -1)
        clips = ClipsPerVideo(train=2, train_epoch=1, validation=1, test=1)
        data = SyntheticActions(root=small_set, source_groups=3, batch_size=8, num_workers=0, clips_per_video=clips)
        saving = run_checkpoints(tmp_path / folder, "val/clip_hit1", 60.0)
        resumed = {name: more.pop(name) for name in ("ckpt_path", "weights_only") if name in more}
        runner = trainer(tmp_path, seen, *saving, **{"max_epochs": 2, "enable_checkpointing": True, **more})
        runner.fit(SingleFrame(16, width=0.05), datamodule=data, **resumed)
        return seen.clips

    whole = fit("whole")
    stopped = fit("broken", max_steps=3)
    resumed = fit("broken", ckpt_path=str(tmp_path / "broken/last.ckpt"), weights_only=True)
    assert len(stopped) == 3
    assert stopped + resumed == whole
    ends = [torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"] for name in ("whole", "broken")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


class EndsInValidation(L.Callback):
    """Lets it be told to stop in the middle of the second validation, as by a scheduler that wants the machine back."""

    def on_validation_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.filterwarnings("ignore")
def test_a_fit_that_was_stopped_in_its_validation_goes_on(
    small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before the last batch: what is saved between that and the validation would leave the validation out."""

    def fit(folder: str, *callbacks: L.Callback, **more: Any) -> list[list[int]]:
        torch.manual_seed(0)
        seen = Seen(tmp_path / "unused.ckpt", -1)
        clips = ClipsPerVideo(train=2, train_epoch=1, validation=1, test=1)
        data = SyntheticActions(root=small_set, source_groups=3, batch_size=8, num_workers=0, clips_per_video=clips)
        saving = run_checkpoints(tmp_path / folder, "val/clip_hit1", 60.0)
        runner = trainer(tmp_path, seen, *saving, *callbacks, max_epochs=3, enable_checkpointing=True)
        try:
            runner.fit(SingleFrame(16, width=0.05), datamodule=data, **more)
        except SIGTERMException:
            assert callbacks
        return seen.clips

    whole = fit("whole")
    monkeypatch.setattr(checkpoints, "BEFORE_VALIDATION_S", 0.0)
    stopped = fit("broken", EndsInValidation())
    assert len(stopped) == len(whole) // 3 * 2
    last = tmp_path / "broken" / "last.ckpt"
    steps = torch.load(last, weights_only=True)["global_step"]
    assert steps == len(stopped) - 1
    resumed = fit("broken", ckpt_path=str(last), weights_only=True)
    assert resumed == whole[steps:]
    ends = [torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "broken")]
    assert all(torch.equal(value, ends[1]["state_dict"][name]) for name, value in ends[0]["state_dict"].items())
    bests = [
        torch.load(tmp_path / name / "best.ckpt", weights_only=True)["global_step"] for name in ("whole", "broken")
    ]
    assert bests[0] == bests[1]


@pytest.mark.parametrize(("goes_on", "is_here"), [(True, True), (True, False), (False, True)])
def test_a_folder_that_was_moved_knows_its_best_value(goes_on: bool, is_here: bool, tmp_path: Path) -> None:
    """Another run's checkpoint says nothing of this folder's best, and nothing is known of one that is not here."""

    def best(folder: Path, *, goes_on: bool = False) -> BestWeights:
        (made,) = (
            each for each in run_checkpoints(folder, "val/map", 1.0, goes_on=goes_on) if isinstance(each, BestWeights)
        )
        made.setup(trainer(tmp_path), SingleFrame(3, width=0.05), "fit")
        return made

    before, path = best(tmp_path / "a"), str(tmp_path / "a" / "best.ckpt")
    before.best_model_path = before.kth_best_model_path = path
    before.best_model_score = before.kth_value = torch.tensor(0.5)
    before.best_k_models = {path: torch.tensor(0.5)}
    (tmp_path / "b").mkdir()
    if is_here:
        (tmp_path / "b" / "best.ckpt").touch()
    after = best(tmp_path / "b", goes_on=goes_on)
    knows = goes_on and is_here
    with warnings.catch_warnings():
        warnings.simplefilter("error" if knows else "ignore")
        after.load_state_dict(before.state_dict())
    if knows:
        assert after.best_k_models == {str(tmp_path / "b" / "best.ckpt"): torch.tensor(0.5)}
        assert after.best_model_path == after.kth_best_model_path == str(tmp_path / "b" / "best.ckpt")
        assert after.best_model_score == 0.5
    else:
        assert after.best_model_score is None
        assert not after.best_k_models


@pytest.mark.filterwarnings("ignore")
def test_gathered_gradients_are_never_left_out_of_a_save(
    small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 clips in 8 batches, steps of 3: saved after 3 and 6 batches, by the clock and before the validation."""
    monkeypatch.setattr(checkpoints, "BEFORE_VALIDATION_S", 0.0)
    saved: list[int] = []

    class Saves(L.Callback):
        def on_save_checkpoint(self, trainer: L.Trainer, *_: Any) -> None:
            saved.append(trainer.fit_loop.epoch_loop.batch_progress.current.ready)

    clips = ClipsPerVideo(train=2, train_epoch=1, validation=1, test=1)
    for minutes, expected in ((60.0, [6, 8]), (0.0, [3, 6, 8])):
        data = SyntheticActions(root=small_set, source_groups=3, batch_size=4, num_workers=0, clips_per_video=clips)
        saving = [each for each in run_checkpoints(tmp_path / str(minutes), "val/map", minutes)]
        saving = [each for each in saving if not isinstance(each, BestWeights)]
        saved.clear()
        runner = trainer(tmp_path, Saves(), *saving, max_epochs=1, accumulate_grad_batches=3, enable_checkpointing=True)
        runner.fit(SingleFrame(16, width=0.05), datamodule=data)
        assert saved == expected
