import numpy as np
import pytest

pytest.importorskip("skimage", reason="the extra `histograms` is not installed")

from scipy.fft import dctn
from scipy.ndimage import gaussian_filter, maximum_filter

from benchmark.histograms.cuboids import (
    COEFFICIENTS,
    FREQUENCY,
    CuboidStream,
    _local_maxima,
    describe,
    energy,
    gabor_pair,
    strongest,
)


def blinking(frames: int, places: list[tuple[int, int]], frequency: float = FREQUENCY) -> np.ndarray:
    """Blobs that go bright and dark, on grey."""
    video = np.full((frames, 60, 80), 0.5, np.float32)
    y, x = np.mgrid[:60, :80]
    for row, column in places:
        blob = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 18)
        video += 0.3 * blob * np.sin(frequency * np.arange(frames))[:, None, None]
    return video.astype(np.float32)


def test_what_blinks_is_found_where_it_blinks() -> None:
    found = strongest(energy(blinking(60, [(20, 30), (40, 55)])), 10)
    assert len(found)
    assert {tuple(point) for point in found[:, 1:]} == {(20, 30), (40, 55)}


def test_what_stays_or_brightens_slowly_is_not_found() -> None:
    texture = np.random.default_rng(0).random((60, 80)).astype(np.float32)
    still = np.repeat(texture[None], 40, 0)
    assert not len(strongest(energy(still), 10))
    assert energy(blinking(60, [(30, 40)]))[20:40].max() > 100 * energy(blinking(60, [(30, 40)], 0.1))[20:40].max()


def test_energy_is_that_of_filters_one_after_the_other() -> None:
    video = np.random.default_rng(1).random((30, 24, 20)).astype(np.float32)
    even, odd = gabor_pair()
    smooth = gaussian_filter(video.astype(float), (0, 2, 2), mode="mirror", truncate=6)
    t, y, x = 15, 12, 10
    window = smooth[t - 6 : t + 7, y, x]
    expected = (window @ even) ** 2 + (window @ odd) ** 2
    assert energy(video)[t, y, x] == pytest.approx(expected, rel=0.02)


def test_local_maxima_are_those_of_scipy() -> None:
    response = np.random.default_rng(2).random((20, 30, 40)).astype(np.float32)
    np.testing.assert_array_equal(_local_maxima(response), response == maximum_filter(response, (7, 9, 9)))


def test_descriptors_are_the_slow_waves_of_the_gradients() -> None:
    video = np.random.default_rng(3).random((25, 20, 22)).astype(np.float32)
    cuboid = video[12 - 9 : 12 + 10, 10 - 6 : 10 + 7, 11 - 6 : 11 + 7]
    slow = slice(0, COEFFICIENTS)
    waves = [dctn(part, norm="ortho")[slow, slow, slow] for part in np.gradient(cuboid)]
    expected = np.stack(waves).ravel()
    ours = describe(video, np.array([[12, 10, 11]]))[0]
    np.testing.assert_allclose(ours, expected / np.linalg.norm(expected), atol=1e-4)


@pytest.mark.parametrize("frames", [1, 5, 63, 64, 65, 200])
def test_a_stream_finds_what_the_whole_video_has(frames: int) -> None:
    video = blinking(frames, [(20, 30), (40, 55)])
    stream = CuboidStream(most=5.0)
    parts = [part for frame in video for part in stream.add(frame)] + list(stream.end())
    padded = np.pad(video, ((9, 9), (0, 0), (0, 0)), mode="edge")
    whole = strongest(energy(padded), 10**6)
    places = np.concatenate([places for places, _ in parts])
    if frames >= 63:
        assert len(whole) > 4
    # Each frame is looked at once; a maximum within 3 frames of a seam may be one on both sides.
    assert {tuple(place) for place in places} == {tuple(place) for place in whole[:, 1:]}
    assert abs(len(places) - len(whole)) <= 2 * (frames // 64)


def test_no_more_are_kept_than_were_asked_for() -> None:
    video = np.random.default_rng(4).random((150, 60, 80)).astype(np.float32)
    stream = CuboidStream(most=0.2)
    parts = [part for frame in video for part in stream.add(frame)] + list(stream.end())
    assert 25 <= sum(len(values) for _, values in parts) <= 30
