from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torchvision.models import get_model, get_model_weights

from benchmark.errors import UserError
from benchmark.models import FrameAverage
from benchmark.models.frame_average import PUBLISHED, ImageArchitecture
from tests.models.plain import random_clips
from tests.models.zoo import assert_batches_do_not_matter, assert_fits, on_no_device


@pytest.fixture(scope="module")
def small() -> FrameAverage:
    torch.manual_seed(0)
    return FrameAverage(5, architecture="resnet18", frames=2)


@pytest.mark.parametrize("name", get_args(ImageArchitecture))
def test_is_the_published_network(name: ImageArchitecture) -> None:
    published = get_model_weights(name).IMAGENET1K_V1
    tested = on_no_device(FrameAverage, 1000, architecture=name)
    transforms = published.transforms()
    assert (list(tested.facts.mean), list(tested.facts.std)) == (transforms.mean, transforms.std)
    assert PUBLISHED[name] == published.url
    assert_fits(tested, published.meta["num_params"])


@pytest.mark.parametrize(
    ("frames", "offsets"), [(1, (8,)), (2, (4, 12)), (4, (2, 6, 10, 14)), (8, tuple(range(1, 16, 2)))]
)
def test_frames_are_spread_evenly(frames: int, offsets: tuple[int, ...]) -> None:
    assert on_no_device(FrameAverage, architecture="resnet18", frames=frames).frame_offsets == offsets


def test_uneven_numbers_of_frames_lie_in_the_clip() -> None:
    for frames in (3, 5, 7, 9, 13, 16):
        offsets = on_no_device(FrameAverage, architecture="resnet18", frames=frames).frame_offsets
        assert len(offsets) == frames
        assert set(offsets) <= set(range(16))


def test_scores_are_means_over_frames_in_any_order(small: FrameAverage) -> None:
    small.eval()
    plain = get_model("resnet18", num_classes=5).eval()
    plain.load_state_dict(small.network.state_dict())
    clips = random_clips(2, 2, 160)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pictures = torch.from_numpy(((clips.numpy() / 255 - mean) / std).astype(np.float32)).permute(0, 1, 4, 2, 3)
    with torch.no_grad():
        expected = (plain(pictures[:, 0]) + plain(pictures[:, 1])) / 2
        torch.testing.assert_close(small(clips), expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(small(clips.flip(1)), expected, rtol=1e-3, atol=1e-4)


def test_batches_do_not_matter(small: FrameAverage) -> None:
    assert_batches_do_not_matter(small, random_clips(2, 2, 160))


def test_weights_of_an_image_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = get_model("resnet18", num_classes=6)
    torch.save(published.state_dict(), tmp_path / "resnet18.pth")
    tested = FrameAverage(5, architecture="resnet18", weights=tmp_path / "resnet18.pth")
    assert "except fc, which has 6 classes there and 5 here" in capsys.readouterr().out
    assert torch.equal(tested.network.get_parameter("layer4.1.conv2.weight"), published.layer4[1].conv2.weight)
    with pytest.raises(UserError, match=r"does not fit resnet50: .* more"):
        FrameAverage(5, architecture="resnet50", weights=tmp_path / "resnet18.pth")


@pytest.mark.parametrize("frames", [0, 17])
def test_frames_outside_the_clip_are_refused(frames: int) -> None:
    with pytest.raises(UserError, match=rf"model\.frames is {frames}; it must be from 1 to 16"):
        FrameAverage(5, architecture="resnet18", frames=frames)


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.architecture is 'vgg'; allowed are resnet18, resnet50"):
        FrameAverage(5, architecture="vgg")  # type: ignore[arg-type]
