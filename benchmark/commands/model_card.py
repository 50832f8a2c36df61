"""Writes a Hugging Face model card with a test's evaluation results."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.command_line import Parser
from benchmark.commands.text import write_or_print
from benchmark.results.exchange import model_card
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record


def main(argv: Sequence[str]) -> int:
    """Run `model_card RUN_DIR [--name NAME] [--license NAME] [--output README.md]` and return the exit code."""
    parser = Parser(prog="clipbench model_card", description="A Hugging Face model card with evaluation results.")
    parser.add_argument("record", type=Path, help="A record.json, or the folder of a test.")
    parser.add_argument("--name", type=str | None, default=None, help="Of the model; the record's by default.")
    parser.add_argument("--license", type=str | None, default=None, help="Of the weights, as the Hub spells it.")
    parser.add_argument("--output", type=Path | None, default=None, help="File to write; the screen by default.")
    chosen = parser.parse_args(list(argv))
    record = Record.read(chosen.record)
    folder = chosen.record if chosen.record.is_dir() else chosen.record.parent
    ledger = folder / record.ledger.file
    classes = len(Ledger.read(ledger).info.class_names) if ledger.is_file() else None
    return write_or_print(model_card(record, chosen.name or record.name, chosen.license, classes), chosen.output)
