import numpy as np
import pytest

pytest.importorskip("skimage", reason="the extra `histograms` is not installed")

import cv2
from skimage.feature import hog

from benchmark.histograms.orientations import BLOCK, DIRECTIONS, Flow, gradients, motions


def every_block(height: int, width: int) -> np.ndarray:
    """Upper left pixels of all blocks of whole cells, as scikit-image orders them."""
    return np.array([(y, x) for y in range(0, height - BLOCK + 1, 8) for x in range(0, width - BLOCK + 1, 8)])


def test_histograms_of_gradients_are_those_of_scikit_image() -> None:
    grey = np.random.default_rng(0).random((48, 64)).astype(np.float32)
    theirs = hog(grey, 9, (8, 8), (2, 2), block_norm="L2-Hys", feature_vector=False).reshape(-1, 36)
    # Theirs divides the sums of a cell by its pixels, which the norm undoes.
    ours = gradients(grey).blocks(every_block(48, 64))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(("degrees", "expected"), [(10, 0), (50, 2), (90, 4), (130, 6), (170, 8)])
def test_a_grating_is_found_in_the_bin_of_its_orientation(degrees: float, expected: int) -> None:
    y, x = np.mgrid[:32, :32].astype(np.float32)
    angle = np.deg2rad(degrees)
    grey = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 0.5).astype(np.float32)
    found = gradients(grey).blocks(np.array([[8, 8]])).reshape(4, 9).sum(0)
    assert found.argmax() == expected


def test_brightness_and_contrast_change_no_histogram_of_gradients() -> None:
    grey = np.random.default_rng(1).random((24, 24)).astype(np.float32)
    one, other = (gradients(image).blocks(np.array([[2, 5]])) for image in (grey, 3 * grey + 7))
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_a_moving_pattern_is_counted_in_its_direction(direction: int) -> None:
    source = np.random.default_rng(2).random((160, 160)).astype(np.float32)
    smooth = cv2.GaussianBlur(source, (0, 0), 3)
    texture = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    step = np.rint(3 * np.array([np.cos(direction * np.pi / 4), np.sin(direction * np.pi / 4)])).astype(int)
    first = texture[20:140, 20:140]
    second = texture[20 - step[1] : 140 - step[1], 20 - step[0] : 140 - step[0]]  # what was at x is now at x + step
    flow = Flow().between(np.ascontiguousarray(first), np.ascontiguousarray(second))
    found = motions(flow).blocks(np.array([[40, 40], [60, 60], [50, 30]]))
    assert set(found.reshape(3, 4, DIRECTIONS + 1).sum(1).argmax(1)) == {direction}


def test_what_does_not_move_has_a_bin_of_its_own() -> None:
    still = motions(np.zeros((32, 32, 2), np.float32)).blocks(np.array([[0, 0]])).reshape(4, DIRECTIONS + 1)
    np.testing.assert_allclose(still, np.eye(DIRECTIONS + 1, dtype=np.float32)[[DIRECTIONS] * 4] / 2)


def test_blocks_are_counted_pixel_by_pixel() -> None:
    random = np.random.default_rng(3)
    flow = random.normal(size=(40, 40, 2)).astype(np.float32)
    top, left = 7, 13
    expected = np.zeros((2, 2, DIRECTIONS + 1))
    for y in range(BLOCK):
        for x in range(BLOCK):
            u, v = flow[top + y, left + x]
            speed = np.hypot(u, v)
            name = DIRECTIONS if speed < 0.2 else round(np.arctan2(v, u) / (np.pi / 4)) % DIRECTIONS
            expected[y // 8, x // 8, name] += max(speed, 0.2)
    ours = motions(flow).blocks(np.array([[top, left]]))[0]
    np.testing.assert_allclose(ours, (expected / np.linalg.norm(expected)).ravel(), atol=1e-4)
