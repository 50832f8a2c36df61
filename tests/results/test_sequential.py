"""Error rates of the sequential comparison over all stopping times, and what it saves, by simulation."""

import numpy as np
import pytest

from benchmark.results.sequential import LEVEL, Verdict, fortune, stop

RUNS = 400
UPPER = LEVEL + 2.6 * np.sqrt(LEVEL * (1 - LEVEL) / RUNS)
"""What an error rate of LEVEL exceeds in one of 200 simulations."""


def population(rng: np.random.Generator, sources: int, spread: float, mean: float) -> np.ndarray:
    """Differences of sources, multiples of 1/5 as of five videos each but for a shift to the mean wanted."""
    values = rng.choice([-1, -0.4, -0.2, 0, 0.2, 0.4, 1], sources, p=[spread / 6] * 3 + [1 - spread] + [spread / 6] * 3)
    return np.clip(values - values.mean() + mean, -1.2, 1.2)


def verdicts(mean: float, spread: float, sources: int = 150, margin: float = 0.05) -> list[Verdict | None]:
    rng = np.random.default_rng([sources, int(1000 * abs(mean)), mean < 0, int(1000 * spread)])
    found = []
    for _ in range(RUNS):
        whole = population(rng, sources, spread, mean)
        assert whole.mean() == pytest.approx(mean, abs=1e-9)
        ended = stop(rng.permutation(whole), 1.2, sources, margin)
        assert ended is not None
        found.append(ended.verdict)
    return found


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.9])
def test_networks_that_are_the_same_are_told_apart_no_more_often_than_said(spread: float) -> None:
    """Looked at after every source, and stopped whenever that suits."""
    found = verdicts(0.0, spread)
    assert sum(each not in {"the same", None} for each in found) <= UPPER * RUNS


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("mean", [0.0501, -0.0501])
def test_networks_beyond_the_margin_are_called_the_same_no_more_often_than_said(mean: float, spread: float) -> None:
    found = verdicts(mean, spread)
    assert sum(each == "the same" for each in found) <= UPPER * RUNS
    wrong = "the second is better" if mean > 0 else "the first is better"
    assert sum(each == wrong for each in found) <= UPPER * RUNS


def test_a_fortune_is_the_product_of_its_bets() -> None:
    """Against a plain loop over bets and sources."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, 12)
    found = fortune(values, 1.0, 40, 0.1)
    expected = np.zeros(12)
    bets = [0.01 * (90 ** (n / 23)) for n in range(24)]
    for bet in bets:
        held = 1.0
        for place, value in enumerate(values):
            left = (40 * 0.1 - sum(values[:place])) / (40 - place)
            held *= 1 - min(bet, 0.99 / (1 - left)) * (value - left)
            expected[place] += held / 24
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.2])
def test_a_fortune_has_no_expectation_above_one_under_its_hypothesis(mean: float) -> None:
    rng = np.random.default_rng(1)
    whole = population(rng, 60, 0.8, mean)
    held = np.array([fortune(rng.permutation(whole), 1.2, 60, mean)[29] for _ in range(4000)])
    assert held.mean() <= 1 + 3 * held.std() / np.sqrt(len(held))


def test_what_is_known_for_certain_ends_it() -> None:
    """All sources but one say so, and whatever the last says changes nothing; then all of them."""
    same = np.zeros(100)
    ended = stop(same, 1.0, 100, 0.02)
    assert ended is not None
    assert ended.verdict == "the same"
    assert ended.sources < 100
    better = np.full(10, 0.5)
    ended = stop(better, 1.0, 10, 0.02)
    assert ended is not None
    assert ended.verdict == "the first is better"
    ended = stop(-better, 1.0, 10, 0.02)
    assert ended is not None
    assert ended.verdict == "the second is better"


def test_too_few_sources_decide_nothing_and_looks_are_kept_to() -> None:
    values = np.full(200, 0.3)
    assert stop(values[:3], 1.0, 200, 0.02) is None
    ended, later = stop(values, 1.0, 200, 0.02), stop(values, 1.0, 200, 0.02, np.array([150, 200]))
    assert ended is not None
    assert later is not None
    assert ended.sources < later.sources == 150


def test_half_is_saved_on_a_test_list_of_two_thousand_sources() -> None:
    """Networks that differ on 5 to 10% of videos: those 5 points apart, and those that are the same within 2."""
    rng = np.random.default_rng(5)
    for mean, verdict in ((0.05, "the first is better"), (0.0, "the same")):
        ended = [stop(rng.permutation(population(rng, 2000, 0.1, mean)), 1.2, 2000, 0.02) for _ in range(20)]
        assert np.mean([each.sources for each in ended if each is not None]) < 1000
        assert sum(each is not None and each.verdict == verdict for each in ended) >= 18
