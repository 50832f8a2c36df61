import pytest
import torch
from torch import Tensor, nn

from benchmark.models import LateFusion
from benchmark.models.layers import Resolution
from tests.models.plain import (
    CLASSES,
    SIDE,
    WIDTH,
    PlainNetwork,
    assert_same_network,
    influences,
    parameter_count,
    random_clips,
)

RESOLUTIONS: list[Resolution] = ["full", "multires", "fovea", "context"]

TRUNK = (
    (96 * 3 * 11 * 11 + 96)
    + (256 * 96 * 5 * 5 + 256)
    + (384 * 256 * 3 * 3 + 384)
    + (384 * 384 * 3 * 3 + 384)
    + (256 * 384 * 3 * 3 + 256)
)
AFTER_FIRST = (4096 * 4096 + 4096) + (4096 * 487 + 487)
# Two towers share one trunk; both towers' features enter the first fully connected layer.
ONE_STREAM = TRUNK + (2 * 7 * 7 * 256 * 4096 + 4096) + AFTER_FIRST
TWO_STREAMS = 2 * TRUNK + (2 * 2 * 7 * 7 * 256 * 4096 + 4096) + AFTER_FIRST


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_equals_plain_network(resolution: Resolution, dtype: torch.dtype, tolerance: float) -> None:
    tested = LateFusion(CLASSES, resolution=resolution, width=WIDTH)
    assert_same_network(tested, PlainNetwork(resolution, towers=2), dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [("full", ONE_STREAM), ("fovea", ONE_STREAM), ("context", ONE_STREAM), ("multires", TWO_STREAMS)],
)
def test_parameter_count(resolution: Resolution, expected: int) -> None:
    assert parameter_count(LateFusion, resolution) == expected


def test_towers_see_one_frame_each() -> None:
    tested = LateFusion(CLASSES, width=WIDTH)
    assert tested.frame_offsets == (0, 15)
    assert influences(tested, "conv1") == [{0}, {1}]
    assert influences(tested, "conv5") == [{0}, {1}]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_frames_meet_in_the_first_fully_connected_layer(resolution: Resolution) -> None:
    tested = LateFusion(CLASSES, resolution=resolution, width=WIDTH).eval()
    first, second = random_clips(1, 1, SIDE[resolution]), random_clips(1, 1, SIDE[resolution], seed=1)
    units: list[Tensor] = []
    layer = next(module for module in tested.modules() if isinstance(module, nn.Linear))
    layer.register_forward_hook(lambda _module, _inputs, output: units.append(output.detach().clone()))
    with torch.no_grad():
        for pair in ((first, second), (first, first), (second, second), (second, first)):
            tested(torch.cat(pair, dim=1))
    unchanged, other_second, other_first, swapped = units
    assert not torch.equal(unchanged, other_second)
    assert not torch.equal(unchanged, other_first)
    # The towers share weights but not their place, so order matters.
    assert not torch.allclose(unchanged, swapped)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_input_side(resolution: Resolution) -> None:
    assert LateFusion(CLASSES, resolution=resolution, width=WIDTH).input_side == SIDE[resolution]
