"""Two models on growing random sets of sources, until they are told apart or shown to be the same: when one may stop.

A test that is looked at again and again finds a difference sooner or later where there is none. Here the error rate
holds over all looks together. Differences of sources are bounded, so each hypothesis about their mean is a bet: against
"the mean is at least m", a fortune is multiplied by 1 - bet * (x - m) with every source. Under the hypothesis the
fortune is a supermartingale, and grows beyond 1 / level with a probability of at most the level (Ville), whenever one
looks. The fortunes of several bets are averaged, which is one again, so that none has to be chosen beforehand.

The mean is that of endless sources like these, as in all of this suite's statistics, or that of the test list alone,
from which they are drawn without replacement; m is then what the sources not drawn yet must have.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal Statistical
Society B 86 (2024), sections 4 and 5.

Letters: S sources, in the order in which they were drawn; J bets.
"""

import dataclasses
from typing import Literal

import numpy as np

Verdict = Literal["the first is better", "the second is better", "the same"]

LEVEL = 0.05
_LARGEST = 700.0  # logarithm of a fortune that float64 can hold
_BETS = np.geomspace(0.01, 0.9, 24)  # of the largest bet that can be lost without ruin


@dataclasses.dataclass(frozen=True)
class Stop:
    """Where a sequential comparison ends.

    Args:
        sources: Sources looked at by then.
        verdict: What was shown.
        mean: Of the differences of these sources, -1 to 1.
    """

    sources: int
    verdict: Verdict
    mean: float


def stop(
    differences: np.ndarray, bound: float, population: int | None, margin: float, looks: np.ndarray | None = None
) -> Stop | None:
    """The first look at which the mean of all sources is told from 0, or shown to be within the margin.

    Args:
        differences: (S,) floating point, in the order drawn.
        bound: Largest size that any may have.
        population: Sources there are, at least S; None for endless ones.
        margin: Size of a mean that still counts as the same, above 0.
        looks: Numbers of sources at which to look, ascending; None looks after each.

    Returns:
        The stop, or None where more sources are needed.
    """
    high = {mean: fortune(differences, bound, population, mean) for mean in (0.0, margin)}  # against "at least"
    low = {mean: fortune(-differences, bound, population, mean) for mean in (0.0, margin)}  # against "at most -mean"
    shown: dict[Verdict, np.ndarray] = {
        # Both have to be shown, so that each may take the whole level.
        "the same": np.minimum(*(np.maximum.accumulate(side[margin]) for side in (high, low))) >= 1 / LEVEL,
        "the first is better": low[0.0] >= 2 / LEVEL,
        "the second is better": high[0.0] >= 2 / LEVEL,
    }
    for look in np.arange(1, len(differences) + 1) if looks is None else looks[looks <= len(differences)]:
        for verdict, fortunes in shown.items():
            if fortunes[:look].any():
                return Stop(int(look), verdict, float(differences[:look].mean()))
    return None


def fortune(differences: np.ndarray, bound: float, population: int | None, mean: float) -> np.ndarray:
    """What a bet against "the mean of all sources is `mean` or more" has come to after each source, (S,) float64.

    It is infinite from where on the hypothesis cannot be true any more.

    Args:
        differences: (S,) floating point, each from -bound to bound.
        bound: Largest size.
        population: Sources there are; None for endless ones.
        mean: The least mean under the hypothesis.
    """
    sums, drawn = np.cumsum(differences), np.arange(1, len(differences) + 1)
    # What is left after each has this mean if all have `mean`, and a higher one if they have more.
    after = np.full(len(differences), mean)
    if population is not None:
        after = (population * mean - sums) / np.maximum(population - drawn, 1)
    left = np.concatenate([[mean], after[:-1]])
    is_impossible = np.maximum.accumulate(left > bound + 1e-9)
    # A difference is at most 2 * bound, or bound - left, above what is expected.
    largest = 1 / np.maximum(bound - left, 1e-9)
    bets = np.minimum(_BETS[:, None] / bound, 0.99 * largest)  # (J, S); known before each source is
    growth = np.log1p(-np.where(is_impossible, 0.0, bets * (differences - left)))
    found = np.exp(np.minimum(np.logaddexp.reduce(np.cumsum(growth, 1), 0) - np.log(len(_BETS)), _LARGEST))
    is_ruled_out = is_impossible | (after > bound + 1e-9)
    if population is not None:
        is_ruled_out |= (drawn == population) & (sums < population * mean - 1e-9)
    return np.where(np.maximum.accumulate(is_ruled_out), np.inf, found)
