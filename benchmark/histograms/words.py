"""Visual words: learned by k-means on descriptors of training videos, and counted softly in a spatial pyramid.

Letters: n descriptors, D numbers of one, W words, C cells of the pyramid, F numbers that describe a video.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.histograms.features import DIMENSIONS, FEATURES, PYRAMID, Feature

NEAREST = 4
"""Words that a descriptor is shared between; the others would each get next to nothing of it."""

SAMPLED = 100_000
"""Descriptors of a feature that words are learned from, the same number of each video."""

_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of one feature.

    Args:
        centres: (W, D) float32.
        spread: Mean squared distance of a descriptor from its nearest word.
    """

    centres: Tensor
    spread: float

    def weights(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """How descriptors are shared between their nearest words (van Gemert et al., 2010, word uncertainty).

        Args:
            values: (n, D) float32.

        Returns:
            Numbers of the words (n, 4) int64, the nearest first, and weights (n, 4) float32 that add up to 1: Gaussians
            of the distance.
        """
        with torch.autocast("cpu", enabled=False):  # a test may load its videos within the network's precision
            squares = torch.addmm((self.centres**2).sum(1), values, self.centres.T, alpha=-2)  # less a term of its own
        nearest, numbers = squares.topk(min(NEAREST, len(self.centres)), dim=1, largest=False)
        away = nearest - nearest[:, :1]
        return numbers, (-away / (2 * max(self.spread, 1e-12))).softmax(1)


def sample(parts: Iterable[np.ndarray], videos: int, seed: int, most: int = SAMPLED) -> np.ndarray:
    """Descriptors drawn from those of each video, (n, D) float32.

    Args:
        parts: Descriptors (n, D) of one video after the other.
        videos: How many there are.
        seed: Of the draw.
        most: Of all videos together.
    """
    share = max(1, most // max(1, videos))
    drawn = []
    for number, values in enumerate(parts):
        chosen = np.random.default_rng([seed, number]).permutation(len(values))[:share]
        drawn.append(values[np.sort(chosen)].astype(np.float32))
    return np.concatenate(drawn)


def learn_words(feature: Feature, descriptors: np.ndarray, seed: int) -> Words:
    """Words of a feature.

    Args:
        feature: Which.
        descriptors: (n, D) float32, of training videos alone. Where there are fewer than words, each of them is a word,
            some of them several times; where there are none, the words are 0.
        seed: Of k-means.
    """
    from sklearn.cluster import MiniBatchKMeans

    if len(descriptors) <= feature.bins:
        padded = np.zeros((1, feature.length), np.float32) if not len(descriptors) else descriptors
        return Words(torch.from_numpy(np.resize(padded, (feature.bins, feature.length)).astype(np.float32)), 0.0)
    means = MiniBatchKMeans(feature.bins, batch_size=4096, max_iter=50, n_init=1, random_state=seed)
    centres = torch.from_numpy(means.fit(descriptors).cluster_centers_.astype(np.float32))
    return Words(centres, _spread(torch.from_numpy(descriptors), centres))


def _spread(descriptors: Tensor, centres: Tensor) -> float:
    nearest = [torch.cdist(part, centres).min(1).values ** 2 for part in torch.split(descriptors, _AT_ONCE)]
    return float(torch.cat(nearest).mean())


def histograms(local: Mapping[str, tuple[np.ndarray, np.ndarray]], words: Mapping[str, Words]) -> np.ndarray:
    """What describes a video: the histograms of all features, one after the other.

    Args:
        local: By feature places (n, 2), across and down from 0 to 1, and values (n, D).
        words: By feature, of those that have words.

    Returns:
        (25,000,) float32. Each histogram adds up to 1; one in which nothing was counted is even.
    """
    parts = []
    for feature in FEATURES:
        places, values = local[feature.name]
        if feature.kind == "words":
            counts = _count_words(feature, places, torch.from_numpy(values.astype(np.float32)), words[feature.name])
        elif feature.cells == 1:
            counts = values.astype(np.float64).sum(0, keepdims=True)
        else:
            counts = np.zeros((feature.cells, feature.bins))
            for level in cells(places):
                np.add.at(counts, level, values.astype(np.float64))
        sums = counts.sum(1, keepdims=True)
        parts.append(np.where(sums > 0, counts / np.where(sums > 0, sums, 1), 1 / feature.bins).ravel())
    joined = np.concatenate(parts).astype(np.float32)
    if joined.shape != (DIMENSIONS,):
        raise ValueError(f"the features have {joined.shape} numbers; expected ({DIMENSIONS},)")
    return joined


def cells(places: np.ndarray) -> list[np.ndarray]:
    """Cells of the pyramid that places lie in, (n,) int64 for each level: the frame, then the quadrants row by row."""
    found, first = [], 0
    for side in PYRAMID:
        column, row = np.clip((places.astype(np.float64) * side).astype(np.int64), 0, side - 1).reshape(-1, 2).T
        found.append(first + row * side + column)
        first += side**2
    return found


def _count_words(feature: Feature, places: np.ndarray, values: Tensor, words: Words) -> np.ndarray:
    """Weights of each word in each cell, (C, W) float64."""
    counts = np.zeros(feature.cells * feature.bins)
    levels: Sequence[np.ndarray] = cells(places)
    for first in range(0, len(values), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        numbers, weights = (each.numpy() for each in words.weights(values[part]))
        for level in levels:
            place = level[part, None] * feature.bins + numbers
            counts += np.bincount(place.ravel(), weights.ravel(), len(counts))
    return counts.reshape(feature.cells, feature.bins)
