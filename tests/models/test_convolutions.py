"""Gradients of convolutions over inputs smaller than their kernel, in bfloat16 on the processor."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models.convolutions import work_around_onednn
from tests.generators.broken_models import Sound

SMALL = [
    (nn.Conv3d(16, 16, (3, 1, 1), padding=(1, 0, 0)), (2, 4, 4)),
    (nn.Conv3d(16, 16, 3, padding=1), (2, 7, 7)),
    (nn.Conv3d(16, 16, (5, 1, 1), padding=(2, 0, 0)), (4, 4, 4)),
    (nn.Conv3d(16, 16, (3, 1, 1), padding="same"), (2, 4, 4)),
    (nn.Conv2d(16, 16, 3, padding=1, stride=2), (9, 1)),
]
LARGE = [(nn.Conv3d(16, 16, 3, padding=1), (4, 7, 7)), (nn.Conv2d(16, 16, 3, padding=1), (9, 9))]


def gradients(layer: nn.Conv2d | nn.Conv3d, clips: Tensor) -> list[Tensor]:
    """Of the input, the weights and the bias, with memory left behind that is not zero."""
    given = clips.clone().requires_grad_()
    left = [torch.full((layer.weight.numel() * n,), 1e30) for n in (1, 2, 4, 8)]
    del left
    output = layer(given)
    weight = torch.linspace(-1, 1, output.numel()).view_as(output)
    return list(torch.autograd.grad((output.float() * weight).sum(), [given, *layer.parameters()]))


@pytest.mark.parametrize(("layer", "size"), SMALL + LARGE, ids=str)
def test_gradients_are_those_of_float32(layer: nn.Conv2d | nn.Conv3d, size: tuple[int, ...]) -> None:
    clips = torch.randn(2, 16, *size, generator=torch.Generator().manual_seed(0)).bfloat16()
    # Both begin at the same values, those that bfloat16 can hold.
    low = copy.deepcopy(layer).bfloat16()
    exact = copy.deepcopy(low).float()
    work_around_onednn(low)
    for _ in range(3):
        for ours, reference in zip(gradients(low, clips), gradients(exact, clips.float()), strict=True):
            assert float((ours.float() - reference).abs().max() / reference.abs().max()) < 0.02


@pytest.mark.parametrize(("layer", "size"), SMALL + LARGE, ids=str)
def test_outputs_are_equal_and_evaluation_is_not_touched(layer: nn.Module, size: tuple[int, ...]) -> None:
    clips = torch.randn(2, 16, *size, generator=torch.Generator().manual_seed(0))
    padded = copy.deepcopy(layer)
    work_around_onednn(padded)
    torch.testing.assert_close(padded(clips), layer(clips), rtol=1e-5, atol=1e-5)
    assert padded.padding_mode == ("constant" if (layer, size) in SMALL else "zeros")
    with torch.no_grad():
        assert torch.equal(padded(clips), layer(clips))
    assert padded.padding_mode == "zeros"


@pytest.mark.skipif(not torch.cpu._is_amx_tile_supported(), reason="needs a processor with AMX")
@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3), (1, 1, 1)])
def test_gradients_of_large_pictures_are_those_of_float32_with_amx(kernel: tuple[int, int, int]) -> None:
    layer = nn.Conv3d(32, 32, kernel, padding="same")
    clips = torch.randn(1, 32, 2, 32, 160, generator=torch.Generator().manual_seed(0)).bfloat16()
    low = layer.bfloat16()
    exact = copy.deepcopy(low).float()
    work_around_onednn(low)
    for ours, reference in zip(gradients(low, clips), gradients(exact, clips.float()), strict=True):
        assert float((ours.float() - reference).abs().max() / reference.abs().max()) < 0.02


@pytest.mark.parametrize(("kernel", "padding", "size"), [(3, 1, (4, 8, 2)), ((1, 3, 3), 0, (4, 8, 3))])
def test_an_output_of_one_column_is_that_of_float32(
    kernel: Any, padding: int, size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As oneDNN leaves it unwritten with AMX where gradients are off."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    layer = nn.Conv3d(16, 32, kernel, stride=(1, 2, 2), padding=padding)
    clips = torch.randn(2, 16, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = layer(clips).bfloat16()
        assert expected.shape[-1] == 1
        work_around_onednn(layer)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer(clips), expected)


class OfALibrary(nn.Conv3d):
    """A class below torch's, as torchvision has them."""


