import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models import EarlyFusion, LateFusion, SingleFrame, SlowFusion, VideoClassifier
from benchmark.models.layers import (
    INPUT_SIDE,
    Classifier,
    Resolution,
    Streams,
    TimeExtents,
    Trunk,
    scaled,
)
from tests.models.plain import random_clips

STRATEGIES: list[Callable[..., VideoClassifier]] = [SingleFrame, EarlyFusion, LateFusion, SlowFusion]


@pytest.mark.parametrize(("side", "last_pool", "sides"), [(170, True, (54, 27, 14, 7)), (89, False, (27, 14, 7, 7))])
def test_full_width_trunk_ends_in_7x7x256(side: int, last_pool: bool, sides: tuple[int, ...]) -> None:
    trunk = Trunk(width=1.0, pixel_scale=58.0, last_pool=last_pool)
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        trunk.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: shapes.update({name: tuple(output.shape[2:])})
        )
    with torch.no_grad():
        features = trunk(torch.randn(1, 1, 3, side, side))
    assert shapes == {
        "conv1": (96, sides[0], sides[0]),
        "conv2": (256, sides[1], sides[1]),
        "conv3": (384, sides[2], sides[2]),
        "conv4": (384, sides[2], sides[2]),
        "conv5": (256, sides[2], sides[2]),
    }
    assert features.shape == (1, 1, 12544)
    assert trunk.features == 7 * 7 * 256 == 12544


@pytest.mark.parametrize("resolution", get_args(Resolution))
@pytest.mark.parametrize("network", STRATEGIES)
def test_full_width_trunks_of_every_network(network: Callable[..., VideoClassifier], resolution: Resolution) -> None:
    with torch.device("meta"):
        tested = network(487, resolution=resolution)
    trunks = [module for module in tested.modules() if isinstance(module, Trunk)]
    assert [trunk.features for trunk in trunks] == [12544] * (2 if resolution == "multires" else 1)
    first = next(module for module in tested.modules() if isinstance(module, nn.Linear))
    assert first.in_features == 12544 * len(trunks) * (2 if network is LateFusion else 1)


@pytest.mark.parametrize("resolution", get_args(Resolution))
@pytest.mark.parametrize(
    ("time", "frames", "moments"),
    [
        (TimeExtents(), 1, 1),
        (TimeExtents(conv1=(10, 1)), 10, 1),
        (TimeExtents(), 2, 2),
        (TimeExtents((4, 2), (2, 2), (2, 2)), 10, 1),
    ],
    ids=["single", "early", "late", "slow"],
)
def test_streams_give_7x7_features(resolution: Resolution, time: TimeExtents, frames: int, moments: int) -> None:
    streams = Streams(resolution, width=0.1, pixel_scale=58.0, time=time)
    with torch.no_grad():
        features = streams(random_clips(2, frames, INPUT_SIDE[resolution]))
    assert features.shape == (2, moments, 7 * 7 * 26 * (2 if resolution == "multires" else 1))


@pytest.mark.parametrize("pixel_scale", [1.0, 58.0, 37.3])
def test_pixels_in_autocast_are_the_float32_ones_rounded(pixel_scale: float) -> None:
    every_value = torch.arange(256, dtype=torch.uint8).repeat(2 * 170 * 170 * 3 // 256 + 1)
    clips = every_value[: 2 * 170 * 170 * 3].reshape(2, 1, 170, 170, 3)
    streams = Streams("full", width=0.02, pixel_scale=pixel_scale)
    seen: list[Tensor] = []
    streams.trunks["full"].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    with torch.no_grad():
        streams(clips)
        with torch.autocast("cpu", torch.bfloat16):
            streams(clips)
    precise, rounded = seen
    assert precise.dtype == torch.float32
    expected = (clips.permute(0, 1, 4, 2, 3).numpy().astype(np.float32) - np.float32(117)) / np.float32(pixel_scale)
    torch.testing.assert_close(precise, torch.from_numpy(expected), rtol=2e-7, atol=0)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, precise.bfloat16())


