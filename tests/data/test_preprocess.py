"""The square frame against torchvision's centre crop and antialiased resize of FFmpeg's RGB."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from benchmark.data.container import DecodeError
from benchmark.data.decode import open_video
from benchmark.data.preprocess import Augmentation, Orientation, Picture, augment, square_rgb, whole_rgb
from benchmark.errors import UserError
from tests.generators.encoded import encode

ORIGINALS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ucf101" / "originals"
SIZES = [(320, 240), (240, 320), (161, 121), (160, 121), (322, 240), (242, 240), (640, 360), (128, 96), (200, 200)]


def natural_picture(width: int, height: int) -> np.ndarray:
    """RGB, (H, W, 3) uint8: slow colour changes under texture with the spectrum of natural pictures (1/f)."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    rng = np.random.default_rng(width * height)
    colours = np.stack([np.sin(7 * x + k + 3 * y) + np.cos(5 * y * (k + 1) - 2 * x) for k in range(3)], -1)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    noise = np.fft.fft2(rng.normal(size=(height, width))) / np.maximum(frequency, 1 / max(width, height))
    texture = np.fft.ifft2(noise).real
    picture: np.ndarray = 125 + 30 * colours + 18 * (texture / texture.std())[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def reference(rgb: np.ndarray, side: int) -> np.ndarray:
    image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)
    height, width = rgb.shape[:2]
    short = min(height, width)
    # Where the margin is odd, center_crop rounds to even numbers; ours always leaves the smaller part above and left.
    square = tv.crop(image, (height - short) // 2, (width - short) // 2, short, short)
    if (height - short) % 2 == (width - short) % 2 == 0:
        assert torch.equal(square, tv.center_crop(image, [short, short]))
    resized: np.ndarray = tv.resize(square, [side, side], antialias=True).permute(1, 2, 0).numpy()
    return resized


def planes(rgb: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """4:2:0 planes of a picture and FFmpeg's RGB of those planes."""
    height, width = rgb.shape[:2]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="yuv420p")
    y, u, v = (
        np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)[: p.height, : p.width] for p in frame.planes
    )
    assert y.shape == (height, width)
    return (y, u, v), frame.to_ndarray(format="rgb24")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_planes_against_torchvision(width: int, height: int) -> None:
    yuv, rgb = planes(natural_picture(width, height))
    square = square_rgb(Picture(yuv=yuv), 200)
    assert square.shape == (200, 200, 3)
    assert square.dtype == np.uint8
    assert np.abs(square.astype(int) - reference(rgb, 200)).mean() <= 2


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_planes_against_the_definition_of_bt601(width: int, height: int) -> None:
    """In floating point, which shows a bias that FFmpeg's own conversion has: it is darker by 1 on average."""
    yuv, _ = planes(natural_picture(width, height))
    luma = (yuv[0].astype(float) - 16) / 219
    blue, red = (plane.repeat(2, 0).repeat(2, 1)[:height, :width].astype(float) / 224 - 128 / 224 for plane in yuv[1:])
    rgb = [luma + 1.402 * red, luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587, luma + 1.772 * blue]
    difference = square_rgb(Picture(yuv=yuv), 200) - reference(255 * np.stack(rgb, -1).clip(0, 1), 200)
    assert np.abs(difference).mean() <= 1.5
    assert np.abs(difference.mean((0, 1))).max() <= 0.5


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_rgb_against_torchvision(width: int, height: int) -> None:
    rgb = natural_picture(width, height)
    assert np.abs(square_rgb(Picture(rgb=rgb), 200).astype(int) - reference(rgb, 200)).mean() <= 2


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_planes_and_rgb_of_the_same_picture_agree(width: int, height: int) -> None:
    """So that it does not matter on which way a file comes."""
    yuv, rgb = planes(natural_picture(width, height))
    one, other = square_rgb(Picture(yuv=yuv), 200), square_rgb(Picture(rgb=rgb), 200)
    assert np.abs(one.astype(int) - other).mean() <= 2


