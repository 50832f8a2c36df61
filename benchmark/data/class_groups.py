"""Groups of classes from a table of the user's own, such as a taxonomy of sports; scores are also averaged by them."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.annotations import read_rows
from benchmark.data.spelling import require_distinct, says_nothing, shown, sound
from benchmark.errors import UserError
from benchmark.plain_text import is_plain
from benchmark.wording import counted

_SHOWN = 5  # classes named in a refusal


def read_class_groups(table: Path, class_names: Sequence[str]) -> tuple[str, ...]:
    """The group of each class.

    Args:
        table: CSV or Parquet file with the columns class and group, one row for each class.
        class_names: K names.

    Returns:
        K names of groups.

    Raises:
        UserError: If it cannot be read, a row is malformed, a class is unknown or comes twice, or one has no row,
            or groups differ only in how they are written.
    """
    names, rows = read_rows(table)
    if {"class", "group"} - {*names}:
        raise UserError(
            f"{table} has the columns {', '.join(names) or 'none'}; data.class_groups needs class and group"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{table} has several columns named {', '.join(twice)}; rename all but one")
    alike = {sound(name): name for name in class_names}
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        name, group = ("" if row[column] is None else str(row[column]).strip() for column in ("class", "group"))
        where = f"row {number} of {table}"
        if name not in class_names:
            if sound(name) in alike:
                raise UserError(
                    f"{where} has the class that the data have, written otherwise: {shown([name, alike[sound(name)]])} "
                    "differ in capitals, spaces, zeros or Unicode form; write the second in the table"
                )
            near = difflib.get_close_matches(name, class_names, 1)
            raise UserError(
                f"{where} has the class {shown([name])}, which the data do not have; "
                + (f"did you mean {near[0]}?" if near else "remove the row")
            )
        if name in found:
            raise UserError(f"{where} has the class {name!r} a second time; leave one row for each class")
        # Records name scores by it, as `map/water`.
        if says_nothing(group) or not is_plain(f"map/{group}") or "/" in group:
            raise UserError(
                f"{where} has the group {group!r}; change it: a group is a name of up to 196 signs that can be seen, "
                'without / \\ < > " ` or |'
            )
        found[name] = group
    require_distinct(found.values(), f"groups of {table}")
    lacking = [name for name in class_names if name not in found]
    if lacking:
        first = ", ".join(lacking[:_SHOWN]) + (", ..." if len(lacking) > _SHOWN else "")
        raise UserError(f"{table} has no row for {counted(len(lacking), 'class', 'classes')}: {first}; add them")
    return tuple(found[name] for name in class_names)
