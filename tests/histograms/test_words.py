import numpy as np
import pytest
import torch

from benchmark.histograms.features import DIMENSIONS, FEATURES
from benchmark.histograms.words import NEAREST, Words, cells, histograms, learn_words, sample

Local = dict[str, tuple[np.ndarray, np.ndarray]]


def few_words(seed: int = 0) -> dict[str, Words]:
    source = torch.Generator().manual_seed(seed)
    return {
        feature.name: Words(torch.randn(feature.bins, feature.length, generator=source), 1.5)
        for feature in FEATURES
        if feature.kind == "words"
    }


def some_local(seed: int, count: int = 40) -> Local:
    random = np.random.default_rng(seed)
    local: Local = {}
    for feature in FEATURES:
        values = random.random((4, 240)) if feature.name == "hue_saturation" else random.random((count, feature.length))
        places = random.random((len(values), 2))
        if feature.name == "hue_saturation":
            places = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
        local[feature.name] = places.astype(np.float16), values.astype(np.float16)
    return local


def split(joined: np.ndarray) -> dict[str, np.ndarray]:
    """(cells, bins) of each feature."""
    found, first = {}, 0
    for feature in FEATURES:
        found[feature.name] = joined[first : first + feature.dimensions].reshape(feature.cells, feature.bins)
        first += feature.dimensions
    assert first == len(joined)
    return found


def test_weights_are_gaussians_of_the_distance_to_the_nearest_words() -> None:
    random = np.random.default_rng(0)
    centres, values, spread = random.normal(size=(12, 5)), random.normal(size=(7, 5)), 0.8
    words = Words(torch.from_numpy(centres).float(), spread)
    numbers, weights = words.weights(torch.from_numpy(values).float())
    for value, chosen, given in zip(values, numbers.numpy(), weights.numpy(), strict=True):
        squares = ((centres - value) ** 2).sum(1)
        assert chosen.tolist() == np.argsort(squares)[:NEAREST].tolist()
        expected = np.exp(-squares[chosen] / (2 * spread))
        np.testing.assert_allclose(given, expected / expected.sum(), rtol=1e-4)


def test_words_are_not_counted_in_the_precision_of_a_network() -> None:
    words = few_words()["hog"]
    values = torch.randn(50, 36)
    plain = words.weights(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = words.weights(values)
    assert torch.equal(plain[0], inside[0])
    assert torch.equal(plain[1], inside[1])


def test_every_histogram_adds_up_to_1() -> None:
    joined = histograms(some_local(1), few_words())
    assert joined.shape == (DIMENSIONS,)
    assert joined.dtype == np.float32
    assert (joined >= 0).all()
    for counts in split(joined).values():
        np.testing.assert_allclose(counts.sum(1), 1, atol=1e-4)


def test_a_histogram_of_nothing_is_even() -> None:
    empty: Local = {
        feature.name: (np.empty((0, 2), np.float16), np.empty((0, feature.length), np.float16)) for feature in FEATURES
    }
    for feature, counts in zip(FEATURES, split(histograms(empty, few_words())).values(), strict=True):
        np.testing.assert_allclose(counts, 1 / feature.bins, rtol=1e-6)


def test_words_are_counted_descriptor_by_descriptor() -> None:
    local, words = some_local(2), few_words()
    found = split(histograms(local, words))
    for name in ("hog", "cuboid", "colour_moments"):
        places, values = local[name]
        counts = np.zeros_like(found[name], np.float64)
        for (across, down), value in zip(places.astype(float), values.astype(np.float32), strict=True):
            numbers, weights = words[name].weights(torch.from_numpy(value)[None])
            for cell in (0, 1 + 2 * (down >= 0.5) + (across >= 0.5)):
                np.add.at(counts[cell], numbers[0].numpy(), weights[0].numpy())
        np.testing.assert_allclose(found[name], counts / counts.sum(1, keepdims=True), atol=1e-5)


def test_colours_and_faces_keep_their_own_bins() -> None:
    local = some_local(3)
    found = split(histograms(local, few_words()))
    hues = local["hue_saturation"][1].astype(float)
    np.testing.assert_allclose(found["hue_saturation"][1:], hues / hues.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(found["hue_saturation"][0], hues.sum(0) / hues.sum(), atol=1e-6)
    faces = local["faces"][1].astype(float).sum(0)
    np.testing.assert_allclose(found["faces"][0], faces / faces.sum(), atol=1e-6)


def test_cells_are_the_frame_and_its_quadrants() -> None:
    places = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [1.0, 1.0], [0.5, 0.5]])
    assert [level.tolist() for level in cells(places)] == [[0] * 6, [1, 2, 3, 4, 4, 4]]


def test_planted_clusters_are_found() -> None:
    feature = FEATURES[-2]  # 156 words of 9 numbers
    random = np.random.default_rng(4)
    planted = random.normal(size=(feature.bins, feature.length)) * 50
    drawn = planted[random.integers(0, feature.bins, 20_000)] + random.normal(size=(20_000, feature.length)) * 0.1
    words = learn_words(feature, drawn.astype(np.float32), seed=0)
    nearest = np.linalg.norm(planted[:, None] - words.centres.numpy()[None], axis=2).min(1)
    assert (nearest < 0.5).mean() > 0.8
    again = learn_words(feature, drawn.astype(np.float32), seed=0)
    assert torch.equal(words.centres, again.centres)
    squares = ((drawn[:500, None] - words.centres.numpy()[None]) ** 2).sum(2).min(1)
    assert words.spread == pytest.approx(squares.mean(), rel=0.6)


def test_of_too_few_descriptors_each_is_a_word() -> None:
    feature = FEATURES[0]
    values = np.random.default_rng(5).random((3, feature.length)).astype(np.float32)
    words = learn_words(feature, values, seed=0)
    assert words.centres.shape == (feature.bins, feature.length)
    assert {tuple(row) for row in words.centres.tolist()} == {tuple(row) for row in torch.from_numpy(values).tolist()}
    none = learn_words(feature, np.empty((0, feature.length), np.float32), seed=0)
    assert not none.centres.any()


def test_a_sample_takes_as_many_of_each_video() -> None:
    parts = [np.full((count, 2), number, np.float16) for number, count in enumerate((100, 3, 50))]
    drawn = sample(iter(parts), 3, seed=0, most=30)
    assert np.bincount(drawn[:, 0].astype(int)).tolist() == [10, 3, 10]
