"""Filters: found among weights, laid out, and measured against loops and known waves."""

import math

import numpy as np
import pytest
import torch

from benchmark.figures.filters import NOISE, first_filters, measure, tiles
from benchmark.models import EarlyFusion, LateFusion, SingleFrame, SlowFusion


def weights(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(
    ("network", "streams", "frames"),
    [
        (SingleFrame(3, resolution="multires", width=0.05), {"context", "fovea"}, 1),
        (EarlyFusion(3, width=0.05), {"full"}, 10),
        (LateFusion(3, resolution="fovea", width=0.05), {"fovea"}, 1),
        (SlowFusion(3, resolution="multires", width=0.05), {"context", "fovea"}, 4),
    ],
)
def test_filters_of_the_papers_networks(network: torch.nn.Module, streams: set[str], frames: int) -> None:
    found = first_filters(weights(network))
    assert set(found) == streams
    assert {filters.shape for filters in found.values()} == {(5, frames, 3, 11, 11)}


def test_a_filter_sees_the_frame_it_is_said_to_see() -> None:
    """A frame of the clip that alone is bright moves the output by the sum of that frame's part of the filter."""
    network = SlowFusion(3, width=0.05)
    conv = network.get_submodule("streams.trunks.full.conv1")
    (filters,) = first_filters(weights(network)).values()
    for frame in range(4):
        for colour in range(3):
            clip = torch.zeros(1, 4, 3, 11, 11)
            clip[0, frame, colour] = 1
            moved = (conv(clip) - conv(torch.zeros_like(clip))).detach().flatten().numpy()
            assert moved == pytest.approx(filters[:, frame, colour].sum((1, 2)), abs=1e-5)


def test_filters_of_other_networks() -> None:
    flat, deep = torch.nn.Conv2d(3, 8, 7), torch.nn.Conv3d(3, 8, (5, 7, 7))
    state = {"stem.weight": flat.weight, "slow.weight": deep.weight, "next.weight": torch.zeros(8, 8, 3, 3)}
    state |= {"one.weight": torch.zeros(8, 3, 1, 1)}
    found = first_filters({name: value.detach().numpy() for name, value in state.items()})
    assert {name: value.shape for name, value in found.items()} == {"stem": (8, 1, 3, 7, 7), "slow": (8, 5, 3, 7, 7)}
    assert found["slow"][2, 4, 1] == pytest.approx(deep.weight[2, 1, 4].detach().numpy())


def wave(cycles: float, colours: tuple[float, float, float], side: int = 33) -> np.ndarray:
    """One filter with a sine in x, each colour as strong as given."""
    line = np.sin(2 * np.pi * cycles * np.arange(side))
    made: np.ndarray = np.array(colours)[None, None, :, None, None] * np.tile(line, (side, 1))[None, None, None]
    return made


@pytest.mark.parametrize("cycles", [0.1, 0.25, 0.4])
def test_the_frequency_of_a_sine_is_its_own(cycles: float) -> None:
    assert measure(wave(cycles, (1, 1, 1))).frequency == pytest.approx(cycles, abs=0.03)


def test_colour_is_what_differs_between_red_green_and_blue() -> None:
    assert measure(wave(0.2, (1, 1, 1))).colour_share == pytest.approx(0)
    assert measure(wave(0.2, (1, -1, 0))).colour_share == pytest.approx(1)
    assert measure(wave(0.2, (1, 0, 0))).colour_share == pytest.approx(2 / 3)


def test_measures_against_loops() -> None:
    filters = np.random.default_rng(0).normal(size=(4, 2, 3, 5, 5))
    total = colour = weighted = power = 0.0
    for number in range(4):
        for frame in range(2):
            for row in range(5):
                for column in range(5):
                    red, green, blue = (float(v) for v in filters[number, frame, :, row, column])
                    mean = (red + green + blue) / 3
                    total += red**2 + green**2 + blue**2
                    colour += (red - mean) ** 2 + (green - mean) ** 2 + (blue - mean) ** 2
            for channel in range(3):
                for u in range(-32, 32):
                    for v in range(-32, 32):
                        rows, columns = (
                            np.exp(-2j * np.pi * u * np.arange(5) / 64),
                            np.exp(-2j * np.pi * v * np.arange(5) / 64),
                        )
                        here = abs(rows @ filters[number, frame, channel] @ columns) ** 2
                        power += here
                        weighted += here * math.hypot(u / 64, v / 64)
    said = measure(filters)
    assert said.colour_share == pytest.approx(colour / total)
    assert said.frequency == pytest.approx(weighted / power)


def test_what_noise_measures() -> None:
    said = measure(np.random.default_rng(1).normal(size=(300, 1, 3, 11, 11)))
    assert (said.colour_share, said.frequency) == pytest.approx((NOISE.colour_share, NOISE.frequency), abs=0.01)


def test_dead_filters_have_no_measure_and_are_grey() -> None:
    dead = np.zeros((2, 1, 3, 4, 4))
    assert math.isnan(measure(dead).colour_share)
    assert (tiles(dead)[0, 1:5, 1:5] == 128).all()


def test_tiles_hold_each_filter_once_in_its_whole_range() -> None:
    filters = np.random.default_rng(2).normal(size=(5, 2, 3, 4, 4))
    sheet = tiles(filters, columns=3)
    assert sheet.shape == (2, 2 * 5 + 1, 3 * 5 + 1, 3)
    for number in range(5):
        top, left = 1 + 5 * (number // 3), 1 + 5 * (number % 3)
        shown = sheet[:, top : top + 4, left : left + 4].astype(float)
        expected = 127.5 + 127.5 * filters[number].transpose(0, 2, 3, 1) / np.abs(filters[number]).max()
        assert np.abs(shown - expected).max() <= 0.5
