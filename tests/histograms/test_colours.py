import numpy as np
import pytest

pytest.importorskip("skimage", reason="the extra `histograms` is not installed")

import cv2
import skimage.data
from scipy.stats import skew

from benchmark.histograms.colours import SATURATIONS, colour_moments, count_faces, hue_saturation


@pytest.mark.parametrize(("colour", "hue"), [((255, 0, 0), 0), ((0, 255, 0), 6), ((0, 0, 255), 13)])
def test_pure_colours_are_counted_as_their_hue(colour: tuple[int, int, int], hue: int) -> None:
    image = np.zeros((6, 8, 3), np.uint8)
    image[:3, 4:] = colour
    counts = hue_saturation(image)
    assert counts.sum(1).tolist() == [12] * 4
    assert counts[1, hue * SATURATIONS + SATURATIONS - 1] == 12
    assert counts[0, 0] == 12  # black has no saturation


def test_pixels_are_counted_one_by_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (10, 14, 3), np.uint8)
    shown = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    expected = np.zeros((2, 2, 20, 12))
    for y in range(10):
        for x in range(14):
            hue, saturation, _ = (int(value) for value in shown[y, x])
            expected[y // 5, x // 7, hue // 9, saturation * 12 // 256] += 1
    np.testing.assert_array_equal(hue_saturation(image), expected.reshape(4, 240))


def test_moments_are_those_of_the_pixels() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB) / 255
    part = lab[10:20, 45:60].reshape(-1, 3)
    spread = part.std(0)
    expected = np.concatenate([part.mean(0), spread, np.cbrt(skew(part) * spread**3)])
    np.testing.assert_allclose(colour_moments(image)[7], expected, atol=1e-3)


def test_one_colour_has_neither_spread_nor_skew() -> None:
    moments = colour_moments(np.full((8, 8, 3), 90, np.uint8))
    np.testing.assert_allclose(moments[:, 3:], 0, atol=1e-3)


def test_faces_are_counted() -> None:
    astronaut = skimage.data.astronaut()[:300, 80:380]  # type: ignore[no-untyped-call]
    small = cv2.resize(astronaut, (240, 240), interpolation=cv2.INTER_AREA)
    assert count_faces(small) == 1
    assert count_faces(np.concatenate([small, small], 1)) == 2
    assert count_faces(cv2.flip(small, 0)) == 0
    assert count_faces(np.zeros((16, 16, 3), np.uint8)) == 0
