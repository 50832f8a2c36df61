from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.errors import UserError
from benchmark.models import EarlyFusion, SlowFusion, VideoClassifier
from tests.models.training import WIDTH, Batches, K, build, fitted, same_weights, trainer, training_batch


@pytest.mark.filterwarnings("ignore")
def test_resumed_run_repeats_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, _ = fitted(tmp_path, epochs=3)
    _, runner = fitted(tmp_path, epochs=1)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    resumed, _ = fitted(tmp_path, epochs=3, ckpt_path=str(tmp_path / "last.ckpt"), weights_only=True)
    assert same_weights(whole, resumed)


Build = Callable[[], VideoClassifier]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("other", "names"),
    [
        (lambda: build(EarlyFusion), ["class is SingleFrame in the checkpoint and EarlyFusion in the configuration"]),
        (lambda: build(resolution="fovea"), ["resolution is full in the checkpoint and fovea"]),
        (lambda: build(width=0.08), ["width is 0.06 in the checkpoint and 0.08"]),
        (lambda: build(num_classes=6), ["num_classes is 5 in the checkpoint and 6"]),
        (
            lambda: build(SlowFusion, resolution="context", width=0.05),
            ["class is", "resolution is full", "width is 0.06"],
        ),
    ],
    ids=["class", "resolution", "width", "num_classes", "several"],
)
def test_checkpoint_of_another_architecture_is_refused(other: Build, names: list[str], tmp_path: Path) -> None:
    _, runner = fitted(tmp_path, epochs=1)
    path = tmp_path / "last.ckpt"
    runner.save_checkpoint(path)
    tested = other()
    data = Batches([training_batch(tested, 2)])
    with pytest.raises(UserError, match="the checkpoint does not fit the configured model") as caught:
        trainer(tmp_path, max_epochs=2).fit(tested, datamodule=data, ckpt_path=str(path), weights_only=True)
    for name in names:
        assert name in str(caught.value)
    for name in {"class", "resolution", "width", "num_classes"} - {name.split()[0] for name in names}:
        assert f"{name} is" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_checkpoint_holds_the_weights(tmp_path: Path) -> None:
    first, runner = fitted(tmp_path, epochs=1)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    held = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert held["architecture"] == {
        "class": "SingleFrame",
        "num_classes": K,
        "resolution": "full",
        "width": WIDTH,
        "pixel_scale": 58.0,
    }
    assert held["state_dict"].keys() == dict(first.named_parameters()).keys()
    assert all(torch.equal(held["state_dict"][name], weight) for name, weight in first.named_parameters())


def test_checkpoint_of_other_origin_is_refused() -> None:
    with pytest.raises(UserError, match="class is None in the checkpoint and SingleFrame in the configuration"):
        build().on_load_checkpoint({"state_dict": {}})
