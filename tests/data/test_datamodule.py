import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from benchmark.clip import ClipBatch
from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.decode import open_video
from benchmark.data.index import VideoIndex
from benchmark.data.sampling import clip_start
from benchmark.errors import UserError
from benchmark.identity import Identity
from benchmark.protocol import SECONDS_VERSION, VERSION
from tests.generators.indexes import BROKEN, small_index

FEW = ClipsPerVideo(train=4, train_epoch=2, validation=3, test=5)


class SmallVideos(VideoDataModule):
    """The videos of a folder that `small_index` filled."""

    def __init__(self, videos: VideoIndex, **settings: Any) -> None:
        small: dict[str, Any] = {"num_workers": 0, "clips_per_video": FEW, "batch_size": 4}
        super().__init__(videos.root, **small | settings)
        self.videos = videos

    def read_index(self) -> VideoIndex:
        return self.videos


class Model(L.LightningModule):
    """Remembers what it was shown; its one weight keeps the optimiser busy."""

    frame_offsets = (0, 15)
    input_side = 60

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = True
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[tuple[int, int, float]]] = []
        self.failed: list[int] = []

    def look(self, batch: ClipBatch) -> None:
        means = batch.frames.double().mean((1, 2, 3, 4)).tolist()
        self.seen.append(list(zip(batch.rows.tolist(), batch.clips.tolist(), means, strict=True)))
        self.failed += [failure.row for failure in batch.failures]

    def training_step(self, batch: ClipBatch) -> Tensor:
        self.look(batch)
        return self.weight * 1

    def test_step(self, batch: ClipBatch) -> None:
        self.look(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> VideoIndex:
    return small_index(tmp_path_factory.mktemp("videos"))


def attached(
    data: VideoDataModule, model: object | None = None, rank: int = 0, processes: int = 1, device: str = "cpu"
) -> VideoDataModule:
    """The data module as one process of a trainer sees it."""
    trainer = SimpleNamespace(
        lightning_module=Model() if model is None else model,
        is_global_zero=rank == 0,
        global_rank=rank,
        local_rank=rank,
        world_size=processes,
        strategy=SimpleNamespace(root_device=torch.device(device)),
    )
    data.trainer = cast(L.Trainer, trainer)
    return data


def trainer(**settings: Any) -> L.Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(accelerator="cpu", **quiet | {"enable_checkpointing": False} | settings)


def test_what_a_model_needs_is_read_from_it(videos: VideoIndex) -> None:
    data = attached(SmallVideos(videos))
    batch = next(iter(data.train_dataloader()))
    assert batch.frames.shape[1:] == (2, 60, 60, 3)
    assert batch.labels.shape[1:] == (3,)
    assert batch.views == ("centre",)
    batch = next(iter(data.test_dataloader()))
    assert batch.frames.shape == (5, 2, 200, 200, 3)
    assert batch.views == ("upper_left", "upper_left_flipped", "lower_right", "lower_right_flipped")
    batch = next(iter(data.val_dataloader()))
    assert batch.frames.shape == (3, 2, 200, 200, 3)
    assert batch.views == ("centre",)


def test_the_protocol_is_made_from_the_settings(videos: VideoIndex) -> None:
    data = SmallVideos(videos, sampler_seed=3, test_views=["centre"], clip_seconds=0.5)
    assert data.test_protocol.clip_seconds == data.validation_protocol.clip_seconds == 0.5
    assert (data.test_protocol.clips_per_video, data.validation_protocol.clips_per_video) == (5, 3)
    assert data.test_protocol.sampler_seed == data.validation_protocol.sampler_seed == 3
    assert data.test_protocol.views == ("centre",)
    assert data.test_protocol.version == data.validation_protocol.version == SECONDS_VERSION
    assert SmallVideos(videos).test_protocol.version == VERSION
    assert SmallVideos(videos, seed=1).test_protocol == SmallVideos(videos, seed=2).test_protocol


def test_a_model_may_ask_for_longer_clips(videos: VideoIndex) -> None:
    class LongModel(Model):
        frame_offsets = (0, 18)
        clip_frames = 19

    data = SmallVideos(videos)
    shared, validated = data.test_protocol, data.validation_protocol
    assert shared.clip_frames == validated.clip_frames == 16
    attached(data)
    assert (data.test_protocol.hash, data.validation_protocol.hash) == (shared.hash, validated.hash)
    attached(data, LongModel())
    assert data.test_protocol == dataclasses.replace(shared, clip_frames=19)
    assert data.validation_protocol == dataclasses.replace(validated, clip_frames=19)
    assert data.test_protocol.hash != shared.hash
    batch = next(iter(data.test_dataloader()))
    for row, clip, start in zip(batch.rows.tolist(), batch.clips.tolist(), batch.starts.tolist(), strict=True):
        with open_video(videos.video(row).path, "pyav") as opened:
            length = opened.frames
        assert start == clip_start(2014, videos.video(row).video_id, clip, length, 19)


@pytest.mark.parametrize("frames", [0, 2.5, None])
def test_a_length_of_clip_that_is_none_is_refused(videos: VideoIndex, frames: object) -> None:
    model = Model()
    model.clip_frames = frames  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"Model\.clip_frames is .*; it must be a whole number from 1"):
        attached(SmallVideos(videos), model).test_dataloader()