@pytest.mark.parametrize(("width", "height"), [(242, 240), (240, 242), (244, 240), (246, 240), (241, 240), (239, 241)])
def test_colour_stays_on_its_place_in_the_picture(width: int, height: int) -> None:
    """Grey left of the middle, red right of it; some squares would begin in the middle of a chroma sample."""
    rows, columns = (height + 1) // 2, (width + 1) // 2
    red = np.full((rows, columns), 128, np.uint8)
    red[:, columns // 2 :] = 200
    yuv = np.full((height, width), 126, np.uint8), np.full_like(red, 128), red
    excess = square_rgb(Picture(yuv=yuv), 200)[:, :, 0].astype(float).mean(0) - 128
    short = min(width, height)
    edge = (columns // 2 * 2 - (width - short) // 2) / short * 200
    assert excess.sum() / excess.max() == pytest.approx(200 - edge, abs=0.25)


@pytest.mark.parametrize("size", [(16, 16), (2, 2), (1, 1), (3, 2), (1, 40), (40, 1)])
def test_very_small_pictures(size: tuple[int, int]) -> None:
    height, width = size
    grey = np.full(size, 126, np.uint8), *(np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8),) * 2
    for picture in (Picture(yuv=(grey[0], grey[1], grey[2])), Picture(rgb=np.full((*size, 3), 128, np.uint8))):
        square = square_rgb(picture, 200)
        assert square.shape == (200, 200, 3)
        np.testing.assert_allclose(square, 128, atol=1)


@pytest.mark.skipif(not ORIGINALS.is_dir(), reason=f"no UCF-101 originals at {ORIGINALS}")
def test_real_videos_against_torchvision() -> None:
    differences = []
    for path in sorted(ORIGINALS.rglob("*.avi"))[::10]:
        with av.open(str(path)) as container:
            rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
        with open_video(path) as video:
            ((_, picture),) = video.read([0])
            square = square_rgb(picture, 200)
        differences.append(np.abs(square.astype(int) - reference(rgb, 200)).mean())
    assert np.mean(differences) <= 1.7
    assert max(differences) <= 2.3  # sharp noise, and FFmpeg's darker conversion


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_pictures_come_as_they_are_shown(turns: int, mirrored: bool) -> None:
    """The expected squares are turns and mirrorings by NumPy, in its own words."""
    rgb = natural_picture(90, 60)
    yuv, _ = planes(rgb)
    # Counter-clockwise turns, and then left for right.
    orientation = [
        Orientation(),
        Orientation(transposed=True, upside_down=True),
        Orientation(mirrored=True, upside_down=True),
        Orientation(transposed=True, mirrored=True),
    ][turns]
    orientation = orientation._replace(mirrored=orientation.mirrored != mirrored)
    for picture in (Picture(rgb=rgb), Picture(yuv=yuv)):
        expected = np.rot90(square_rgb(picture, 40), turns)
        expected = np.fliplr(expected) if mirrored else expected
        square = square_rgb(dataclasses.replace(picture, orientation=orientation), 40)
        assert square.flags.c_contiguous
        np.testing.assert_array_equal(square, expected)


@pytest.mark.parametrize("shape", [Fraction(2), Fraction(1, 2), Fraction(16, 11), Fraction(59, 54), Fraction(1000)])
@pytest.mark.parametrize("size", [(120, 160), (161, 121), (576, 720)])
def test_pixels_that_are_not_square(shape: Fraction, size: tuple[int, int]) -> None:
    """The region is compared with one counted by hand in shown pixels."""
    rows, columns = np.indices(size)
    rgb = np.stack([rows * 255 / size[0], columns * 255 / size[1], np.zeros(size)], -1).astype(np.uint8)
    yuv, _ = planes(rgb)
    shown_width = size[1] * float(shape)
    short = min(size[0], shown_width)
    share = short / size[0], short / shown_width  # of the height and the width that are kept
    for picture in (Picture(rgb=rgb, pixel_shape=shape), Picture(yuv=yuv, pixel_shape=shape)):
        square = square_rgb(picture, 40).astype(float)
        for channel, kept in enumerate(share):
            ends = np.take(square[..., channel], [0, -1], axis=channel).mean(1 - channel)
            expected = 255 * (0.5 + np.array([-0.5, 0.5]) * kept * 39 / 40)
            assert np.abs(ends - expected).max() <= 6, (channel, ends, expected)


@pytest.mark.parametrize("given", [{}, {"yuv": (np.zeros((2, 2)),) * 3, "rgb": np.zeros((2, 2, 3))}])
def test_a_picture_is_either_planes_or_rgb(given: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="either yuv or rgb"):
        Picture(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p"])
def test_corners_of_a_decoded_frame_keep_their_places(tmp_path: Path, pixels: str) -> None:
    corners = np.zeros((64, 64, 3), np.uint8)
    corners[:32, :32], corners[:32, 32:], corners[32:, :32] = (220, 30, 30), (30, 220, 30), (30, 30, 220)
    frame = av.VideoFrame.from_ndarray(corners, format="rgb24").to_ndarray(format=pixels)
    path = encode(tmp_path / "corners.mp4", width=64, height=64, frames=1, pixels=pixels, planes=frame)
    with open_video(path) as video:
        ((_, picture),) = video.read([0])
        square = square_rgb(picture, 40).astype(int)
    for (row, column), colour in {(8, 8): (220, 30, 30), (8, 32): (30, 220, 30), (32, 8): (30, 30, 220)}.items():
        np.testing.assert_allclose(square[row, column], colour, atol=12)


def test_augmentation_is_one_region_for_all_frames() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), np.uint8)
    places = set()
    for seed in range(300):
        region = augment(frames, 17, np.random.default_rng(seed))
        assert region.shape == (4, 17, 17, 3)
        assert region.flags.c_contiguous
        found = [
            (top, left, flipped)
            for top in range(4)
            for left in range(8)
            for flipped in (False, True)
            if (frames[:, top : top + 17, left : left + 17][:, :, :: -1 if flipped else 1] == region).all()
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 64  # each of 4 x 8 places, mirrored and not


def test_augmentation_draws_from_its_generator_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 30, 30, 3), np.uint8)
    one = augment(frames, 20, np.random.default_rng(9))
    np.random.seed(1)
    np.testing.assert_array_equal(one, augment(frames, 20, np.random.default_rng(9)))


