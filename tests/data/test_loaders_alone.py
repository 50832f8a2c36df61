"""Loaders of a data module outside a Trainer."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import lightning as L
import pytest
import torch

from benchmark.data.needs import ClipNeeds
from benchmark.errors import UserError
from tests.data.test_datamodule import Model, SmallVideos
from tests.generators.indexes import small_index


@pytest.mark.parametrize("module", [ClipNeeds(), ClipNeeds((0, 15), 60), Model()])
def test_loaders_outside_a_trainer_give_what_one_gives(tmp_path: Path, module: ClipNeeds | Model) -> None:
    """All clips of the epoch, with the pixels that a Trainer's loaders have, and none of them twice."""
    alone = SmallVideos(small_index(tmp_path)).serve(module)
    alone.setup("fit")
    within = SmallVideos(small_index(tmp_path))
    within.trainer = cast(L.Trainer, SimpleNamespace(
        lightning_module=module, global_rank=0, local_rank=0, world_size=1,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    ))  # fmt: skip
    side, frames = module.input_side, len(module.frame_offsets)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader"):
        ours, theirs = list(getattr(alone, name)()), list(getattr(within, name)())
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one.frames, other.frames)
            assert torch.equal(one.labels, other.labels)
            cut = side if name == "train_dataloader" else 200
            assert one.frames.shape[1:] == (frames, cut, cut, 3)


def test_loaders_give_whole_clips_where_no_network_is_named(tmp_path: Path) -> None:
    batch = next(iter(SmallVideos(small_index(tmp_path)).train_dataloader()))
    assert batch.frames.shape[1:] == (16, 170, 170, 3)


def test_a_network_that_says_nothing_cannot_be_served(tmp_path: Path) -> None:
    data = SmallVideos(small_index(tmp_path))
    with pytest.raises(UserError, match="Linear lacks frame_offsets and input_side"):
        data.serve(cast(ClipNeeds, torch.nn.Linear(1, 1)))
    with pytest.raises(UserError, match=r"ClipNeeds.input_side is 300; it must be from 1 to 200"):
        data.serve(ClipNeeds(input_side=300))
    whole = SimpleNamespace(frame_offsets=(), input_side=1, reads_whole_videos=True)
    with pytest.raises(UserError, match="reads whole videos"):
        data.serve(whole)