def test_names_and_groups_come_from_the_index(videos: VideoIndex) -> None:
    data = SmallVideos(videos)
    assert (data.num_classes, data.class_names, data.groups) == (3, ("A", "B", "C"), {})


def test_setup_says_what_was_found(videos: VideoIndex, capsys: pytest.CaptureFixture[str]) -> None:
    attached(SmallVideos(videos)).setup("fit")
    assert capsys.readouterr().out.splitlines() == [
        "Small: 5 videos (3 train, 1 validation, 1 test) of 3 classes; 1 missing; 1 broken",
        "  broken: v2 (pyav cannot read it: Invalid data found when processing input)",
    ]


def test_only_the_first_process_says_it(videos: VideoIndex, capsys: pytest.CaptureFixture[str]) -> None:
    attached(SmallVideos(videos), rank=1, processes=2).setup("fit")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("stage", "missing"), [("fit", "train"), ("validate", "validation"), ("test", "test")])
def test_an_empty_split_is_refused(tmp_path: Path, stage: str, missing: str) -> None:
    columns: dict[str, Sequence[Any]] = {"video_id": ["a"], "path": ["a.avi"], "labels": [[0]], "split": ["predict"]}
    index = VideoIndex.from_columns(Identity("Empty"), tmp_path, ("A",), **cast(dict[str, Any], columns))
    with pytest.raises(UserError, match=f"no video of the {missing} split of Empty is held under {tmp_path}"):
        attached(SmallVideos(index)).setup(stage)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "data.batch_size is 0"),
        ({"batch_size": -3}, "data.batch_size is -3"),
        ({"num_workers": -1}, "data.num_workers is -1"),
        ({"test_views": []}, r"data.test_views is \[\]"),
        ({"test_views": ["middle"]}, r"data.test_views is \['middle'\]"),
    ],
)
def test_wrong_settings_are_refused(videos: VideoIndex, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SmallVideos(videos, **change)


@pytest.mark.parametrize("name", ["train", "train_epoch", "validation", "test"])
def test_a_count_of_clips_below_one_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"clips_per_video.{name} is 0"):
        ClipsPerVideo(**{name: 0})


def test_an_epoch_of_more_clips_than_a_video_offers_is_refused() -> None:
    with pytest.raises(UserError, match="train_epoch is 3, more than the 2 clips that a video offers"):
        ClipsPerVideo(train=2, train_epoch=3)