def test_clips_are_left_alone() -> None:
    clips = random_clips(2, 1, 178)
    before = clips.clone()
    Streams("multires", width=0.02, pixel_scale=58.0)(clips).sum().backward()
    assert torch.equal(clips, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_another_precision(dtype: torch.dtype) -> None:
    # Lightning's `64-true` and `bf16-true` convert the weights and do without autocast.
    streams = Streams("multires", width=0.1, pixel_scale=58.0)
    clips = random_clips(2, 1, 178)
    with torch.no_grad():
        expected = streams(clips)
        tested = streams.to(dtype)(clips)
    assert tested.dtype == dtype
    assert (tested.float() - expected).norm() < 0.03 * expected.norm()


def test_bfloat16_autocast_stays_near_float32() -> None:
    for network in STRATEGIES:
        tested = network(5, width=0.1).eval()
        clips = random_clips(2, len(tested.frame_offsets), 170)
        with torch.no_grad():
            expected = tested(clips)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = tested(clips)
        assert (rounded.float() - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(96, 1.0, 96), (96, 0.1, 10), (256, 0.25, 64), (3, 0.01, 1)]
)
def test_scaled(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected


@pytest.mark.parametrize("network", STRATEGIES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": "half"}, "resolution is 'half'; allowed are full, multires, fovea, context"),
        ({"width": 0.0}, "width is 0.0"),
        ({"width": -1.0}, "width is -1.0"),
        ({"width": 5.0}, "at most 4"),
        ({"width": math.nan}, "width is nan"),
        ({"pixel_scale": 0.0}, "pixel_scale is 0.0"),
        ({"pixel_scale": -58.0}, "pixel_scale above 0"),
        ({"pixel_scale": math.inf}, "pixel_scale is inf"),
        ({"pixel_scale": math.nan}, "pixel_scale is nan"),
        ({"width": 0.1, "dropout": 1.0}, "dropout is 1.0"),
        ({"width": 0.1, "dropout": -0.1}, "dropout is -0.1"),
        ({"width": 0.1, "dropout": math.nan}, "dropout is nan"),
        ({"num_classes": 1}, "num_classes is 1; a classifier needs at least 2 classes"),
    ],
)
def test_refused_options(network: Callable[..., VideoClassifier], options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(**{"num_classes": 5, **options})


def test_dropout_stands_before_both_hidden_layers() -> None:
    layers = [type(layer).__name__ for layer in Classifier(20, 5, width=0.01, dropout=0.3)]
    assert layers == ["Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    classifier = Classifier(2000, 5, width=0.05, dropout=0.9)
    kept: list[float] = []
    for layer in classifier:
        if isinstance(layer, nn.Dropout):
            kept.append(float((layer(torch.ones(1, 20000)) != 0).float().mean()))
    assert kept == pytest.approx([0.1, 0.1], abs=0.01)


@pytest.mark.parametrize("resolution", ["full", "multires"])
@pytest.mark.parametrize("network", STRATEGIES)
def test_a_network_is_compiled_whole_to_the_same_function(
    network: Callable[..., VideoClassifier], resolution: Resolution
) -> None:
    """A part that a compiler cannot take would raise: `fullgraph`."""
    tested = network(5, width=0.05, resolution=resolution).double().train()
    clips = random_clips(2, len(tested.frame_offsets), INPUT_SIDE[resolution])
    compiled = torch.compile(tested.forward, backend="aot_eager", fullgraph=True, dynamic=False)
    parameters, found = list(tested.parameters()), []
    for forward in (tested.forward, compiled):
        torch.manual_seed(0)  # which units are dropped
        logits = forward(clips)
        found.append((logits, *torch.autograd.grad(logits.square().sum(), parameters)))
    for plain, other in zip(*found, strict=True):
        torch.testing.assert_close(other, plain)
