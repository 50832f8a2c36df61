"""What `compare --until 2` saves, by simulation: the table of docs/sequential.md, in a minute.

    python -m tests.performance.sequential

Sources have five videos each, of which each of two networks calls some right that the other calls wrong. Videos of a
source go together: the shares of a source are drawn from a Dirichlet distribution of weight 5.
"""

import numpy as np

from benchmark.commands.until import _looks
from benchmark.results.sequential import stop

VIDEOS, MARGIN, RUNS = 5, 0.02, 40


def population(rng: np.random.Generator, sources: int, apart: float, difference: float) -> np.ndarray:
    """Differences of the sources' Hit@1, (sources,); `apart` is the share of videos that one alone is right on."""
    shares = np.array([(apart + difference) / 2, (apart - difference) / 2, 1 - apart])
    drawn = rng.dirichlet(5 * shares + 1e-9, sources)
    counts = np.array([rng.multinomial(VIDEOS, each / each.sum()) for each in drawn])
    differences: np.ndarray = (counts[:, 0] - counts[:, 1]) / VIDEOS
    return differences


def row(sources: int, apart: float, difference: float) -> str:
    """Mean share of the clips saved, and how often each verdict came, for endless sources and for the list's own."""
    rng, looks = np.random.default_rng([sources, int(1000 * apart), int(1000 * difference)]), np.array(_looks(sources))
    cells = [f"{sources:,}", f"{apart:.0%}", f"{100 * difference:g}"]
    for whole in (None, sources):
        ends = [stop(population(rng, sources, apart, difference), 1.0, whole, MARGIN, looks) for _ in range(RUNS)]
        saved = np.mean([0 if each is None else 1 - each.sources / sources for each in ends])
        said = ["nothing" if each is None else each.verdict for each in ends]
        better, same = (sum(word in each for each in said) / RUNS for word in ("better", "same"))
        cells += [f"{saved:.0%}", f"{better:.0%}", f"{same:.0%}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    head = ("saved", "told apart", "the same")
    of_list = [f"{name}, list" for name in head]
    print(f"| sources | one alone is right on | points apart | {' | '.join([*head, *of_list])} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for sources in (42, 707, 2000, 10_000):
        for apart, difference in (
            (0.1, 0.0),
            (0.1, 0.01),
            (0.1, 0.03),
            (0.1, 0.05),
            (0.2, 0.0),
            (0.2, 0.05),
            (0.2, 0.1),
        ):
            print(row(sources, apart, difference), flush=True)


if __name__ == "__main__":
    main()
