from typing import get_args

import numpy as np
import pytest
import torch
from torchvision.models import get_model_weights

from benchmark.errors import UserError
from benchmark.models import TorchvisionVideo
from benchmark.models.torchvision_video import NETWORKS, TorchvisionArchitecture
from tests.models.plain import random_clips
from tests.models.zoo import assert_fits, on_no_device

ARCHITECTURES: tuple[TorchvisionArchitecture, ...] = get_args(TorchvisionArchitecture)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_is_the_published_network(name: TorchvisionArchitecture) -> None:
    (published,) = get_model_weights(name)
    facts, transforms = NETWORKS[name], published.transforms()
    assert (list(facts.mean), list(facts.std)) == (transforms.mean, transforms.std)
    assert facts.published == published.url
    tested = on_no_device(TorchvisionVideo, architecture=name)
    assert tested.frame_offsets == tuple(range(16))
    assert tested.clip_frames == 16
    assert_fits(tested, published.meta["num_params"])


def test_native_sampling_is_a_longer_clip() -> None:
    tested = on_no_device(TorchvisionVideo, architecture="swin3d_t", sampling="native")
    assert tested.frame_offsets == tuple(range(0, 64, 2))
    assert tested.clip_frames == 64
    assert tested.shape["sampling"] == "native"


def test_pixels_by_hand() -> None:
    tested = on_no_device(TorchvisionVideo, architecture="swin3d_t")
    clips = random_clips(2, 16, 160)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = ((clips.numpy() / 255 - mean) / std).transpose(0, 4, 1, 2, 3)
    np.testing.assert_allclose(tested.pixels(clips).numpy(), expected, atol=1e-5)


def test_a_crop_is_shrunk_to_what_the_network_was_made_for() -> None:
    tested = on_no_device(TorchvisionVideo, architecture="r3d_18")
    assert tested.input_side == 176
    ramp = torch.arange(176, dtype=torch.uint8).expand(1, 16, 176, 176)
    clips = torch.stack([ramp, ramp.mT, torch.full_like(ramp, 50)], -1)  # across, down, flat
    pixels = tested.pixels(clips).numpy()[0]
    assert pixels.shape == (3, 16, 112, 112)
    means, stds = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
    across, down, flat = (pixels[c] * stds[c] + means[c] for c in range(3))
    places = (np.arange(112) + 0.5) * 176 / 112 - 0.5  # centres of the small pixels among the large ones
    # At the edge the average has fewer neighbours, and elsewhere whole pixels of both sides, not always alike.
    inner = slice(2, -2)
    np.testing.assert_allclose(255 * across[3, 40, inner], places[inner], atol=0.1)
    np.testing.assert_allclose(255 * down[3, inner, 40], places[inner], atol=0.1)
    np.testing.assert_allclose(255 * flat, 50, atol=1e-3)


def test_one_real_clip_through_a_network_made_for_larger_pictures() -> None:
    tested = TorchvisionVideo(5, architecture="s3d").eval()
    with torch.no_grad():
        logits = tested(random_clips(1, 16, 160))
    assert logits.shape == (1, 5)
    assert logits.isfinite().all()


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.architecture is 'r3d'; allowed are r3d_18, mc3_18"):
        TorchvisionVideo(5, architecture="r3d")  # type: ignore[arg-type]
