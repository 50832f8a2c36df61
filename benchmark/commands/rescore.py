"""Works out every number of a ledger again, without a model or a video."""

import collections
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import PositiveInt
from rich.console import Console
from rich.progress import track

from benchmark.command_line import Parser
from benchmark.commands import clip_tables
from benchmark.commands.clip_tables import require_clips
from benchmark.commands.text import NO_INTERVALS, aligned, cells, json_instead, number, too_few
from benchmark.errors import UserError, printable
from benchmark.files import file_hash
from benchmark.metrics.arrays import average_precision
from benchmark.metrics.descriptors import HIT_KS, says_nothing, score_of
from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.clip_scores import clips_beside
from benchmark.results.confirmation import Confirmation, check_clips, confirm
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import METHOD, Record, Value, dataset_of
from benchmark.results.scores import confusions
from benchmark.results.statistics import LEAST_SOURCES
from benchmark.results.summary import summarise
from benchmark.wording import counted

_SHOWN = 5
_NAMES_SHOWN = 3

Numbers = dict[str, Value]


def rescore(
    ledger: Path,
    k: Sequence[int] = HIT_KS,
    all_classes: bool = False,
    map_intervals: bool | None = None,
    output: Path | None = None,
    update: bool = False,
    curve: bool = False,
    calibration: bool = False,
    content: dict[str, Any] | None = None,
) -> int:
    """Print the numbers of a ledger, and whether a record beside it says the same.

    Args:
        ledger: A ledger, or the folder of a test.
        k: Predictions looked at for Hit@k.
        all_classes: Whether to show all classes instead of the best and the worst.
        map_intervals: Whether average precision gets intervals; None means where they take seconds.
        output: JSON file to leave the numbers in.
        update: Whether to make the intervals of the record beside the ledger again, if its values are confirmed.
        curve: Whether to show scores and cost of tests with fewer clips, from the scores of single clips.
        calibration: Whether to show how far probabilities can be believed.
        content: Receives the numbers.

    Returns:
        0, or 1 if the record beside the ledger says something else.

    Raises:
        UserError: If there is no ledger, it is damaged, `update` is set and there is no record of it, or `curve`
            and there are no scores of clips.
    """
    path = ledger / FILE_NAME if ledger.is_dir() else ledger
    predictions = Ledger.read(path)
    ks = sorted({*HIT_KS, *k})
    metrics, decoded = summarise(predictions, map_intervals=map_intervals, ks=ks, progress=progress_bar)
    areas = class_areas(predictions)
    confused = most_confused(predictions)
    print(_heading(predictions))
    print(_coverage(predictions))
    print(_numbers(metrics, decoded, predictions, {f"{level}_hit{n}" for level in ("clip", "video") for n in k}))
    print(_classes(predictions, areas, all_classes))
    print(_confusions(confused))
    more = dict[str, Any]()
    if curve:
        text, more["curve"] = clip_tables.curve(path, predictions, require_clips(path, predictions, "--curve true"))
        print(text)
    if calibration:
        text, more["calibration"] = clip_tables.calibration(predictions, clips_beside(path, predictions))
        print(text)
    confirmation = _confirm(path, predictions, metrics, decoded)
    found = _content(path, predictions, metrics, decoded, areas, confused, confirmation, more)
    if content is not None:
        content |= found
    if output is not None:
        _save(output, found)
        print(f"\nwrote {output}")
    if confirmation is not None and confirmation.denied:
        return 1
    if update:
        if confirmation is None:
            raise UserError(f"--update: there is no record of {path} beside it whose intervals could be made again")
        _update(path.parent / RECORD_NAME, metrics, decoded)
    return 0


def main(argv: Sequence[str]) -> int:
    """Run `rescore LEDGER [options]` and return the exit code."""
    parser = Parser(
        prog="clipbench rescore", description="Work out every number of a ledger again, without a model or a video."
    )
    parser.add_argument("ledger", type=Path, help=f"A {FILE_NAME}, or the folder of a test.")
    parser.add_argument(
        "--k", type=PositiveInt, nargs="+", default=list(HIT_KS), help="Predictions looked at for Hit@k."
    )
    parser.add_argument(
        "--classes",
        choices=["few", "all"],
        default="few",
        help="Average precision of the best and worst classes, or of all.",
    )
    parser.add_argument(
        "--map_intervals",
        type=bool | None,
        default=None,
        help="Compute intervals for average precision; by default only where that takes seconds.",
    )
    parser.add_argument("--output", type=Path | None, default=None, help="JSON file to leave the numbers in.")
    parser.add_argument(
        "--update",
        type=bool,
        default=False,
        help="Recompute the intervals in the record beside the ledger, if its values check out.",
    )
    parser.add_argument(
        "--curve",
        type=bool,
        default=False,
        help="Scores and cost against clips a video, where the test kept what was said of its clips.",
    )
    parser.add_argument(
        "--calibration",
        type=bool,
        default=False,
        help="Brier score and reliability, of videos, and where they were kept of clips and validation videos.",
    )
    parser.add_argument("--json", action="store_true", help="Print the numbers as JSON, and nothing else.")
    chosen = parser.parse_args(list(argv)).as_dict()
    with json_instead(chosen.pop("json")) as content:
        return rescore(all_classes=chosen.pop("classes") == "all", content=content, **chosen)


