import pytest
import torch
from torch import Tensor, nn

from benchmark.models.temporal_conv import TemporalConv


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


@pytest.mark.parametrize(
    ("extent", "temporal_stride", "frames"), [(1, 1, 1), (1, 1, 2), (10, 1, 10), (4, 2, 10), (3, 3, 9)]
)
@pytest.mark.parametrize(
    ("kernel", "stride", "sides"), [(11, 3, (29, 30)), (11, 3, (31, 12)), (3, 3, (10, 9)), (5, 2, (12, 13))]
)
def test_a_convolution_by_blocks_is_the_same_function(
    extent: int, temporal_stride: int, frames: int, kernel: int, stride: int, sides: tuple[int, int]
) -> None:
    layer = TemporalConv(3, 6, kernel, stride=stride, extent=extent, temporal_stride=temporal_stride).double()
    x = torch.randn(2, frames, 3, *sides, dtype=torch.float64, requires_grad=True)
    expected = layer(x)
    output = layer.by_blocks(x).view_as(expected)
    torch.testing.assert_close(output, expected)
    direction = torch.randn_like(expected)
    parts = [x, *layer.parameters()]
    for gradient, wanted in zip(
        torch.autograd.grad(output, parts, direction), torch.autograd.grad(expected, parts, direction), strict=True
    ):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize(("extent", "temporal_stride"), [(1, 1), (4, 2)])
def test_no_clips_give_no_responses(extent: int, temporal_stride: int) -> None:
    layer = TemporalConv(3, 6, 5, stride=2, extent=extent, temporal_stride=temporal_stride)
    none = torch.empty(0, 10, 3, 9, 9)
    windows = (10 - extent) // temporal_stride + 1
    assert layer(none).shape == (0, windows, 6, 3, 3)
    assert layer.by_blocks(none).shape == (0, 6, 3, 3)
