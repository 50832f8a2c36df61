import itertools

import numpy as np
import pytest

from benchmark.scale.near import FRAMES, MOST_VIDEOS, near_pairs


def plain(hashes: np.ndarray, least_frames: int) -> dict[tuple[int, int], int]:
    """Pairs by comparing each description with each, in Python's integers."""
    words = [sorted({int(word) for word in line if word}) for line in hashes]
    counts: dict[int, int] = {}
    for word in itertools.chain.from_iterable(words):
        counts[word] = counts.get(word, 0) + 1
    words = [[word for word in line if counts[word] <= MOST_VIDEOS] for line in words]
    found = {}
    for (one, mine), (other, theirs) in itertools.combinations(enumerate(words), 2):
        near = [(a, b) for a in mine for b in theirs if (a ^ b).bit_count() <= 3]
        frames = min(len({a for a, _ in near}), len({b for _, b in near}))
        if frames >= least_frames:
            found[one, other] = frames
    return found


def planted(seed: int, videos: int = 120) -> np.ndarray:
    """Random descriptions, some of them nearly those of another video, some repeated, some empty."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(1, 2**63, (videos, FRAMES), dtype=np.uint64)
    for other in range(0, videos // 2, 3):
        frames = rng.integers(1, FRAMES + 1)
        copied = hashes[other, :frames].copy()
        for _ in range(rng.integers(0, 6)):
            copied ^= np.uint64(1) << rng.integers(0, 64, frames, dtype=np.uint64)
        hashes[videos - 1 - other, rng.permutation(FRAMES)[:frames]] = copied
    hashes[rng.random(hashes.shape) < 0.1] = 0
    hashes[5] = hashes[5, 0]
    return hashes


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("least", [1, 3])
def test_the_pairs_are_those_of_comparing_all(seed: int, least: int) -> None:
    hashes = planted(seed)
    found = near_pairs(hashes, least_frames=least)
    held = dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.frames.tolist(), strict=True))
    assert held == plain(hashes, least)
    assert held


def test_what_too_many_videos_show_says_nothing() -> None:
    hashes = planted(1, MOST_VIDEOS + 40)
    hashes[: MOST_VIDEOS + 1, :4] = np.arange(1, 5, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    found = near_pairs(hashes)
    assert found.stopped == 4
    assert len(found) == len(plain(hashes, 3)) < 100


def test_nothing_and_black_frames_alone() -> None:
    assert len(near_pairs(np.zeros((0, FRAMES), np.uint64))) == 0
    assert len(near_pairs(np.zeros((50, FRAMES), np.uint64))) == 0
