"""Sizes of test lists, against simulated comparisons on lists of that size."""

import numpy as np
import pytest

from benchmark.results.power import MOST_SOURCES, Disagreement, sources_to_detect, sources_to_equate
from benchmark.results.statistics import Paired
from tests.performance.coverage import draw_hits, draw_sources


def drawn(rng: np.random.Generator, sources: int, shares: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    clusters = draw_sources(sources, rng)
    first, second = draw_hits(np.array(shares), clusters, 0.5, rng, 2, 0.5)
    return first - second, clusters


def test_lists_of_the_size_named_have_the_power_named() -> None:
    """Of 300 comparisons 80% are to succeed; 7 points are three deviations."""
    rng = np.random.default_rng(0)
    models = Disagreement.of_hits(*drawn(rng, 20_000, (0.8, 0.7)))
    assert models.videos_per_source == pytest.approx(5.7, abs=0.1)
    sources = sources_to_detect(models, 0.1)
    told = np.mean([Paired.of_hits(*drawn(rng, sources, (0.8, 0.7))).p_value < 0.05 for _ in range(300)])
    assert told == pytest.approx(0.8, abs=0.07)
    same = Disagreement.of_hits(*drawn(rng, 20_000, (0.75, 0.75)))
    sources = sources_to_equate(same, 0.1)
    shown = np.mean([Paired.of_hits(*drawn(rng, sources, (0.75, 0.75))).equivalence(0.1) < 0.05 for _ in range(300)])
    assert shown == pytest.approx(0.8, abs=0.07)


def test_independent_videos_give_the_textbooks_size() -> None:
    models = Disagreement(0.3, 1, 0)
    expected = (1.959964 + 0.841621) ** 2 * (0.3 - 0.02**2) / 0.02**2
    assert sources_to_detect(models, 0.02) == pytest.approx(expected, rel=0.01)


def test_dependence_is_measured_by_hand() -> None:
    together = Disagreement.of_hits(np.array([1.0, 1, 0, 0, -1, -1, 0, 0]), np.arange(8) // 2)
    assert (together.share, together.videos_per_source, together.dependence) == (0.5, 2, 1)
    apart = Disagreement.of_hits(np.array([1.0, -1, 0, 0]), np.arange(4))
    assert (apart.share, apart.videos_per_source, apart.dependence) == (0.5, 1, 0)


def test_more_of_everything_that_costs() -> None:
    usual = Disagreement(0.2, 5, 0.4)
    assert sources_to_detect(usual, 0.02) > sources_to_detect(usual, 0.03)
    assert sources_to_detect(Disagreement(0.2, 5, 0.8), 0.03) > sources_to_detect(usual, 0.03)
    assert sources_to_detect(usual, 0.03, 0.9) > sources_to_detect(usual, 0.03)
    assert sources_to_detect(usual, 1e-6) == MOST_SOURCES
