"""Two models on growing random sets of sources, until they are told apart or shown to be the same: when one may stop.

A test that is looked at again and again finds a difference sooner or later where there is none. Here the error rate holds
over all looks together. Differences of sources are bounded and drawn without replacement from the sources of the test
list, so each hypothesis about their mean is a bet: against "the mean is at least m", a fortune is multiplied by
1 - bet * (x - m'), where m' is the largest mean that the sources not drawn yet could have under it. Under the hypothesis
the fortune is a supermartingale, and grows beyond 1 / level with a probability of at most the level (Ville), whenever one
looks. The fortunes of several bets are averaged, which is one again, so that none has to be chosen beforehand.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal Statistical
Society B 86 (2024), sections 4 and 5. What is decided is what the whole test list would show; whether it holds for other
sources is the test over sources that `compare` makes of whole tests.

Letters: S sources, in the order in which they were drawn; J bets.
"""

import dataclasses
from typing import Literal

import numpy as np

Verdict = Literal["the first is better", "the second is better", "the same"]

LEVEL = 0.05
_BETS = np.geomspace(0.01, 0.9, 24)  # of the largest bet that can be lost without ruin


@dataclasses.dataclass(frozen=True)
class Stop:
    """Where a sequential comparison ends.

    Args:
        sources: Sources looked at by then.
        verdict: What was shown; None if all were looked at and nothing was.
        mean: Of the differences of these sources, -1 to 1.
    """

    sources: int
    verdict: Verdict | None
    mean: float


def stop(
    differences: np.ndarray, bound: float, population: int, margin: float, looks: np.ndarray | None = None
) -> Stop | None:
    """The first look at which the mean over all sources is told from 0, or shown to be within the margin.

    Args:
        differences: (S,) floating point, in the order drawn; those of `population` sources have the mean in question.
        bound: Largest size that any may have.
        population: Sources there are, at least S.
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
    if len(differences) < population:
        return None
    return Stop(population, None, float(differences.mean()))


def fortune(differences: np.ndarray, bound: float, population: int, mean: float) -> np.ndarray:
    """What a bet against "the mean of all sources is `mean` or more" has come to after each source, (S,) float64.

    It is infinite from where on the hypothesis cannot be true any more.

    Args:
        differences: (S,) floating point, each from -bound to bound.
        bound: Largest size.
        population: Sources there are.
        mean: The least mean under the hypothesis.
    """
    drawn = np.arange(len(differences))
    before = np.concatenate([[0.0], np.cumsum(differences)[:-1]])
    # What is drawn next has this mean if the whole has `mean`; above it, if the whole has more.
    left = (population * mean - before) / np.maximum(population - drawn, 1)
    is_impossible = np.maximum.accumulate(left > bound + 1e-9)
    # A difference is at most 2 * bound, or bound - left, above what is expected.
    largest = 1 / np.maximum(bound - left, 1e-9)
    bets = np.minimum(_BETS[:, None] / bound, 0.99 * largest)  # (J, S); known before each source is
    growth = np.log1p(-np.where(is_impossible, 0.0, bets * (differences - left)))
    found = np.exp(np.logaddexp.reduce(np.cumsum(growth, 1), 0) - np.log(len(_BETS)))
    after = (population * mean - np.cumsum(differences)) / np.maximum(population - drawn - 1, 1)
    ends = (drawn + 1 == population) & (np.cumsum(differences) < population * mean - 1e-9)
    is_ruled_out = is_impossible | (after > bound + 1e-9) | ends
    return np.where(np.maximum.accumulate(is_ruled_out), np.inf, found)