LOADERS: list[Callable[[VideoDataModule], object]] = [
    VideoDataModule.train_dataloader,
    VideoDataModule.val_dataloader,
    VideoDataModule.test_dataloader,
    VideoDataModule.predict_dataloader,
]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({}, "lacks frame_offsets and input_side"),
        ({"frame_offsets": (0,)}, "lacks input_side"),
        ({"input_side": 60}, "lacks frame_offsets"),
        ({"frame_offsets": (0, 16), "input_side": 60}, "each must be from 0 to 15"),
        ({"frame_offsets": (), "input_side": 60}, "each must be from 0 to 15"),
        ({"frame_offsets": (0,), "input_side": 224}, "input_side is 224; it must be from 1 to 200"),
        ({"frame_offsets": (0,), "input_side": 0}, "input_side is 0; it must be from 1 to 200"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    videos: VideoIndex, loader: Callable[[VideoDataModule], object], needs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        loader(attached(SmallVideos(videos), SimpleNamespace(**needs)))


def test_loaders_serve_the_device_that_computes(videos: VideoIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # one that is there and does not train is no reason
    for device, pins in (("cpu", False), ("cuda", True), ("mps", False)):
        loader = attached(SmallVideos(videos), device=device).test_dataloader()
        assert loader.pin_memory is pins


def test_more_processes_than_videos_are_refused(videos: VideoIndex) -> None:
    with pytest.raises(UserError, match="1 test video cannot be shared by 2 processes"):
        attached(SmallVideos(videos), processes=2).test_dataloader()
    with pytest.raises(UserError, match="too few training clips for 7 processes"):
        attached(SmallVideos(videos), processes=7).train_dataloader()


def test_a_batch_holds_whole_videos(videos: VideoIndex) -> None:
    wide = attached(SmallVideos(videos, batch_size=100)).test_dataloader()
    assert [batch.rows.tolist() for batch in wide] == [[3] * 5]


def test_prediction_falls_back_on_the_test_videos(videos: VideoIndex) -> None:
    assert [batch.rows.tolist() for batch in attached(SmallVideos(videos)).predict_dataloader()] == [[3] * 5]


def test_epochs_walk_through_all_clips(videos: VideoIndex) -> None:
    model = Model()
    trainer(max_epochs=2).fit(model, datamodule=SmallVideos(videos))
    seen = [(row, clip) for batch in model.seen for row, clip, _ in batch]
    assert sorted(seen) == [(row, clip) for row in (0, 1) for clip in range(4)]
    assert sorted(model.failed) == [BROKEN] * 4


class Killed(Model):
    """Ends in the middle of its fifth step, as if the machine had gone."""

    def training_step(self, batch: ClipBatch) -> Tensor:
        if len(self.seen) == 4:
            raise InterruptedError
        return super().training_step(batch)


@pytest.mark.parametrize("workers", [0, 2])
def test_training_that_was_killed_in_mid_epoch_goes_on_alike(videos: VideoIndex, tmp_path: Path, workers: int) -> None:
    settings = {"batch_size": 2, "num_workers": workers}
    whole, first, rest = Model(), Killed(), Model()
    trainer(max_epochs=2).fit(whole, datamodule=SmallVideos(videos, **settings))
    keep = ModelCheckpoint(tmp_path, filename="kept", every_n_train_steps=4)
    with pytest.raises(InterruptedError):
        trainer(max_epochs=2, enable_checkpointing=True, callbacks=[keep]).fit(
            first, datamodule=SmallVideos(videos, **settings)
        )
    trainer(max_epochs=2).fit(
        rest, datamodule=SmallVideos(videos, **settings), ckpt_path=tmp_path / "kept.ckpt", weights_only=True
    )
    assert len(whole.seen) == 6
    assert first.seen == whole.seen[:4]
    assert rest.seen == whole.seen[4:]


def test_a_test_scores_every_clip_of_every_video_once(videos: VideoIndex) -> None:
    model = Model()
    trainer().test(model, datamodule=SmallVideos(videos), verbose=False)
    assert [(row, clip) for batch in model.seen for row, clip, _ in batch] == [(3, clip) for clip in range(5)]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no memory file system here")
@pytest.mark.parametrize("error", [RuntimeError("stopped"), KeyboardInterrupt()])
def test_a_run_that_is_stopped_leaves_no_cache_in_memory(
    videos: VideoIndex, error: BaseException, tmp_path: Path
) -> None:
    held = []

    class Stops(Model):
        def training_step(self, batch: ClipBatch) -> Tensor:
            held.append(self.trainer.datamodule.frame_cache.path)  # type: ignore[attr-defined]
            assert held[0].exists()
            raise error

    with pytest.raises((RuntimeError, SystemExit, KeyboardInterrupt)):
        trainer(max_epochs=1, default_root_dir=tmp_path).fit(
            Stops(), datamodule=SmallVideos(videos, cache="memory", cache_gb=0.01)
        )
    assert held
    assert not held[0].exists()


def test_batches_are_sent_to_the_device(videos: VideoIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def sent(batch: ClipBatch, device: torch.device | str, non_blocking: bool = False) -> ClipBatch:
        asked.append((str(device), non_blocking))
        return batch

    monkeypatch.setattr(ClipBatch, "to", sent)
    trainer(max_epochs=1, limit_train_batches=1).fit(Model(), datamodule=SmallVideos(videos))
    assert asked == [("cpu", False)]
