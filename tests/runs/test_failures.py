import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lightning.pytorch.trainer.states import TrainerFn

from benchmark.clip import Failure
from benchmark.errors import UserError
from benchmark.runs.failures import FailedVideos


def epoch(number: int, folder: Path) -> Any:
    return SimpleNamespace(
        world_size=1,
        is_global_zero=True,
        default_root_dir=str(folder),
        current_epoch=number,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
    )


def test_every_video_that_failed_is_listed_once_a_reason(tmp_path: Path) -> None:
    noted, module = FailedVideos(), cast(Any, None)
    for number in range(2):
        for video in range(944):
            reason = "no frames" if video or not number else "the file does not exist"
            batch = cast(Any, SimpleNamespace(failures=[Failure(video, f'v "{video:03}", x', reason)]))
            batch = type("Batch", (), {"failures": batch.failures, "__len__": lambda _: 1})()
            noted.on_train_batch_start(epoch(number, tmp_path), module, batch, video)
        with pytest.warns(UserWarning, match=r"944 videos could not be read .*; and 939 more in failed_videos\.csv"):
            noted.on_train_epoch_end(epoch(number, tmp_path), module)
    with (tmp_path / "failed_videos.csv").open(newline="", encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["what", "epoch", "video", "reason"]
    assert len(rows) == 945
    assert rows[0] == ["skipped in training", "1", 'v "000", x', "no frames"]
    assert rows[-1] == ["skipped in training", "2", 'v "000", x', "the file does not exist"]


def test_what_failed_before_a_checkpoint_is_listed_with_it(tmp_path: Path) -> None:
    noted, trainer, module = FailedVideos(), epoch(2, tmp_path), cast(Any, None)
    batch = type("Batch", (), {"failures": [Failure(0, "v1", "no frames")], "__len__": lambda _: 1})()
    noted.on_train_batch_start(trainer, module, cast(Any, batch), 0)
    noted.on_save_checkpoint(trainer, module, {})
    lines = (tmp_path / "failed_videos.csv").read_text("utf-8").splitlines()
    assert lines == ["what,epoch,video,reason", "skipped in training,3,v1,no frames"]
    with pytest.warns(
        UserWarning, match="epoch 3: 1 video could"
    ):  # and at the end of the epoch it is told, and not again
        noted.on_train_epoch_end(trainer, module)
    assert (tmp_path / "failed_videos.csv").read_text("utf-8").splitlines() == lines


@pytest.mark.parametrize("clips", [0, 2])
def test_a_validation_of_nothing_ends_the_run(clips: int, tmp_path: Path) -> None:
    noted, module, trainer = FailedVideos(), cast(Any, None), epoch(0, tmp_path)
    for count in (0, clips):
        batch = type("Batch", (), {"failures": [Failure(0, "v", "no frames")], "__len__": lambda _, n=count: n})()
        noted.on_validation_batch_start(trainer, module, cast(Any, batch), 0)
    if clips:
        with pytest.warns(UserWarning, match="1 video could not be read and was not validated"):
            noted.on_validation_epoch_end(trainer, module)
    else:
        with pytest.raises(UserError, match="epoch 1 had no clip to validate on: 1 video could not be read"):
            noted.on_validation_epoch_end(trainer, module)
