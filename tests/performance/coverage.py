"""Simulated coverage of the intervals and error rates of the tests and ranks: what docs/statistics.md reports.

python -m tests.performance.coverage [hits] [map] [pairs] [boards] [ledgers] [--repeats 2000]

Videos come in sources of 4 to 7. A video is right if a normal number exceeds a threshold; part of its variance is
shared by the videos of a source ("correlation"), and part of that, for pairs and boards, by all models. Everything is
drawn from fixed seeds.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy import stats

from benchmark.leaderboard.ranking import LEVEL as RANK_LEVEL
from benchmark.metrics.arrays import average_precision, ranks
from benchmark.metrics.descriptors import Predictions
from benchmark.results.influence import Influence, average_precision_without, blocks_of, of_parts_left_out, of_share
from benchmark.results.ledger import Ledger
from benchmark.results.statistics import LEVEL, Paired, exchange_p_value, interval

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
SHARES = (0.5, 0.75, 0.95, 0.99, 1.0)
GROUPS = (10, 21, 96)
CORRELATIONS = (0.0, 0.5, 0.8)
REPLICATES = 300  # of the bootstrap that is shown beside


def draw_sources(groups: int, rng: np.random.Generator) -> np.ndarray:
    """(V,) int64: the source of each video, 4 to 7 videos a source."""
    return np.repeat(np.arange(groups), rng.integers(4, 8, groups))


def draw_hits(
    share: float | np.ndarray,
    clusters: np.ndarray,
    correlation: float,
    rng: np.random.Generator,
    models: int = 1,
    common: float = 0.0,
) -> np.ndarray:
    """(models, V) float64 hits of models that are right on a share of the videos, `common` of their luck shared."""

    def luck(size: int) -> np.ndarray:
        own = rng.normal(size=(models, size))
        return np.asarray(np.sqrt(common) * rng.normal(size=size) + np.sqrt(1 - common) * own)

    source, video = luck(int(clusters.max()) + 1)[:, clusters], luck(len(clusters))
    threshold = stats.norm.ppf(share)
    drawn = np.sqrt(correlation) * source + np.sqrt(1 - correlation) * video
    return np.asarray(drawn < np.reshape(threshold, (-1, 1)), np.float64)


def bootstrap(hits: np.ndarray, clusters: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The percentile interval over resampled sources, as records had it before."""
    sums, sizes = np.bincount(clusters, hits), np.bincount(clusters)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), REPLICATES)
    low, high = np.quantile((drawn @ sums) / (drawn @ sizes), [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def cover_hits(repeats: int) -> Iterator[tuple[str, ...]]:
    """Coverage of intervals of Hit@1: percentile bootstrap, today's, and today's mean width."""
    yield "sources", "correlation", "Hit@1", "bootstrap %", "now %", "width", "always holds its value"
    for groups in GROUPS:
        for correlation in CORRELATIONS:
            for share in SHARES:
                rng = np.random.default_rng(0)
                old, new, width, holds = 0, 0, 0.0, True
                for _ in range(repeats):
                    clusters = draw_sources(groups, rng)
                    hits = draw_hits(share, clusters, correlation, rng)[0]
                    low, high = interval(hits.mean(), of_share(hits, np.ones(len(hits)), clusters))
                    new, width = new + (low <= share <= high), width + high - low
                    holds &= bool(low <= hits.mean() <= high and low < high)
                    low, high = bootstrap(hits, clusters, rng)
                    old += low <= share <= high
                cells = (
                    ("none", "", "")
                    if groups < 11
                    else (f"{100 * new / repeats:.1f}", f"{width / repeats:.3f}", str(holds))
                )
                yield str(groups), f"{correlation}", f"{share}", f"{100 * old / repeats:.1f}", *cells


def draw_scores(groups: int, classes: int, signal: float, rng: np.random.Generator) -> tuple[Predictions, np.ndarray]:
    """Class probabilities in which the true class stands out by a signal, half of the noise shared by a source."""
    clusters = draw_sources(groups, rng)
    true = clusters % classes
    noise = rng.normal(size=(groups, classes))[clusters] + rng.normal(size=(len(clusters), classes))
    odds = np.exp(noise / np.sqrt(2) + signal * np.eye(classes)[true])
    scores = (odds / odds.sum(1, keepdims=True)).astype(np.float32)
    return Predictions(scores, np.eye(classes, dtype=bool)[true], np.ones((len(true), 1), np.int32)), clusters


def mean_precision(known: Predictions) -> float:
    """Mean average precision."""
    return float(np.nanmean(average_precision(known.scores, known.labels)))


def influence_on_map(known: Predictions, value: float, clusters: np.ndarray) -> Influence:
    """As `summarise` works it out."""
    return of_parts_left_out(value, average_precision_without(known, blocks_of(clusters))["map"], len(known))


def cover_map(repeats: int) -> Iterator[tuple[str, ...]]:
    """Coverage of the mean of test sets of this size, and of one without end."""
    yield "sources", "classes", "signal", "mean mAP", "endless mAP", "covers mean %", "covers endless %", "width"
    for groups, classes in ((21, 3), (42, 6), (96, 16)):
        for signal in (0.5, 1.5, 3.0):
            rng = np.random.default_rng(0)
            endless = mean_precision(draw_scores(200 * classes * 7, classes, signal, rng)[0])
            found = []
            for _ in range(max(1, repeats // 4)):
                known, clusters = draw_scores(groups, classes, signal, rng)
                value = mean_precision(known)
                found.append((value, *interval(value, influence_on_map(known, value, clusters))))
            value, low, high = np.array(found).T
            covered = [100 * ((low <= truth) & (truth <= high)).mean() for truth in (value.mean(), endless)]
            yield (
                *(str(groups), str(classes), f"{signal}", f"{value.mean():.3f}", f"{endless:.3f}"),
                *(f"{part:.1f}" for part in covered),
                f"{(high - low).mean():.3f}",
            )


def cover_pairs(repeats: int) -> Iterator[tuple[str, ...]]:
    """Null pairs told apart, intervals of a true difference, and how often test and interval disagree."""
    yield (
        "sources",
        "correlation",
        "Hit@1",
        "null, bootstrap %",
        "null told apart %",
        "covers 5 points %",
        "test and interval disagree",
    )
    for groups in (21, 42, 96):
        for correlation in CORRELATIONS:
            for share in (0.5, 0.75, 0.9):
                rng = np.random.default_rng(0)
                told, before, covered, odd = 0, 0, 0, 0
                for _ in range(repeats):
                    clusters = draw_sources(groups, rng)
                    for difference in (0.0, 0.05):
                        shares = np.array([share + difference, share])
                        first, second = draw_hits(shares, clusters, correlation, rng, 2, 0.5)
                        found = Paired.of_hits(first - second, clusters)
                        low, high = found.interval()
                        odd += (found.p_value < LEVEL) != (low > 0 or high < 0)
                        if difference:
                            covered += low <= difference <= high
                        else:
                            told += found.p_value < LEVEL
                            low, high = bootstrap(first - second, clusters, rng)
                            before += low > 0 or high < 0
                cells = (*(f"{100 * count / repeats:.1f}" for count in (before, told, covered)), str(odd))
                yield str(groups), f"{correlation}", f"{share}", *cells


def err_boards(repeats: int) -> Iterator[tuple[str, ...]]:
    """Boards of equal entries on which some pair is told apart."""
    yield "sources", "Hit@1", "entries", "a false order %"
    for groups in (21, 42, 96):
        for share in (0.75, 0.95):
            rng = np.random.default_rng(0)
            wrong = dict.fromkeys((2, 5, 10, 15), 0)
            for _ in range(max(1, repeats // 10)):
                clusters = draw_sources(groups, rng)
                hits = draw_hits(share, clusters, 0.5, rng, 15, 0.5)
                told = told_apart(hits, clusters)
                for entries in wrong:
                    wrong[entries] += any(other < entries for other in told)
            for entries, count in wrong.items():
                yield str(groups), f"{share}", str(entries), f"{100 * count / max(1, repeats // 10):.1f}"


def err_ledgers(repeats: int) -> Iterator[tuple[str, ...]]:
    """The same with the committed ledgers: each drawn source's results are dealt out to the entries at random."""
    yield "board", "sources", "entries", "a false order %"
    for board in ("ucf-101/fold1-6classes-21ac35", "ucf-101/fold3-3classes-cd5db4", "syntheticactions-v2/fold1"):
        ledgers = [Ledger.read(path) for path in sorted((LEADERBOARDS / board).glob("*/ledger.parquet"))]
        held = np.stack([ranks(ledger.scores, ledger.labels) == 1 for ledger in ledgers]).astype(np.float64)
        members = [np.flatnonzero(ledgers[0].clusters() == source) for source in range(ledgers[0].clusters().max() + 1)]
        rng = np.random.default_rng(0)
        wrong = dict.fromkeys((2, 5, 10, 15), 0)
        for _ in range(max(1, repeats // 10)):
            drawn = [members[source] for source in rng.integers(0, len(members), len(members))]
            clusters = np.repeat(np.arange(len(drawn)), [len(videos) for videos in drawn])
            dealt = [rng.permutation(np.resize(rng.permutation(len(held)), 15)) for _ in drawn]
            hits = np.concatenate([held[entries][:, videos] for entries, videos in zip(dealt, drawn, strict=True)], 1)
            told = told_apart(hits, clusters)
            for entries in wrong:
                wrong[entries] += any(other < entries for other in told)
        for entries, count in wrong.items():
            yield board, str(len(members)), str(entries), f"{100 * count / max(1, repeats // 10):.1f}"


def told_apart(hits: np.ndarray, clusters: np.ndarray) -> list[int]:
    """The entries that are told apart from one before them, as ranks do it."""
    return [
        other
        for other in range(len(hits))
        if any(exchange_p_value(hits[one] - hits[other], clusters) < RANK_LEVEL for one in range(other))
    ]


PARTS: dict[str, Callable[[int], Iterator[tuple[str, ...]]]] = {
    "hits": cover_hits,
    "map": cover_map,
    "pairs": cover_pairs,
    "boards": err_boards,
    "ledgers": err_ledgers,
}


def main() -> None:
    """Print the tables that were asked for, or all of them, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=2000)
    chosen = parser.parse_args()
    for name in chosen.parts or PARTS:
        print(f"\n{PARTS[name].__doc__}\n")
        for number, row in enumerate(PARTS[name](chosen.repeats)):
            print("| " + " | ".join(row) + " |", flush=True)
            if not number:
                print("|" + " --: |" * len(row))


if __name__ == "__main__":
    main()
