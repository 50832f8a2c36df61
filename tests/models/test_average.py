import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.clip import ClipBatch, cut_view
from benchmark.cost import gflop_per_clip, parameter_count
from benchmark.errors import UserError
from benchmark.models import (
    Average,
    EarlyFusion,
    LateFusion,
    Recipe,
    Recurrent,
    SingleFrame,
    SlowFusion,
    VideoClassifier,
)
from benchmark.models.average import packed, read_parts
from benchmark.models.options import plain
from benchmark.protocol import TEST_VIEWS
from tests.generators.fake_gpu import fake_gpu

CLASSES = 4
MEMBERS: tuple[tuple[type[Any], str], ...] = (
    (SingleFrame, "multires"),
    (LateFusion, "full"),
    (EarlyFusion, "full"),
    (SlowFusion, "context"),
)


class OwnNetwork(VideoClassifier):
    """One of a user's own file, with an option of a class of its own."""

    def __init__(self, num_classes: int, *, path: Path = Path("x")) -> None:
        super().__init__(num_classes, Recipe())
        self.frame_offsets, self.input_side = (2, 7), 50
        assert isinstance(path, Path)
        self.linear = nn.Linear(6, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Of the mean colour of each frame."""
        logits: Tensor = self.linear(clips.float().mean((2, 3)).flatten(1) / 50)
        return logits


def save(network: VideoClassifier, path: Path, class_names: Sequence[str] = tuple("ABCD")) -> Path:
    """What a fit leaves of a network."""
    held = {
        "state_dict": network.state_dict(),
        "architecture": network.shape,
        "hyper_parameters": {name: plain(value) for name, value in network.hparams.items()},
        "class_names": list(class_names),
    }
    torch.save(held, path)
    return path


@pytest.fixture
def networks() -> list[VideoClassifier]:
    torch.manual_seed(3)
    made = [kind(CLASSES, resolution=resolution, width=0.05) for kind, resolution in MEMBERS]
    for network in made:  # outputs of fresh networks hardly differ
        nn.init.normal_(list(network.parameters())[-1])
    return [network.eval() for network in made]


@pytest.fixture
def files(networks: list[VideoClassifier], tmp_path: Path) -> list[Path]:
    return [save(network, tmp_path / f"{number}.ckpt") for number, network in enumerate(networks)]


def whole_clips(offsets: Sequence[int], count: int = 3) -> ClipBatch:
    """Noise of 16 frames of 200x200, of which the frames at some offsets are given."""
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (count, 16, 200, 200, 3), dtype=torch.uint8, generator=generator)
    numbers = torch.arange(count)
    return ClipBatch(
        frames[:, list(offsets)], torch.zeros(count, CLASSES), numbers, numbers, numbers, numbers > 9, TEST_VIEWS
    )


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0, 5.0]])
def test_it_is_the_mean_of_its_members_each_with_its_own_frames_and_views(
    networks: list[VideoClassifier], files: list[Path], weights: list[float] | None
) -> None:
    average = Average(CLASSES, checkpoints=files, weights=weights).eval()
    assert average.frame_offsets == (0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15)
    assert (average.clip_frames, average.input_side) == (16, 178)
    with torch.no_grad():
        found = average.clip_probabilities(whole_clips(average.frame_offsets)).numpy()
        alone = [network.clip_probabilities(whole_clips(network.frame_offsets)).numpy() for network in networks]
    expected = np.average(np.stack(alone).astype(np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.ptp(found) > 0.01


def test_its_logits_are_logarithms_of_the_mean_at_the_centre(
    networks: list[VideoClassifier], files: list[Path]
) -> None:
    average = Average(CLASSES, checkpoints=files).eval()
    clips = cut_view(whole_clips(average.frame_offsets).frames, "centre", average.input_side)
    with torch.no_grad():
        found = average(clips).softmax(1)
        alone = [
            network(cut_view(whole_clips(network.frame_offsets).frames, "centre", network.input_side)).softmax(1)
            for network in networks
        ]
    np.testing.assert_allclose(found, torch.stack(alone).mean(0), rtol=0, atol=1e-6)
    assert average(clips[:0]).shape == (0, CLASSES)


def test_it_costs_what_its_members_cost(networks: list[VideoClassifier], files: list[Path]) -> None:
    average = Average(CLASSES, checkpoints=files)
    assert parameter_count(average) == sum(map(parameter_count, networks))
    assert gflop_per_clip(average) == pytest.approx(sum(map(gflop_per_clip, networks)))


def test_its_checkpoint_holds_it_whole_and_may_be_a_member(files: list[Path], tmp_path: Path) -> None:
    batch = whole_clips((0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15))
    first = tmp_path / "first.ckpt"
    torch.save(packed(read_parts(files[:2], [1.0, 3.0])), first)
    # 1/2 of (1/4 and 3/4 of the first two), and 1/2 of the third
    nested, flat = (
        Average(CLASSES, checkpoints=each, weights=weights).eval()
        for each, weights in (([first, files[2]], None), (files[:3], [1.0, 3.0, 4.0]))
    )
    taken = ClipBatch(**{**vars(batch), "frames": batch.frames[:, :12]})
    assert nested.frame_offsets == flat.frame_offsets
    with torch.no_grad():
        one, other = (each.clip_probabilities(taken) for each in (nested, flat))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    again = torch.load(first, weights_only=True)
    copy = Average(CLASSES, checkpoints=[first])
    copy.load_state_dict(again["state_dict"])
    copy.on_load_checkpoint(again)
    assert copy.shape == again["architecture"]
    with pytest.raises(UserError, match="does not fit the configured model: shares is"):
        Average(CLASSES, checkpoints=files[:2]).on_load_checkpoint(again)


def test_a_class_of_the_user_s_own_is_named(files: list[Path], tmp_path: Path) -> None:
    path = save(OwnNetwork(CLASSES, path=Path("here")), tmp_path / "own.ckpt")
    average = Average(CLASSES, checkpoints=[files[0], path], classes=[OwnNetwork])
    assert average.networks[1].input_side == 50
    held = torch.load(path, weights_only=True)
    held["architecture"]["class"] = "Elsewhere"
    held["hyper_parameters"]["_class_path"] = "my_file.Elsewhere"
    torch.save(held, path)
    with pytest.raises(UserError, match=r"is a Elsewhere, and no such class .*--model.classes \[my_file.Elsewhere\]"):
        Average(CLASSES, checkpoints=[files[0], path])


def test_it_is_not_trained(files: list[Path]) -> None:
    with pytest.raises(UserError, match="an Average is not trained: fit each member by itself"):
        Average(CLASSES, checkpoints=files).configure_optimizers()


def refused(message: str, files: list[Path], **options: Any) -> None:
    with pytest.raises(UserError, match=message):
        Average(options.pop("num_classes", CLASSES), checkpoints=files, **options)


def test_what_cannot_be_averaged_is_refused_by_name(files: list[Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    other = save(SingleFrame(CLASSES, width=0.05), tmp_path / "other.ckpt", tuple("ABDC"))
    refused("other.ckpt of model.checkpoints has other classes than .*0.ckpt", [files[0], other])
    refused("names 1 network; an average is of two or more", files[:1])
    refused("model.checkpoints .*gone.ckpt: there is no such file", [files[0], tmp_path / "gone.ckpt"])
    (tmp_path / "text.ckpt").write_text("no checkpoint", "utf-8")
    refused("model.checkpoints .*text.ckpt is no checkpoint, or is damaged", [files[0], tmp_path / "text.ckpt"])
    torch.save({"state_dict": {}}, tmp_path / "bare.ckpt")
    refused("bare.ckpt of model.checkpoints does not say of which network", [files[0], tmp_path / "bare.ckpt"])
    refused("0.ckpt of model.checkpoints was trained for 4 classes, and the data have 5", files, num_classes=5)
    long = save(Recurrent(CLASSES), tmp_path / "long.ckpt")
    refused("must score the same clips; .*0.ckpt of 16 frames, .*long.ckpt of 64 frames", [files[0], long])
    held = torch.load(files[1], weights_only=True)
    held["state_dict"].popitem()
    torch.save(held, files[1])
    refused("1.ckpt of model.checkpoints makes no LateFusion here", files)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0, 1.0, 1.0], [0.0] * 4, [float("nan"), 1.0, 1.0, 1.0]])
def test_weights_that_cannot_be_are_refused(files: list[Path], weights: list[float]) -> None:
    refused(re.escape(f"model.weights is {weights}; give 4 numbers"), files, weights=weights)


def test_it_scores_on_a_gpu_what_it_scores_on_the_processor(files: list[Path]) -> None:
    average = Average(CLASSES, checkpoints=files).eval()
    batch = whole_clips(average.frame_offsets)
    with torch.no_grad():
        expected = average.test_step(batch, 0)
        with fake_gpu(values=True):
            there = average.to("cuda").test_step(batch.to("cuda"), 0)
            assert there.device.type == "cuda"
            np.testing.assert_allclose(there.cpu().numpy(), expected.numpy(), rtol=0, atol=1e-5)
