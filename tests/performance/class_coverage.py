"""How often the interval of a class's difference in average precision covers the true one, by simulation.

Run `python -m tests.performance.class_coverage`; docs/statistics.md shows what it prints.
"""

import numpy as np

from benchmark.metrics.arrays import average_precision
from benchmark.metrics.descriptors import Predictions
from benchmark.results.influence import blocks_of, class_areas_without, of_parts_left_out
from benchmark.results.statistics import Paired

PAIRS = 400
_TIMES_LARGER, _LARGE_SETS = 20, 25  # sets that the true difference is taken from


def draw(rng: np.random.Generator, classes: int, sources: int, videos: int, gain: float) -> tuple[np.ndarray, ...]:
    """Scores (2, V) of class 0 by two models, its labels (V,), and sources (V,); both models share what a source is."""
    source = np.repeat(np.arange(classes * sources), videos)
    true = source < sources
    shared = rng.normal(size=classes * sources)[source] + 0.5 * rng.normal(size=len(source))
    own = [rng.normal(size=classes * sources)[source] + rng.normal(size=len(source)) for _ in range(2)]
    return np.stack([shared + own[0] + true * (2 + gain), shared + own[1] + true * 2.0]), true, source


def difference(scores: np.ndarray, true: np.ndarray) -> float:
    """Average precision of the first model less the second's."""
    one, other = (float(average_precision(part[:, None], true[:, None])[0]) for part in scores)
    return one - other


def paired(scores: np.ndarray, true: np.ndarray, source: np.ndarray) -> Paired:
    """As `class_differences` makes it."""
    labels, blocks, influences = np.stack([true, ~true], 1), blocks_of(source), []
    for part in scores:
        known = Predictions(np.stack([part, -part], 1), labels, np.ones((len(true), 1), np.int32))
        without = class_areas_without(known, blocks, np.array([0]))[:, 0]
        influences.append(of_parts_left_out(float(average_precision(known.scores, labels)[0]), without, len(true)))
    return Paired.of(difference(scores, true), influences[0] - influences[1])


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    print("| classes | sources of a class | videos of a source | no difference | 0.2 |")
    for classes, sources, videos in ((6, 7, 5), (6, 18, 5), (16, 6, 2), (30, 7, 4), (16, 18, 2)):
        shares = []
        for gain in (0.0, 1.0):
            large = [draw(rng, classes, _TIMES_LARGER * sources, videos, gain)[:2] for _ in range(_LARGE_SETS)]
            truth = float(np.mean([difference(*each) for each in large])) if gain else 0.0
            ends = [paired(*draw(rng, classes, sources, videos, gain)).interval() for _ in range(PAIRS)]
            shares.append(100 * np.mean([low <= truth <= high for low, high in ends]))
        print(f"| {classes} | {sources} | {videos} | {shares[0]:.1f} | {shares[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
