import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.models.normalisation import LocalResponseNorm


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


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("channels", "size"), [(9, 5), (3, 5), (1, 5), (11, 3), (8, 7)])
def test_the_window_of_a_gpu_is_that_of_the_processor(channels: int, size: int) -> None:
    layer = LocalResponseNorm(channels, size=size).double()
    squares = channels_last(torch.rand(2, channels, 3, 4, dtype=torch.float64))
    pooled = layer.window(squares, None, 2.0)
    torch.testing.assert_close(pooled, layer.window(squares, layer.band * layer.alpha, 2.0))
    assert layer.window(squares[:0], None, 2.0).shape == (0, channels, 3, 4)


@pytest.mark.parametrize("beta", [0.5, 0.75])
def test_what_a_compiler_is_given_is_the_same_function(beta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LocalResponseNorm(9, beta=beta).double()
    x = raw_activations().double().requires_grad_()
    direction = torch.randn_like(x)
    plain = layer(x)
    (wanted,) = torch.autograd.grad(plain, x, direction)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    formula = layer(x)
    (gradient,) = torch.autograd.grad(formula, x, direction)
    assert formula.grad_fn.name() != plain.grad_fn.name()
    torch.testing.assert_close(formula, plain)
    torch.testing.assert_close(gradient, wanted)
