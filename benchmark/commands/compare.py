"""Compares two models on the videos that both have scored, paired video by video."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.command_line import Parser
from benchmark.commands.rescore import progress_bar
from benchmark.commands.text import NO_INTERVALS, aligned, interval, json_instead, number, too_few
from benchmark.errors import UserError, printable
from benchmark.files import file_hash
from benchmark.metrics.descriptors import says_nothing, score_of
from benchmark.results.comparison import Comparison, common_videos, decoded_by_both
from benchmark.results.comparison import compare as compare_ledgers
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record, differences
from benchmark.results.statistics import LEAST_SOURCES, LEVEL, Paired
from benchmark.wording import counted

_SHOWN = 5


def compare(
    first: Path,
    second: Path,
    classes: int = _SHOWN,
    map_intervals: bool | None = None,
    across_protocols: bool = False,
    equivalence: float | None = None,
    content: dict[str, Any] | None = None,
) -> int:
    """Print how two models differ on the videos that both ledgers hold.

    Args:
        first: A ledger, or the folder of a test.
        second: Another one.
        classes: Classes to show in each direction.
        map_intervals: Whether average precision gets intervals; None means where they take seconds.
        across_protocols: Compare even if protocol, dataset, fold or class subset differ.
        equivalence: Points of video Hit@1 within which the two count as the same, to test whether they are.
        content: Receives the numbers.

    Returns:
        0.

    Raises:
        UserError: If a ledger is damaged, or the two cannot be compared.
    """
    if classes < 0:
        raise UserError(f"--classes is {classes}; it must be 0 or more")
    if equivalence is not None and not 0 < equivalence < 100:
        raise UserError(f"--equivalence is {equivalence:g}; it must be points of Hit@1, more than 0 and less than 100")
    paths = [path / FILE_NAME if path.is_dir() else path for path in (first, second)]
    ledgers = [Ledger.read(path) for path in paths]
    reasons = differences(ledgers[0].info, ledgers[1].info)
    if reasons and not across_protocols:
        raise UserError(
            f"the ledgers cannot be compared: {printable('; '.join(reasons))}. "
            "To compare them on their common videos nevertheless, add --across_protocols true"
        )
    try:
        one, other = common_videos(*ledgers)
    except UserError as error:
        raise UserError(printable(str(error))) from None
    for reason in reasons:
        print(f"WARNING: {printable(reason)}")
    for place, path, ledger in zip(("first", "second"), paths, ledgers, strict=True):
        dropped = len(ledger) - len(one)
        left_out = f", {dropped:,} of which the other lacks: left out" if dropped else ""
        failed = f"; {len(ledger.failures()):,} failed" if ledger.failures() else ""
        print(f"{place}: {_name(path)}, {counted(len(ledger), 'video')}{left_out}{failed}")
    found = compare_ledgers(one, other, map_intervals=map_intervals, progress=progress_bar)
    print(f"\non {found.videos:,} common videos with labels, failed ones counted as wrong:")
    print(_metrics(found, len(one.info.class_names)))
    both = decoded_by_both(one, other)
    if len(both[0]) < len(one) and both[0].labels.any():
        part = compare_ledgers(*both, map_intervals=map_intervals, progress=progress_bar)
        print(f"\non the {part.videos:,} of them that both have decoded:")
        print(_metrics(part, len(one.info.class_names)))
    if content is not None:
        content |= _content(found, one.info.class_names)
    print(_tests(found, equivalence))
    print(_classes(found, one.info.class_names, classes))
    return 0


def main(argv: Sequence[str]) -> int:
    """Run `compare A B [options]` and return the exit code."""
    parser = Parser(prog="clipbench compare", description="Compare two models on the videos that both have scored.")
    parser.add_argument("first", type=Path, help=f"A {FILE_NAME}, or the folder of a test.")
    parser.add_argument("second", type=Path, help="Another one.")
    parser.add_argument("--classes", type=int, default=_SHOWN, help="Classes to show in each direction.")
    parser.add_argument(
        "--map_intervals",
        type=bool | None,
        default=None,
        help="Compute intervals for average precision; by default only where that takes seconds.",
    )
    parser.add_argument(
        "--across_protocols",
        type=bool,
        default=False,
        help="Compare even if protocol, dataset, fold or class subset differ.",
    )
    parser.add_argument(
        "--equivalence",
        type=float | None,
        default=None,
        help="Points of video Hit@1 within which the two count as the same; tests whether they do.",
    )
    parser.add_argument(
        "--until",
        type=float | None,
        default=None,
        help="Test two fits, whose run folders are given, on growing sets of sources until they are told apart or are "
        "the same within so many points of video Hit@1.",
    )
    parser.add_argument("--out", type=Path | None, default=None, help="Folder for the tests of --until.")
    parser.add_argument("--seed", type=int, default=0, help="Of the order in which --until draws sources.")
    parser.add_argument(
        "--of_list",
        type=bool,
        default=False,
        help="Let --until decide what this test list would show, and not what endless sources like its own would.",
    )
    parser.add_argument("--json", action="store_true", help="Print the numbers as JSON, and nothing else.")
    options = parser.parse_args(list(argv)).as_dict()
    points, out, seed, of_list = (options.pop(name) for name in ("until", "out", "seed", "of_list"))
    as_json = options.pop("json")
    if points is None:
        with json_instead(as_json) as content:
            return compare(content=content, **options)
    usual = {"equivalence": None, "classes": _SHOWN, "map_intervals": None, "across_protocols": False}
    if idle := [f"--{name}" for name, value in usual.items() if options[name] != value] + ["--json"] * as_json:
        raise UserError(f"{idle[0]} does nothing with --until; leave it out, or compare the finished tests in --out")
    if not 0 < points < 100 or out is None or seed < 0:
        raise UserError(
            f"--until is {points:g}, --out is {out} and --seed is {seed}; give points of Hit@1, more than 0 and less "
            "than 100, a folder for the tests, and a seed of 0 or more"
        )
    from benchmark.commands.until import compare_until  # tests, and so needs torch

    return compare_until(options["first"], options["second"], points, out, seed, of_list)


def _content(found: Comparison, class_names: Sequence[str]) -> dict[str, Any]:
    """The comparison for `--json`: shares from 0 to 1, and differences as the first less the second."""
    areas = found.average_precision.T.tolist()
    return {
        **{name: getattr(found, name) for name in ("videos", "clusters", "only_first", "only_second")},
        **{name: getattr(found, name) for name in ("mcnemar_p", "clustered_p")},
        "metrics": {
            name: {part: getattr(value, part) for part in ("first", "second", "difference", "low", "high")}
            for name, value in found.metrics.items()
        },
        "average_precision": {
            name: {"first": first, "second": second, "videos": videos}
            for name, (first, second), videos in zip(class_names, areas, found.positives.tolist(), strict=True)
        },
    }


def _name(path: Path) -> str:
    """The name of a ledger's record if that is beside it and means it, else the path; and a word on its weights."""
    try:
        record = Record.read(path.parent / RECORD_NAME)
    except UserError:
        return str(path)
    if record.ledger.sha256 != file_hash(path):
        return f"{path} (the record beside it is of another ledger)"
    provenance = {"contaminated": ", whose weights HAVE SEEN test videos", "unknown": ", of weights of unknown origin"}
    return f"{printable(record.name)} ({path}){provenance.get(record.checkpoint.provenance, '')}"


