"""Says before a run how many videos and sources it takes to tell a difference from chance."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.command_line import Parser
from benchmark.commands.text import aligned, json_instead
from benchmark.errors import UserError, printable
from benchmark.metrics.arrays import ranks
from benchmark.results.comparison import common_videos
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.power import MOST_SOURCES, Disagreement, sources_to_detect, sources_to_equate
from benchmark.wording import counted


def power(
    difference: float,
    like: Sequence[Path] | None = None,
    disagreement: float = 20.0,
    videos_per_source: float = 5.0,
    dependence: float = 0.4,
    probability: float = 80.0,
    content: dict[str, Any] | None = None,
) -> int:
    """Print how many sources and videos a comparison needs.

    Args:
        difference: Points of video Hit@1 that are to be shown.
        like: Two ledgers, or folders of tests, of the same videos, which differ as the models of the run will.
        disagreement: Percent of the videos on which just one of the models is right, without such ledgers.
        videos_per_source: Videos cut from one source, without such ledgers.
        dependence: Correlation of the models' difference within a source, 0 to 1, without such ledgers.
        probability: Percent of such comparisons that are to succeed.
        content: Receives the numbers.

    Returns:
        0.

    Raises:
        UserError: If an option is out of its range, or the ledgers cannot be compared.
    """
    models = _measured(like) if like else Disagreement(disagreement / 100, videos_per_source, dependence)
    for option, value, low, high in (
        ("difference", difference, 0, 100),
        ("disagreement", 100 * models.share, 0, 100),
        ("probability", probability, 50, 100),
    ):
        if not low < value < high:
            raise UserError(f"--{option} is {value:g}; it must be more than {low} and less than {high} percent")
    if not 1 <= models.videos_per_source < math.inf or not 0 <= models.dependence <= 1:
        raise UserError(
            f"--videos_per_source is {models.videos_per_source:g} and --dependence is {models.dependence:g}; "
            "the first must be 1 or more, the second from 0 to 1"
        )
    if difference > 100 * models.share:
        raise UserError(
            f"--difference is {difference:g} points, but models that disagree on {100 * models.share:.1f}% of the "
            "videos cannot differ by more than that; ask for less, or give a larger --disagreement"
        )
    print(
        f"two models of which just one is right on {100 * models.share:.1f}% of the videos, "
        f"{models.videos_per_source:.1f} videos a source, whose differences correlate by {models.dependence:.2f}"
    )
    sizes = (
        sources_to_detect(models, difference / 100, probability / 100),
        sources_to_equate(models, difference / 100, probability / 100),
    )
    goals = f"tell a difference of {difference:g} points apart", f"show them the same within {difference:g} points"
    rows = [[goal, *_cells(size, models)] for goal, size in zip(goals, sizes, strict=True)]
    if content is not None:
        content |= {
            "disagreement": models,
            "tell_apart": {"sources": sizes[0], "videos": math.ceil(sizes[0] * models.videos_per_source)},
            "show_the_same": {"sources": sizes[1], "videos": math.ceil(sizes[1] * models.videos_per_source)},
        }
    print(aligned([f"in {probability:g}% of comparisons at 5%", "sources", "videos"], rows))
    return 0


def _cells(sources: int, models: Disagreement) -> list[str]:
    if sources >= MOST_SOURCES:
        return [f"over {MOST_SOURCES:,}", "-"]
    return [f"{sources:,}", f"{math.ceil(sources * models.videos_per_source):,}"]


def _measured(like: Sequence[Path]) -> Disagreement:
    """How two tests differ."""
    if len(like) != 2:
        raise UserError(f"--like names {counted(len(like), 'test')}; it takes two, of the same videos")
    try:
        one, other = common_videos(*(Ledger.read(path / FILE_NAME if path.is_dir() else path) for path in like))
    except UserError as error:
        raise UserError(printable(str(error))) from None
    rows = np.flatnonzero(one.labels.any(1))
    hits = [(ranks(ledger.scores[rows], one.labels[rows]) == 1).astype(np.float64) for ledger in (one, other)]
    if not (hits[0] != hits[1]).any():
        raise UserError("--like names two tests that are right on the same videos; give two that differ")
    return Disagreement.of_hits(hits[0] - hits[1], one.clusters()[rows])


def main(argv: Sequence[str]) -> int:
    """Run `power --difference POINTS [options]` and return the exit code."""
    parser = Parser(prog="clipbench power", description="How many videos and sources a comparison of two models needs.")
    parser.add_function_arguments(power, as_group=False, skip={"content"})
    parser.add_argument("--json", action="store_true", help="Print the numbers as JSON, and nothing else.")
    chosen = parser.parse_args(list(argv)).as_dict()
    with json_instead(chosen.pop("json")) as content:
        return power(content=content, **chosen)
