"""Error rates of the sequential comparison over all stopping times, and what it saves, by simulation."""

import numpy as np
import pytest

from benchmark.results.sequential import LEVEL, fortune, stop

BOUND = 1.5
RUNS = 400
UPPER = LEVEL + 2.6 * np.sqrt(LEVEL * (1 - LEVEL) / RUNS)
"""What an error rate of LEVEL exceeds in one of 200 simulations."""


def population(rng: np.random.Generator, sources: int, spread: float, mean: float) -> np.ndarray:
    """Differences of sources, multiples of 1/5 as of five videos each but for a shift to the mean wanted."""
    values = rng.choice([-1, -0.4, -0.2, 0, 0.2, 0.4, 1], sources, p=[spread / 6] * 3 + [1 - spread] + [spread / 6] * 3)
    shifted: np.ndarray = values - values.mean() + mean
    return shifted


def verdicts(mean: float, spread: float, endless: bool, sources: int = 150, margin: float = 0.05) -> list[str]:
    """Of the sources of a list of exactly that mean, or of as many drawn from it again and again."""
    rng = np.random.default_rng([sources, int(1000 * abs(mean)), mean < 0, int(1000 * spread)])
    found: list[str] = []
    for _ in range(RUNS):
        whole = population(rng, sources, spread, mean)
        assert whole.mean() == pytest.approx(mean, abs=1e-9)
        assert np.abs(whole).max() <= BOUND
        drawn = rng.choice(whole, 2 * sources) if endless else rng.permutation(whole)
        ended = stop(drawn, BOUND, None if endless else sources, margin)
        found.append("nothing" if ended is None else ended.verdict)
    return found


@pytest.mark.parametrize("endless", [False, True])
@pytest.mark.parametrize("spread", [0.05, 0.3, 0.9])
def test_networks_that_are_the_same_are_told_apart_no_more_often_than_said(spread: float, endless: bool) -> None:
    """Looked at after every source, and stopped whenever that suits."""
    found = verdicts(0.0, spread, endless)
    assert sum("better" in each for each in found) <= UPPER * RUNS


@pytest.mark.parametrize("endless", [False, True])
@pytest.mark.parametrize("spread", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("mean", [0.0501, -0.0501])
def test_networks_beyond_the_margin_are_called_the_same_no_more_often_than_said(
    mean: float, spread: float, endless: bool
) -> None:
    found = verdicts(mean, spread, endless)
    assert sum(each == "the same" for each in found) <= UPPER * RUNS
    wrong = "the second is better" if mean > 0 else "the first is better"
    assert sum(each == wrong for each in found) <= UPPER * RUNS


@pytest.mark.parametrize("population", [40, None])
def test_a_fortune_is_the_product_of_its_bets(population: int | None) -> None:
    """Against a plain loop over bets and sources."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, 12)
    found = fortune(values, 1.0, population, 0.1)
    expected = np.zeros(12)
    bets = [0.01 * (90 ** (n / 23)) for n in range(24)]
    for bet in bets:
        held = 1.0
        for place, value in enumerate(values):
            left = 0.1 if population is None else (40 * 0.1 - sum(values[:place])) / (40 - place)
            held *= 1 - min(bet, 0.99 / (1 - left)) * (value - left)
            expected[place] += held / 24
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.2])
def test_a_fortune_has_no_expectation_above_one_under_its_hypothesis(mean: float) -> None:
    rng = np.random.default_rng(1)
    whole = population(rng, 60, 0.8, mean)
    held = np.array([fortune(rng.permutation(whole), BOUND, 60, mean)[29] for _ in range(4000)])
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


def test_half_is_saved_on_a_test_list_of_four_thousand_sources() -> None:
    """Networks that differ on a tenth of the sources: those 5 points apart, and those that are the same within 2."""
    rng = np.random.default_rng(5)
    for mean, verdict in ((0.05, "the first is better"), (0.0, "the same")):
        ended = [stop(rng.choice(population(rng, 4000, 0.1, mean), 4000), BOUND, None, 0.02) for _ in range(10)]
        assert np.mean([4000 if each is None else each.sources for each in ended]) < 2000
        assert sum(each is not None and each.verdict == verdict for each in ended) >= 9
