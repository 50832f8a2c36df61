"""Cells of CSV files that spreadsheets will open."""

from typing import TypeVar

Cell = TypeVar("Cell")

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def plain_cell(value: Cell) -> Cell | str:
    """The value, with an apostrophe before a text that a spreadsheet would take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
