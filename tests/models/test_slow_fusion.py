import pytest
import torch

from benchmark.models import SlowFusion
from benchmark.models.layers import Resolution
from tests.models.plain import CLASSES, SIDE, WIDTH, PlainNetwork, assert_same_network, influences, parameter_count

RESOLUTIONS: list[Resolution] = ["full", "multires", "fovea", "context"]

TRUNK = (
    (96 * 3 * 4 * 11 * 11 + 96)
    + (256 * 96 * 2 * 5 * 5 + 256)
    + (384 * 256 * 2 * 3 * 3 + 384)
    + (384 * 384 * 3 * 3 + 384)
    + (256 * 384 * 3 * 3 + 256)
)
AFTER_FIRST = (4096 * 4096 + 4096) + (4096 * 487 + 487)
ONE_STREAM = TRUNK + (7 * 7 * 256 * 4096 + 4096) + AFTER_FIRST
TWO_STREAMS = 2 * TRUNK + (2 * 7 * 7 * 256 * 4096 + 4096) + AFTER_FIRST


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_equals_plain_network(resolution: Resolution, dtype: torch.dtype, tolerance: float) -> None:
    tested = SlowFusion(CLASSES, resolution=resolution, width=WIDTH)
    plain = PlainNetwork(resolution, extents=((4, 2), (2, 2), (2, 2)))
    assert_same_network(tested, plain, dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [("full", ONE_STREAM), ("fovea", ONE_STREAM), ("context", ONE_STREAM), ("multires", TWO_STREAMS)],
)
def test_parameter_count(resolution: Resolution, expected: int) -> None:
    assert parameter_count(SlowFusion, resolution) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("conv1", [{0, 1, 2, 3}, {2, 3, 4, 5}, {4, 5, 6, 7}, {6, 7, 8, 9}]),
        ("conv2", [{0, 1, 2, 3, 4, 5}, {4, 5, 6, 7, 8, 9}]),
        ("conv3", [set(range(10))]),
        ("conv4", [set(range(10))]),
    ],
)
def test_higher_layers_see_more_frames(layer: str, expected: list[set[int]]) -> None:
    tested = SlowFusion(CLASSES, width=WIDTH)
    assert tested.frame_offsets == (3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    assert influences(tested, layer) == expected


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_input_side(resolution: Resolution) -> None:
    assert SlowFusion(CLASSES, resolution=resolution, width=WIDTH).input_side == SIDE[resolution]
