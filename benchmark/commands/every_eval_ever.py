"""Writes a test's results as `every-eval-ever` JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmark.command_line import Parser
from benchmark.commands.text import write_or_print
from benchmark.results.exchange import every_eval_ever, every_eval_ever_path, require_identifier
from benchmark.results.record import Record


def main(argv: Sequence[str]) -> int:
    """Run `every_eval_ever RUN_DIR --id ORGANISATION/NAME [options]` and return the exit code."""
    parser = Parser(prog="clipbench every_eval_ever", description="Results in the schema of Every Eval Ever.")
    parser.add_argument("record", type=Path, help="A record.json, or the folder of a test.")
    parser.add_argument("--id", type=str, required=True, help="Of the model, as on the Hub: ORGANISATION/NAME.")
    parser.add_argument(
        "--organisation", type=str | None, default=None, help="Who tested it; the model's own by default."
    )
    parser.add_argument(
        "--datastore",
        type=Path | None,
        default=None,
        help="Folder of a datastore, in which the file gets its place; the screen by default.",
    )
    chosen = parser.parse_args(list(argv))
    record, identifier = Record.read(chosen.record), require_identifier(chosen.id)
    content = every_eval_ever(record, identifier, chosen.organisation or identifier.partition("/")[0])
    place = None if chosen.datastore is None else chosen.datastore / every_eval_ever_path(record, identifier)
    return write_or_print(json.dumps(content, indent=2, allow_nan=False) + "\n", place)
