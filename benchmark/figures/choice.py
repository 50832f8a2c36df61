"""Which test videos are shown: chosen by a rule, never by hand. Letters: V videos, K classes."""

from collections.abc import Callable

import numpy as np

from benchmark.results.ledger import Ledger

Frames = Callable[[str], np.ndarray | None]
"""Frames of a video by its name, (N, S, S, 3) uint8; None where they cannot be read."""


def random_videos(ledger: Ledger, count: int, seed: int) -> list[int]:
    """Rows of labelled videos that were scored, drawn at random; every order of the ledger gives the same videos."""
    rows = _shown(ledger)
    rows = rows[np.argsort(np.array(ledger.video_ids, object)[rows])]
    drawn = np.random.default_rng(seed).choice(len(rows), min(count, len(rows)), replace=False)
    return [int(rows[place]) for place in drawn]


def best_and_worst(ledger: Ledger, count: int) -> tuple[list[int], list[int]]:
    """Rows of the videos whose best true label has the highest probability, and of those where it has the lowest.

    Args:
        ledger: A test's.
        count: Rows each way at most; no video is in both.
    """
    rows = _shown(ledger)
    order = rows[np.argsort(-_true_probability(ledger, rows), kind="stable")].tolist()
    half = min(count, len(order) // 2)
    return order[: min(count, len(order) - half)], order[::-1][:half]


def most_changed(first: Ledger, second: Ledger, count: int) -> tuple[list[int], list[int]]:
    """Rows in which the first test is most above the second, and those in which it is most below.

    What is compared is the probability of the best-scored true label.

    Args:
        first: Rows as `common_videos` gives them.
        second: The same videos.
        count: Rows each way at most; fewer where fewer differ in that direction.
    """
    rows = np.intersect1d(_shown(first), _shown(second))
    one, other = (_true_probability(ledger, rows) for ledger in (first, second))
    gain = one.astype(np.float64) - other
    order = np.argsort(-gain, kind="stable")
    better = [int(rows[place]) for place in order[:count] if gain[place] > 0]
    worse = [int(rows[place]) for place in order[::-1][:count] if gain[place] < 0]
    return better, worse


def _shown(ledger: Ledger) -> np.ndarray:
    return np.flatnonzero(ledger.scored & ledger.labels.any(1))


def _true_probability(ledger: Ledger, rows: np.ndarray) -> np.ndarray:
    """(V,) the best score of a true label."""
    return np.asarray(np.where(ledger.labels[rows], ledger.scores[rows], -1).max(1))
