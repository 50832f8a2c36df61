"""Averages the class probabilities of several tests, from their ledgers alone: the last row of the paper's Table 1."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmark.command_line import Parser
from benchmark.commands.text import aligned, cells, number
from benchmark.errors import UserError, printable
from benchmark.plain_text import is_plain
from benchmark.results.average_record import record_of
from benchmark.results.averaging import System, averaged, averaged_clips, require_alike, validated_weights
from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.ledger import FILE_NAME
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import LedgerFile, Record
from benchmark.runs.code import code_facts, library_versions


def average(
    ledgers: Sequence[Path],
    run_dir: Path | None = None,
    entry_name: str | None = None,
    weights: Literal["equal", "validation"] = "equal",
    allow_contaminated: bool = False,
) -> int:
    """Leave the ledger and record of an average in a folder, as a test does, and print its numbers beside its members'.

    Args:
        ledgers: Of the members, or their tests' folders.
        run_dir: Where it is written; None is a new folder under runs/.
        entry_name: Of the record; None joins the members' names.
        weights: `equal` is the plain mean; `validation` chooses those with which the average is most likely right on
            the validation videos.
        allow_contaminated: Take members that saw test videos; the record then says so.

    Returns:
        0.

    Raises:
        UserError: If the members do not go together, or the folder holds a test.
    """
    if entry_name is not None and not is_plain(entry_name):
        raise UserError(f'--entry_name is {entry_name!r}; it must be a line of text without any of < > " ` | \\')
    folder = run_dir or Path("runs") / f"average-{datetime.datetime.now().astimezone():%Y%m%d-%H%M%S}"
    if (folder / RECORD_NAME).exists():
        raise UserError(f"--run_dir {folder} holds a finished test; name another folder")
    systems = [System.read(path) for path in ledgers]
    require_alike(systems, allow_contaminated=allow_contaminated)
    shares = [1 / len(systems)] * len(systems) if weights == "equal" else validated_weights(systems)
    clips = averaged_clips(systems, shares)
    ledger = averaged(systems, shares, clips)
    try:
        sha256 = ledger.write(folder / FILE_NAME)
        kept = None if clips is None else LedgerFile(file=CLIPS_NAME, sha256=clips.write(folder / CLIPS_NAME))
        record = record_of(
            systems,
            shares,
            ledger,
            sha256,
            chosen=weights,
            clips=kept,
            name=entry_name,
            code=code_facts(),
            libraries=library_versions(),
        )
        record.write(folder / RECORD_NAME)
    except OSError as error:
        raise UserError(f"--run_dir {folder} cannot be written to: {error.strerror}; name another folder") from error
    rows = [_row(system.record, weight) for system, weight in zip(systems, shares, strict=True)]
    print(aligned(["", "weight", "video Hit@1", "95% interval", "mAP"], [*rows, ["average", *_row(record, None)[1:]]]))
    if lacking := [system.name for system in systems if system.clips is None]:
        print(f"no clip level: what was said of single clips was not kept by {', '.join(map(printable, lacking))}")
    print(f"weights are {record.checkpoint.provenance}\nwrote {folder / FILE_NAME} and {folder / RECORD_NAME}")
    return 0


def _row(record: Record, weight: float | None) -> list[str]:
    weighed = "" if weight is None else f"{weight:.3f}"
    hit, area = record.metrics["video_hit1"], record.metrics["map"]
    return [record.name, weighed, *cells("video_hit1", hit), number("map", area.value)]


def main(argv: Sequence[str]) -> int:
    """Run `average A B ... [options]` and return the exit code."""
    parser = Parser(
        prog="clipbench average",
        description="Average the class probabilities of several tests, from their ledgers alone.",
    )
    parser.add_argument(
        "ledgers", type=Path, nargs="+", help=f"A {FILE_NAME} of each member, or the folder of its test."
    )
    parser.add_argument("--run_dir", type=Path | None, default=None, help="Folder to write; a new one under runs/.")
    parser.add_argument("--entry_name", type=str | None, default=None, help="Name of the record.")
    parser.add_argument(
        "--weights",
        choices=["equal", "validation"],
        default="equal",
        help="The plain mean, or weights that are chosen on validation predictions.",
    )
    parser.add_argument(
        "--allow_contaminated",
        type=bool,
        default=False,
        help="Take members that saw test videos; the record then says so.",
    )
    return average(**vars(parser.parse_args(list(argv))))
