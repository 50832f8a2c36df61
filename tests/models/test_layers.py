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
    Dropout,
    LocalResponseNorm,
    Resolution,
    Streams,
    TemporalConv,
    TimeExtents,
    Trunk,
    scaled,
)
from tests.models.plain import random_clips

STRATEGIES: list[Callable[..., VideoClassifier]] = [SingleFrame, EarlyFusion, LateFusion, SlowFusion]


def looped_norm(x: Tensor, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.5, k: float = 2.0) -> Tensor:
    """a / (k + alpha * sum of a^2 over `size` neighbouring channels) ^ beta, one activation at a time."""
    a = x.detach().double().numpy()
    b = np.empty_like(a)
    for n, c, h, w in np.ndindex(*a.shape):
        total = 0.0
        for neighbour in range(max(0, c - size // 2), min(a.shape[1], c + size // 2 + 1)):
            total += float(a[n, neighbour, h, w]) ** 2
        b[n, c, h, w] = a[n, c, h, w] / (k + alpha * total) ** beta
    return torch.from_numpy(b)


def raw_activations(channels: int = 9) -> Tensor:
    """(2, channels, 3, 4) float32 on the scale of raw pixels, non-negative as after a ReLU."""
    x = 120 * torch.randn(2, channels, 3, 4).relu()
    assert x.square().mean().sqrt() >= 50
    return x


@pytest.mark.parametrize("channels", [1, 3, 5, 9])
def test_norm_equals_a_loop_on_raw_activations(channels: int) -> None:
    x = raw_activations(channels)
    tested, expected = LocalResponseNorm(channels)(x), looped_norm(x)
    torch.testing.assert_close(tested.double(), expected, rtol=1e-5, atol=1e-5)
    # What the formula comes to when alpha is forgotten or the activations are too small for it.
    assert not torch.allclose(x.double() / math.sqrt(2), expected, rtol=0.1)


@pytest.mark.parametrize(
    ("size", "alpha", "beta", "k"), [(3, 1e-4, 0.75, 2.0), (5, 2e-4, 0.75, 1.0), (7, 1e-4, 0.5, 3.0)]
)
def test_norm_equals_a_loop_for_other_constants(size: int, alpha: float, beta: float, k: float) -> None:
    x = raw_activations().double()
    layer = LocalResponseNorm(9, size=size, alpha=alpha, beta=beta, k=k).double()
    torch.testing.assert_close(layer(x), looped_norm(x, size=size, alpha=alpha, beta=beta, k=k), rtol=1e-7, atol=1e-7)


def test_norm_window_is_five_channels() -> None:
    x = torch.zeros(1, 11, 1, 1, dtype=torch.float64)
    x[0, 5] = 500.0
    alone = LocalResponseNorm(11).double()(x + 1.0).flatten()
    without = LocalResponseNorm(11).double()(torch.ones_like(x)).flatten()
    changed = (alone - without).abs() > 1e-6
    assert changed.nonzero().flatten().tolist() == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("beta", [0.5, 0.75])
def test_norm_of_divided_pixels_is_the_same_function(beta: float) -> None:
    x = raw_activations().double().requires_grad_()
    divided = (x.detach() / 58).requires_grad_()
    raw = LocalResponseNorm(9, beta=beta).double()(x)
    small = LocalResponseNorm(9, pixel_scale=58.0, beta=beta).double()(divided)
    torch.testing.assert_close(58 * small, raw, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(raw.detach(), looped_norm(x, beta=beta), rtol=1e-7, atol=1e-7)
    direction = torch.randn_like(raw)
    (of_raw,) = torch.autograd.grad(raw, x, direction)
    (of_small,) = torch.autograd.grad(small, divided, direction)
    torch.testing.assert_close(of_small, of_raw, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("beta", [0.5, 0.75, 1.3])
@pytest.mark.parametrize("pixel_scale", [1.0, 58.0])
def test_norm_gradient(beta: float, pixel_scale: float) -> None:
    x = (200 / pixel_scale * torch.randn(2, 7, 2, 3, dtype=torch.float64)).requires_grad_()
    layer = LocalResponseNorm(7, pixel_scale=pixel_scale, beta=beta).double()
    assert torch.autograd.gradcheck(layer, (x,), eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("autocast", [False, True])
def test_norm_in_bfloat16(memory_format: torch.memory_format, autocast: bool) -> None:
    x = raw_activations().bfloat16().contiguous(memory_format=memory_format).requires_grad_()
    precise = x.detach().double().requires_grad_()
    layer = LocalResponseNorm(9)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        tested = layer(x)
    expected = LocalResponseNorm(9).double()(precise)
    assert tested.dtype == torch.bfloat16
    torch.testing.assert_close(tested.double(), expected, rtol=0.02, atol=0.01)
    direction = torch.randn_like(tested)
    (gradient,) = torch.autograd.grad(tested, x, direction)
    (wanted,) = torch.autograd.grad(expected, precise, direction.double())
    assert gradient.dtype == torch.bfloat16
    assert (gradient.double() - wanted).norm() < 0.02 * wanted.norm()


def test_norm_leaves_its_input_alone() -> None:
    x = raw_activations()
    before = x.clone()
    LocalResponseNorm(9)(x.requires_grad_()).sum().backward()
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("extent", "temporal_stride", "frames", "moments"),
    [(1, 1, 1, 1), (1, 1, 2, 2), (10, 1, 10, 1), (4, 2, 10, 4), (2, 2, 4, 2), (2, 2, 2, 1), (3, 2, 8, 3), (1, 2, 5, 3)],
)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (5, 3, 0)])
def test_temporal_conv_equals_conv3d(
    extent: int, temporal_stride: int, frames: int, moments: int, kernel: int, stride: int, padding: int
) -> None:
    tested = TemporalConv(
        3, 6, kernel, stride=stride, padding=padding, extent=extent, temporal_stride=temporal_stride
    ).double()
    plain = nn.Conv3d(
        3, 6, (extent, kernel, kernel), (temporal_stride, stride, stride), (0, padding, padding)
    ).double()  # fmt: skip

    def as_plain(weight: Tensor) -> Tensor:
        return weight.reshape(6, extent, 3, kernel, kernel).transpose(1, 2)

    assert tested.bias is not None
    assert plain.bias is not None
    with torch.no_grad():
        plain.weight.copy_(as_plain(tested.weight))
        plain.bias.copy_(tested.bias)
    x = torch.randn(2, frames, 3, 11, 13, dtype=torch.float64, requires_grad=True)
    output, expected = tested(x), plain(x.transpose(1, 2)).transpose(1, 2)
    assert output.shape[:3] == (2, moments, 6)
    torch.testing.assert_close(output, expected)
    direction = torch.randn_like(expected)
    of_x, of_weight, of_bias = torch.autograd.grad(output, (x, tested.weight, tested.bias), direction)
    wanted_x, wanted_weight, wanted_bias = torch.autograd.grad(expected, (x, plain.weight, plain.bias), direction)
    torch.testing.assert_close(of_x, wanted_x)
    torch.testing.assert_close(as_plain(of_weight), wanted_weight)
    torch.testing.assert_close(of_bias, wanted_bias)


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


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(chance: float) -> None:
    torch.manual_seed(0)
    ones = torch.ones(1000, 1001, requires_grad=True)  # not a multiple of four units
    dropout = Dropout(chance)
    dropped = dropout(ones)
    deviation = (chance * (1 - chance) / ones.numel()) ** 0.5
    assert abs(float((dropped == 0).float().mean()) - chance) < 5 * deviation
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 1 / (1 - chance)]), rtol=1e-4, atol=0)
    dropped.sum().backward()
    assert ones.grad is not None
    assert torch.equal(ones.grad, dropped.detach())  # of x * mask it is the mask
    both = (dropped[:, :-1] == 0) & (dropped[:, 1:] == 0)  # neighbours share a random word
    assert abs(float(both.float().mean()) - chance**2) < 0.005
    torch.manual_seed(1)
    first = dropout(ones)
    torch.manual_seed(1)
    assert torch.equal(first, dropout(ones))
    assert dropout.eval()(ones) is ones
