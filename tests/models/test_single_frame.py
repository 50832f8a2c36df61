import pytest
import torch
from torch import Tensor

from benchmark.models import SingleFrame
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
ONE_STREAM = TRUNK + (7 * 7 * 256 * 4096 + 4096) + AFTER_FIRST
TWO_STREAMS = 2 * TRUNK + (2 * 7 * 7 * 256 * 4096 + 4096) + AFTER_FIRST


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_equals_plain_network(resolution: Resolution, dtype: torch.dtype, tolerance: float) -> None:
    tested = SingleFrame(CLASSES, resolution=resolution, width=WIDTH)
    assert_same_network(tested, PlainNetwork(resolution), dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [("full", ONE_STREAM), ("fovea", ONE_STREAM), ("context", ONE_STREAM), ("multires", TWO_STREAMS)],
)
def test_parameter_count(resolution: Resolution, expected: int) -> None:
    assert parameter_count(SingleFrame, resolution) == expected


def test_parameter_count_in_figures() -> None:
    assert ONE_STREAM == 73_908_071
    assert TWO_STREAMS == 129_035_495


def test_reads_the_frame_in_the_middle() -> None:
    tested = SingleFrame(CLASSES, width=WIDTH)
    assert tested.frame_offsets == (8,)
    assert influences(tested, "conv5") == [{0}]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_input_side(resolution: Resolution) -> None:
    assert SingleFrame(CLASSES, resolution=resolution, width=WIDTH).input_side == SIDE[resolution]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_pixel_scale_changes_only_the_scale_of_the_logits(resolution: Resolution) -> None:
    # Without biases each layer is homogeneous, so logits of pixels / 58 are 1/58 of those of raw pixels.
    raw, scaled = (
        SingleFrame(CLASSES, resolution=resolution, width=WIDTH, pixel_scale=s).double() for s in (1.0, 58.0)
    )
    scaled.load_state_dict(raw.state_dict())
    clips = random_clips(2, 1, SIDE[resolution])
    with torch.no_grad():
        torch.testing.assert_close(58 * scaled.eval()(clips), raw.eval()(clips), rtol=1e-9, atol=1e-9)


def streams_that_see(resolution: Resolution, top: int, left: int) -> set[str]:
    """Streams whose first convolution answers to one pixel of the frame; a later layer may choose to ignore it."""
    tested = SingleFrame(CLASSES, resolution=resolution, width=WIDTH).double()
    clips = random_clips(1, 1, SIDE[resolution]).repeat(2, 1, 1, 1, 1)
    clips[1, 0, top, left] = clips[0, 0, top, left] ^ 255
    seen: dict[str, Tensor] = {}
    for name, trunk in tested.streams.trunks.items():
        trunk.get_submodule("conv1").register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output.clone()})
        )
    with torch.no_grad():
        tested(clips)
    return {name for name, output in seen.items() if (output[1] - output[0]).abs().max() > 1e-6}


@pytest.mark.parametrize(("top", "left"), [(44, 44), (44, 132), (132, 44), (132, 132), (88, 88)])
def test_fovea_sees_the_centre_up_to_its_corners(top: int, left: int) -> None:
    assert streams_that_see("fovea", top, left) == {"fovea"}


def test_fovea_sees_nothing_outside_the_centre_89() -> None:
    tested = SingleFrame(CLASSES, resolution="fovea", width=WIDTH).eval()
    clips, other = random_clips(2, 1, 178), random_clips(2, 1, 178, seed=1)
    other[:, :, 44:133, 44:133] = clips[:, :, 44:133, 44:133]
    with torch.no_grad():
        assert torch.equal(tested(clips), tested(other))


@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 177), (177, 0), (177, 177), (88, 88)])
def test_context_sees_the_whole_frame(top: int, left: int) -> None:
    assert streams_that_see("context", top, left) == {"context"}


def test_context_sees_nothing_finer_than_means_of_2x2() -> None:
    tested = SingleFrame(CLASSES, resolution="context", width=WIDTH).double().eval()
    clips = random_clips(2, 1, 178)
    blocks = clips.reshape(2, 1, 89, 2, 89, 2, 3)
    moved = blocks.flip(3, 5).flatten(4, 5).flatten(2, 3)
    shifted = clips.roll(1, dims=3)
    with torch.no_grad():
        torch.testing.assert_close(tested(moved), tested(clips), rtol=1e-9, atol=1e-9)
        assert not torch.allclose(tested(shifted), tested(clips), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("top", "left", "expected"),
    [
        (0, 0, {"context"}),
        (177, 177, {"context"}),
        (43, 88, {"context"}),
        (88, 133, {"context"}),
        (44, 44, {"context", "fovea"}),
        (132, 132, {"context", "fovea"}),
    ],
)
def test_streams_of_multires_see_frame_and_centre(top: int, left: int, expected: set[str]) -> None:
    assert streams_that_see("multires", top, left) == expected


def test_multires_sees_detail_in_the_centre_alone() -> None:
    tested = SingleFrame(CLASSES, resolution="multires", width=WIDTH).double().eval()
    clips = random_clips(2, 1, 178)
    # Neighbours change places inside each 2x2 block, which keeps its mean; blocks begin at even rows and columns.
    mirrored = clips.reshape(2, 1, 178, 89, 2, 3).flip(4).flatten(3, 4)
    outside = mirrored.clone()
    outside[:, :, 44:134, 44:134] = clips[:, :, 44:134, 44:134]
    with torch.no_grad():
        torch.testing.assert_close(tested(outside), tested(clips), rtol=1e-9, atol=1e-9)
        assert not torch.allclose(tested(mirrored), tested(clips), rtol=1e-3, atol=1e-3)


def test_multires_streams_share_nothing() -> None:
    tested = SingleFrame(CLASSES, resolution="multires", width=WIDTH)
    context, fovea = (tested.streams.trunks[name] for name in ("context", "fovea"))
    assert not {id(p) for p in context.parameters()} & {id(p) for p in fovea.parameters()}
    assert not torch.equal(next(context.parameters()), next(fovea.parameters()))
