import numpy as np
import pytest

pytest.importorskip("skimage", reason="the extra `histograms` is not installed")

from benchmark.histograms.textons import ORIENTATIONS, SUPPORT, WAVELENGTHS, filter_bank, filter_responses


def grating(wavelength: float, turn: int) -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    angle = np.pi * turn / ORIENTATIONS
    wave: np.ndarray = np.sin(2 * np.pi / wavelength * (x * np.cos(angle) + y * np.sin(angle)))
    return wave.astype(np.float32)


@pytest.mark.parametrize("turn", range(ORIENTATIONS))
@pytest.mark.parametrize("wavelength", WAVELENGTHS)
def test_a_grating_is_answered_by_the_filters_of_its_wave(wavelength: float, turn: int) -> None:
    responses = filter_responses(grating(wavelength, turn), np.array([[11, 14], [20, 20], [30, 5]]))
    pairs = responses[:, : 4 * ORIENTATIONS].reshape(3, len(WAVELENGTHS), ORIENTATIONS, 2)
    energy = (pairs**2).sum(-1).sum(0)
    assert np.unravel_index(energy.argmax(), energy.shape) == (WAVELENGTHS.index(wavelength), turn)


def test_filters_ignore_brightness_but_for_the_gaussians() -> None:
    bank = filter_bank()
    assert bank.shape == (30, SUPPORT, SUPPORT)
    sums = bank.sum((1, 2))
    gaussians = [24, 26, 28]
    np.testing.assert_allclose(sums[gaussians], 1, atol=1e-5)
    np.testing.assert_allclose(np.delete(sums, gaussians), 0, atol=1e-5)
    np.testing.assert_allclose(np.abs(bank).sum((1, 2)), 1, atol=1e-5)


def test_responses_are_sums_of_products() -> None:
    grey = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    even = (grey - grey.mean()) / (grey.std() + 1e-3)
    expected = [(even[3:28, 9:34] * kernel).sum() for kernel in filter_bank()]
    size = np.linalg.norm(expected)
    ours = filter_responses(grey, np.array([[3, 9]]))[0]
    np.testing.assert_allclose(ours, np.array(expected) * np.log1p(size / 0.03) / size, rtol=1e-3, atol=1e-4)


def test_lighting_plays_no_part() -> None:
    grey = np.random.default_rng(1).random((40, 40)).astype(np.float32)
    at = np.array([[0, 0], [15, 15]])
    np.testing.assert_allclose(filter_responses(grey, at), filter_responses(0.5 + 2 * grey, at), atol=0.01)