def _metrics(found: Comparison, classes: int) -> str:
    rows = [
        [
            score_of(name).title,
            number(name, value.first),
            number(name, value.second),
            number(name, value.difference, signed=True),
            interval(name, value.low, value.high, signed=True),
        ]
        for name, value in found.metrics.items()
        if not says_nothing(name, classes)
    ]
    units = "videos, as no two are known to share a source" if found.clusters == found.videos else "source groups"
    lines = [aligned(["", "first", "second", "first - second", "95% interval"], rows)]
    if found.clusters < LEAST_SOURCES:
        lines.append(too_few(found.clusters, units))
    else:
        lines.append(f"intervals: paired, over {found.clusters:,} {units}")
    if "map" in found.metrics and found.metrics["map"].paired is None:
        lines.append(NO_INTERVALS)
    return "\n".join(lines)


def _tests(found: Comparison, equivalence: float | None) -> str:
    hit = found.metrics["video_hit1"]
    verdict = "told apart at 5%" if found.clustered_p < LEVEL else "not told apart at 5%, which does not mean equal"
    lines = [
        f"\nvideo Hit@1: only the first is right on {counted(found.only_first, 'video')}, "
        f"only the second on {found.only_second:,}",
        f"test over source groups: p = {found.clustered_p:.3g} ({verdict})",
        f"McNemar's exact test: p = {found.mcnemar_p:.3g}; it is at video level and treats videos as independent, "
        "so it is overconfident where several come from one source",
    ]
    if hit.paired is not None and hit.paired.is_known:
        lines.append(
            f"detectable difference: {100 * hit.paired.detectable():.1f} points of video Hit@1 "
            "(the true one that would be told apart in 80% of such tests)"
        )
        if equivalence is not None:
            lines.append(_equivalence(hit.paired, equivalence))
    elif equivalence is not None:
        lines.append(f"no test of equivalence: it takes {LEAST_SOURCES} sources")
    return "\n".join(lines)


def _equivalence(paired: Paired, points: float) -> str:
    p_value, (low, high) = paired.equivalence(points / 100), paired.interval(2 * LEVEL)
    verdict = "the same within" if p_value < LEVEL else "not shown to be the same within"
    return (
        f"{verdict} {points:g} points of video Hit@1: p = {p_value:.3g} (two one-sided tests at 5%), "
        f"90% interval {100 * low:+.1f} to {100 * high:+.1f} points"
    )


def _classes(found: Comparison, names: Sequence[str], shown: int) -> str:
    gains = found.average_precision[0] - found.average_precision[1]
    order = [int(n) for n in np.argsort(-gains, kind="stable") if not np.isnan(gains[n])]
    parts = []
    for side, numbers in (
        ("first", [n for n in order if gains[n] > 0][:shown]),
        ("second", [n for n in order[::-1] if gains[n] < 0][:shown]),
    ):
        rows = [
            [
                names[n],
                number("ap", gains[n], signed=True),
                *(number("ap", area[n]) for area in found.average_precision),
                f"{found.positives[n]:,}",
            ]
            for n in numbers
        ]
        if rows:
            parts.append("\n" + aligned([f"classes better with the {side}", "AP", "first", "second", "videos"], rows))
    return "\n".join(parts) if parts else "\nno class differs in average precision"