@pytest.mark.parametrize("kind", [nn.Conv3d, OfALibrary])
@pytest.mark.parametrize("mixed", [True, False])
def test_3d_kernels_train_in_float32_with_amx(
    mixed: bool, kind: type[nn.Conv3d], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    layer = kind(3, 4, (2, 3, 3)) if mixed else kind(3, 4, (2, 3, 3)).bfloat16()
    changed = copy.deepcopy(layer)
    for _ in range(2):
        work_around_onednn(changed)
    changed, before = copy.deepcopy(changed), changed
    nn.init.zeros_(before.weight)  # a copy computes with its own weights
    assert changed.state_dict().keys() == layer.state_dict().keys()
    clips = torch.randn(2, 3, 4, 9, 9, dtype=layer.weight.dtype)
    asked: list[torch.dtype] = []

    def convolved(pixels: Tensor, *others: Any) -> Tensor:
        asked.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else pixels.dtype)
        return convolve(pixels, *others)

    convolve = F.conv3d
    monkeypatch.setattr(F, "conv3d", convolved)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        trained = changed(clips)
        changed.weight.requires_grad_(False)
        changed(clips)  # the gradient of the bias is made with that of the weights
        changed.requires_grad_(False)(clips)
        with torch.no_grad():
            assert torch.equal(changed(clips), layer(clips))
    assert asked == [torch.float32, torch.float32, torch.bfloat16, torch.bfloat16, torch.bfloat16]
    assert trained.dtype == torch.bfloat16
    assert trained.grad_fn is not None
    weight, bias = (each.detach().float() for each in layer.parameters())
    assert torch.equal(trained, F.conv3d(clips.float(), weight, bias).bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert changed.double()(clips.double()).dtype == layer.double()(clips.double()).dtype == torch.float64
    with pytest.raises(RuntimeError, match="should be the same"):  # torch's own refusal
        changed.float().requires_grad_()(clips.bfloat16())
    high = torch.randn(2, 3, 4, 9, 9)
    assert torch.equal(nn.Conv3d.forward(changed.float(), high), F.conv3d(high, weight, bias))


def test_other_padding_stays_and_a_second_time_changes_nothing() -> None:
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
    network = nn.Sequential(*copy.deepcopy(layers))
    for _ in range(2):
        work_around_onednn(network)
    assert [len(layer._forward_pre_hooks) for layer in network] == [1, 0]
    clips = torch.randn(2, 3, 2, 9)
    reference = F.conv2d(clips, layers[0].weight, layers[0].bias, padding=1)
    torch.testing.assert_close(network(clips), layers[1](reference))


def test_every_verb_prepares_the_layers() -> None:
    model = Sound(num_classes=5)
    model.added = nn.Conv3d(3, 4, 3, padding=1)
    for begins in (model.on_fit_start, model.on_validation_start, model.on_test_start, model.on_predict_start):
        begins()
        assert len(model.added._forward_pre_hooks) == 1


def test_frozen_layers_are_not_touched_and_the_input_may_be_named() -> None:
    layer = nn.Conv3d(3, 4, 3, padding=1)
    work_around_onednn(layer)
    layer(input=torch.zeros(1, 3, 2, 5, 5))
    assert str(layer.padding_mode) == "constant"
    layer.requires_grad_(False)(torch.zeros(1, 3, 2, 5, 5))
    assert layer.padding_mode == "zeros"


def test_a_compiled_network_pads_too_and_an_exported_one_keeps_its_free_sizes() -> None:
    network = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 4, 3, padding=1))
    plain = copy.deepcopy(network)
    work_around_onednn(network)
    compiled = torch.compile(network, backend="eager")
    for frames in (2, 6, 2):
        clips = torch.randn(2, 3, frames, 9, 9)
        torch.testing.assert_close(compiled(clips), plain(clips))
    with torch.no_grad():
        sizes = {2: torch.export.Dim("frames", min=2, max=64)}
        exported = torch.export.export(network.eval(), (torch.randn(2, 3, 6, 9, 9),), dynamic_shapes=(sizes,))
        for frames in (2, 5):
            clips = torch.randn(2, 3, frames, 9, 9)
            torch.testing.assert_close(exported.module()(clips), plain(clips))