def progress_bar(blocks: Iterable[int]) -> Iterable[int]:
    """A bar on the error stream for the one part that may take minutes."""
    console = Console(stderr=True)
    return track(list(blocks), "intervals of average precision", console=console, transient=True)


def class_areas(ledger: Ledger) -> dict[str, np.ndarray]:
    """(K,) float64 each: average precision with failed videos counted as wrong, and without them; positives."""
    labelled = ledger.labels.any(1)
    labels, scores = (
        (ledger.labels, ledger.scores)
        if labelled.all()
        else (
            ledger.labels[labelled],
            ledger.scores[labelled],
        )
    )
    positives, area = labels.sum(0), average_precision(scores, labels)
    decoded = labels[ledger.scored[labelled]].sum(0)
    # A failed positive enters last, at the precision of all videos, and changes nothing before it.
    lost = (positives - decoded) * (positives / max(1, len(labels)))
    without = np.full(len(area), np.nan)
    np.divide(area * positives - lost, decoded, out=without, where=decoded > 0)
    return {"positives": positives.astype(np.float64), "failed_as_wrong": area, "decoded_only": without.clip(0, 1)}


def most_confused(ledger: Ledger) -> list[tuple[str, str, int, int]]:
    """True class, class said, decoded videos of which that holds, and decoded videos of the true class; most first."""
    counts, names = confusions(ledger), ledger.info.class_names
    of_class = ledger.labels[ledger.scored].sum(0)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[: 2 * _SHOWN]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [(names[i], names[j], int(counts[i, j]), int(of_class[i])) for i, j in pairs if counts[i, j]]


def _heading(ledger: Ledger) -> str:
    info, protocol = ledger.info, ledger.info.protocol
    return printable(
        f"{info.identity}: {counted(len(ledger), 'video')} of {counted(len(info.class_names), 'class')}, "
        f"{counted(protocol.clips_per_video, 'clip')} a video, "
        f"{counted(len(protocol.views), 'view')} a clip, protocol {protocol.hash}"
    )


def _coverage(ledger: Ledger) -> str:
    info, failures = ledger.info, ledger.failures()
    lines = []
    if info.official_videos:
        share = info.held_videos / info.official_videos
        lines.append(f"held {info.held_videos:,} of the official {info.official_videos:,} test videos ({share:.1%})")
    if len(ledger) < info.held_videos:
        lines.append(f"tested: {len(ledger):,} of the {counted(info.held_videos, 'video')} held")
    if unlabelled := len(ledger) - int(ledger.labels.any(1).sum()):
        lines.append(f"{counted(unlabelled, 'video')} without labels, which enter no number")
    lines.append(f"{counted(len(failures), 'video')} failed")
    reasons = collections.Counter(failures.values())
    for reason, count in reasons.most_common(_SHOWN):
        names = [name for name, said in failures.items() if said == reason][:_NAMES_SHOWN]
        more = ", ..." if count > len(names) else ""
        lines.append(f"  {count:,} as {printable(reason)}: {printable(', '.join(names))}{more}")
    if len(reasons) > _SHOWN:
        lines.append(f"  and {counted(len(reasons) - _SHOWN, 'other reason')}")
    return "\n".join(lines)


def _numbers(metrics: Numbers, decoded: Numbers | None, ledger: Ledger, hits: set[str]) -> str:
    always = {f"{level}_hit{n}" for level in ("clip", "video") for n in HIT_KS}
    classes = len(ledger.info.class_names)
    shown = [name for name in metrics if name not in always - hits and not says_nothing(name, classes)]
    if decoded is None:
        rows = [[score_of(name).title, *cells(name, metrics[name])] for name in shown]
        table = aligned(["", "value", "95% interval"], rows)
    else:
        lacking = Value(value=None)
        rows = [
            [score_of(name).title, *cells(name, metrics[name]), *cells(name, decoded.get(name, lacking))]
            for name in shown
        ]
        table = aligned(["", "failed = wrong", "95% interval", "decoded only", "95% interval"], rows)
    clusters = len(np.unique(ledger.clusters()[ledger.labels.any(1)]))
    units = "videos, no two of which are known to share a source" if clusters == len(ledger) else "source groups"
    given = f"intervals: over {clusters:,} {units}"
    lines = ["", table, given if clusters >= LEAST_SOURCES else too_few(clusters, units)]
    if clusters >= LEAST_SOURCES and metrics["map"].value is not None and metrics["map"].low is None:
        lines.append(NO_INTERVALS)
    return "\n".join(lines)