def test_a_region_of_the_whole_frame_is_the_frame_or_its_mirror_image() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    for seed in range(4):
        region = augment(frames, 8, np.random.default_rng(seed))
        assert (region == frames).all() or (region == frames[:, :, ::-1]).all()


def test_a_resized_region_shows_the_places_that_were_drawn() -> None:
    # Red and green say where a pixel lay, so the corners of what comes out say which region was taken.
    rows, columns = np.mgrid[:200, :200].astype(np.uint8)
    frames = np.stack([np.stack([rows, columns, np.full_like(rows, t)], -1) for t in range(3)])
    sizes, mirrored = [], 0
    for seed in range(400):
        region = augment(frames, 100, np.random.default_rng(seed), Augmentation(smallest_region=0.5, aspect_ratio=1.3))
        assert region.shape == (3, 100, 100, 3)
        np.testing.assert_array_equal(region[..., 2], np.arange(3)[:, None, None] * np.ones((1, 100, 100)))
        np.testing.assert_array_equal(region[0, ..., :2], region[2, ..., :2])  # the same for all frames
        spans = region[0].astype(int)
        height, width = spans[-1, 0, 0] - spans[0, 0, 0], spans[0, -1, 1] - spans[0, 0, 1]
        mirrored += width < 0
        sizes.append((abs(height) / 0.99 / 200, abs(width) / 0.99 / 200))
    height_share, width_share = np.array(sizes).T
    ratio = np.log(width_share / height_share)
    area = height_share * width_share
    assert 0.24 < area.min() < 0.28
    assert 0.8 < area.max() <= 1.02
    assert np.quantile(area, [0.25, 0.5, 0.75]) == pytest.approx([0.4375, 0.625, 0.8125], abs=0.06)  # even over areas
    assert ratio.min() < -0.35
    assert ratio.max() > 0.35
    assert np.abs(ratio).max() < 2 * np.log(1.3) + 0.02
    assert 150 < mirrored < 250


def test_colours_change_as_brightness_contrast_and_saturation_say() -> None:
    frames = np.random.default_rng(0).integers(90, 140, (2, 12, 12, 3), np.uint8)
    strong = Augmentation(colour=0.4, grey=0.5)
    greys = 0
    for seed in range(60):
        plain = augment(frames, 10, np.random.default_rng(seed))
        shown = augment(frames, 10, np.random.default_rng(seed), strong).astype(float)
        rng = np.random.default_rng(seed)
        rng.integers(3), rng.integers(3), rng.random()  # the region and the flip
        brightness, contrast, saturation = (1 + 0.4 * rng.uniform(-1, 1) for _ in range(3))
        is_grey = rng.random() < 0.5
        greys += is_grey
        for pixel, got in zip(plain.reshape(-1, 3)[::37], shown.reshape(-1, 3)[::37], strict=True):
            value = (pixel * brightness - 117) * contrast + 117
            luma = 0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2]
            expected = luma + (0.0 if is_grey else saturation) * (value - luma)
            np.testing.assert_allclose(got, expected.clip(0, 255), atol=0.6)  # OpenCV counts in 1/1024
    assert 15 < greys < 45


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smallest_region": 0.0}, "smallest_region is 0.0"),
        ({"smallest_region": 1.1}, "smallest_region is 1.1"),
        ({"aspect_ratio": 0.9}, "aspect_ratio 0.9"),
        ({"colour": 1.0}, "colour 1.0"),
        ({"colour": float("nan")}, "colour nan"),
        ({"grey": 1.5}, "grey 1.5"),
    ],
)
def test_refused_augmentations(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1)])
def test_a_picture_of_a_few_lines_is_not_made_a_large_one(shape: tuple[int, int]) -> None:
    line = Picture(rgb=np.zeros((*shape, 3), np.uint8))
    assert square_rgb(line, 200).shape == (200, 200, 3)
    with pytest.raises(DecodeError, match="4800000"):
        whole_rgb(line, 240)
