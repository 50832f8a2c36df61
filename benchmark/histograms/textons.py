"""Textons (Leung and Malik, 2001): what a bank of filters says of the texture around a point.

Letters: H height, W width, n points.
"""

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter, gaussian_laplace
from skimage.filters import gabor_kernel

SUPPORT = 25
"""Side of the filters in pixels."""

ORIENTATIONS = 6
WAVELENGTHS = (5.0, 10.0)  # pixels
_BLOBS = (1.0, 2.0, 4.0)  # standard deviations in pixels
_WEBER = 0.03


@functools.cache
def filter_bank() -> np.ndarray:
    """(30, 25, 25) float32, the absolute values of each adding up to 1.

    For each wavelength and orientation an edge (odd) and a bar (even) Gabor filter, those of one wavelength side by
    side; then a Gaussian and its Laplacian in three sizes. All but the Gaussians ignore brightness.
    """
    found = []
    for wavelength in WAVELENGTHS:
        for turn in range(ORIENTATIONS):
            wave: np.ndarray = gabor_kernel(  # type: ignore[no-untyped-call]
                1 / wavelength, np.pi * turn / ORIENTATIONS, bandwidth=1
            )
            found += [_fitted(wave.imag), _fitted(wave.real)]
    found = [kernel - kernel.mean() for kernel in found]
    point = np.zeros((SUPPORT, SUPPORT))
    point[SUPPORT // 2, SUPPORT // 2] = 1
    for deviation in _BLOBS:
        blob = gaussian_laplace(point, deviation)
        found += [gaussian_filter(point, deviation), blob - blob.mean()]
    return np.stack([kernel / np.abs(kernel).sum() for kernel in found]).astype(np.float32)


def _fitted(kernel: np.ndarray) -> np.ndarray:
    """The centre of a kernel of odd sides, or the kernel with zeros around it."""
    fitted = np.zeros((SUPPORT, SUPPORT))
    half = [min(side, SUPPORT) // 2 for side in kernel.shape]
    target, source = (
        tuple(slice(side // 2 - h, side // 2 + h + 1) for side, h in zip(shape, half, strict=True))
        for shape in (fitted.shape, kernel.shape)
    )
    fitted[target] = kernel[source]
    return fitted


def filter_responses(grey: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """What the filters say around some points, compressed as the eye does (Weber's law).

    Args:
        grey: (H, W) float32 brightness; it is brought to mean 0 and deviation 1, so that lighting plays no part.
        corners: (n, 2) int64, row and column of the upper left pixel of each filter's support.

    Returns:
        (n, 30) float32, in the order of `filter_bank`.
    """
    even = (grey - grey.mean()) / (grey.std() + 1e-3)
    rows, columns = corners.T
    patches = sliding_window_view(even, (SUPPORT, SUPPORT))[rows, columns].reshape(len(corners), -1)
    bank = filter_bank()
    responses = patches @ bank.reshape(len(bank), -1).T
    size = np.linalg.norm(responses, axis=1, keepdims=True) + 1e-12
    compressed: np.ndarray = responses * (np.log1p(size / _WEBER) / size)
    return compressed
