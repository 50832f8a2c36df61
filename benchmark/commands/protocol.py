"""Shows a record's protocol, and says why two records can or cannot be compared."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmark.command_line import Parser
from benchmark.commands.text import aligned
from benchmark.errors import printable
from benchmark.results.record import Record, differences


def show(record: Path) -> int:
    """Print how the videos of a record were scored.

    Args:
        record: A record, or the folder of a test.

    Returns:
        0, or 1 if the record states another hash than its protocol's.

    Raises:
        UserError: If there is no record.
    """
    held = Record.read(record)
    dataset, protocol = held.dataset, held.protocol_value
    fields = dataclasses.asdict(protocol)
    rows = [
        ["record", held.name],
        ["dataset", dataset.name],
        ["fold", "none" if dataset.fold is None else str(dataset.fold)],
        ["classes", "all" if dataset.classes is None else f"{len(dataset.classes)}: {', '.join(dataset.classes)}"],
        *([name, ", ".join(value) if isinstance(value, tuple) else str(value)] for name, value in fields.items()),
        ["protocol hash", protocol.hash],
    ]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name.ljust(width)}  {printable(value)}" for name, value in rows))
    print("results are ranked together if dataset, fold, classes and protocol hash agree")
    if held.protocol_hash != protocol.hash:
        print(f"the record states the hash {printable(held.protocol_hash)}, which is not its protocol's")
        return 1
    return 0


def diff(first: Path, second: Path) -> int:
    """Say whether two records can be compared, and if not, why.

    Args:
        first: A record, or the folder of a test.
        second: Another one.

    Returns:
        0 if they can be compared, else 1.

    Raises:
        UserError: If there is no record.
    """
    records = Record.read(first), Record.read(second)
    reasons = differences(*records)
    if reasons:
        print("the records cannot be compared:")
        print("\n".join(f"  {printable(reason)}" for reason in reasons))
        return 1
    print("the records can be compared: dataset, fold, class subset and protocol agree")
    if records[0].dataset.fingerprint != records[1].dataset.fingerprint:
        print(
            "they were not scored on the same videos; compare them on their common ones (python -m benchmark compare)"
        )
        header = ["", "videos held", "of the official", "failed"]
        print(aligned(header, [[place, *_held(r)] for place, r in zip(("first", "second"), records, strict=True)]))
    return 0


def _held(record: Record) -> list[str]:
    official = record.dataset.official_videos
    return [
        f"{record.dataset.held_videos:,}",
        "-" if official is None else f"{official:,}",
        f"{len(record.failed_videos):,}",
    ]


def main(argv: Sequence[str]) -> int:
    """Run `protocol show RECORD` or `protocol diff A B` and return the exit code."""
    parser = Parser(
        prog="clipbench protocol", description="Show a record's protocol, or say why two records cannot be compared."
    )
    verbs = parser.add_subcommands(dest="verb")
    shown = Parser(description="Print how the videos of a record were scored.")
    shown.add_argument("record", type=Path, help="A record, or the folder of a test.")
    verbs.add_subcommand("show", shown, help=shown.description)
    compared = Parser(description="Say whether two records can be compared, and if not, why.")
    compared.add_argument("first", type=Path, help="A record, or the folder of a test.")
    compared.add_argument("second", type=Path, help="Another one.")
    verbs.add_subcommand("diff", compared, help=compared.description)
    chosen = parser.parse_args(list(argv))
    if chosen.verb == "show":
        return show(chosen.show.record)
    return diff(chosen["diff"].first, chosen["diff"].second)