def _classes(ledger: Ledger, areas: dict[str, np.ndarray], all_classes: bool) -> str:
    names, area = ledger.info.class_names, areas["failed_as_wrong"]
    order = [int(n) for n in np.argsort(-area, kind="stable") if not np.isnan(area[n])]
    columns = ["failed_as_wrong"] if ledger.scored.all() else ["failed_as_wrong", "decoded_only"]
    header = ["class", "videos", *(["AP"] if len(columns) == 1 else ["AP, failed = wrong", "AP, decoded only"])]

    def rows(numbers: Iterable[int]) -> list[list[str]]:
        return [
            [names[n], f"{areas['positives'][n]:.0f}", *(number("ap", areas[c][n]) for c in columns)] for n in numbers
        ]

    absent = len(names) - len(order)
    note = f"\n{counted(absent, 'class')} without a video, left out of the means" if absent else ""
    if all_classes or len(order) <= 2 * _SHOWN:
        return f"\n{aligned(header, rows(order))}{note}"
    gap = ["..." for _ in header]
    return f"\n{aligned(header, [*rows(order[:_SHOWN]), gap, *rows(order[-_SHOWN:])])}{note}"


def _confusions(pairs: list[tuple[str, str, int, int]]) -> str:
    if not pairs:
        return "\nno decoded video's best-scored class is a wrong one"
    rows = [[f"{true} taken for {said}", f"{count:,}", f"{count / videos:.1%}"] for true, said, count, videos in pairs]
    return "\n" + aligned(["most confused", "videos", "of the class"], rows)


def _confirm(path: Path, ledger: Ledger, metrics: Numbers, decoded: Numbers | None) -> Confirmation | None:
    """Say what the record beside a ledger has to do with it; None if there is no record of this ledger."""
    file = path.parent / RECORD_NAME
    if not file.is_file():
        return None
    try:
        record = Record.read(file)
    except UserError as error:
        found = Confirmation((str(error),), 0, ())
    else:
        if record.ledger.file != path.name:
            print(f"\n{file} is the record of another ledger, {printable(record.ledger.file)}")
            return None
        found = confirm(record, ledger, file_hash(path), metrics, decoded)
        denied, missing = check_clips(record, ledger, path.with_name(CLIPS_NAME))
        found = dataclasses.replace(found, denied=(*found.denied, *denied), unchecked=(*found.unchecked, *missing))
        if record.intervals != METHOD:
            print(f"\nits record has intervals of the older method {record.intervals}; --update true makes them again")
    if found.denied:
        print(f"\n{file} is NOT confirmed:")
        for denial in found.denied:
            print(f"  {printable(denial)}")
    else:
        kept = " and its clips" if record is not None and record.clips is not None and not missing else ""
        print(
            f"\n{file} is confirmed: the ledger's hash{kept}, its dataset and protocol, and {found.confirmed} numbers"
        )
    if found.unchecked:
        print(f"not checked: {printable(', '.join(found.unchecked))}")
    return found


def _update(file: Path, metrics: Numbers, decoded: Numbers | None) -> None:
    """Give a confirmed record the intervals that were made now."""
    record = Record.read(file)

    def renewed(said: Numbers, found: Numbers) -> Numbers:
        return {name: found.get(name, Value(value=value.value)) for name, value in said.items()}

    part = None if record.decoded_only is None else renewed(record.decoded_only, decoded or {})
    public = {"metrics": renewed(record.metrics, metrics), "decoded_only": part, "intervals": METHOD}
    record.model_copy(update=public).write(file)
    print(f"wrote {file} with intervals of the method {METHOD}")


def _content(
    path: Path,
    ledger: Ledger,
    metrics: Numbers,
    decoded: Numbers | None,
    areas: dict[str, np.ndarray],
    confused: list[tuple[str, str, int, int]],
    confirmation: Confirmation | None,
    more: dict[str, Any],
) -> dict[str, Any]:
    columns = {name: [None if np.isnan(v) else float(v) for v in values] for name, values in areas.items()}
    return {
        "ledger": {"file": path.name, "sha256": file_hash(path)},
        "dataset": dataset_of(ledger.info).model_dump(mode="json"),
        "protocol_hash": ledger.info.protocol.hash,
        "videos": len(ledger),
        "failed_videos": ledger.failures(),
        "metrics": {name: value.model_dump() for name, value in metrics.items()},
        "decoded_only": None if decoded is None else {name: value.model_dump() for name, value in decoded.items()},
        "average_precision": {
            name: {column: values[place] for column, values in columns.items()}
            for place, name in enumerate(ledger.info.class_names)
        },
        "most_confused": [
            {"true": true, "said": said, "videos": count, "videos_of_class": videos}
            for true, said, count, videos in confused
        ],
        "record_denied": None if confirmation is None else list(confirmation.denied),
        **more,
    }


def _save(output: Path, content: dict[str, Any]) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise UserError(f"--output {output} cannot be written: {error.strerror}; name another file") from error
