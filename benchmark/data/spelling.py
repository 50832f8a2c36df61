"""Names that are one to a reader and two to a computer: other capitals, spaces, zeros or Unicode forms."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.errors import UserError

NOTHING = frozenset({"", "nan", "null", "none", "na", "n/a", "<na>", "#n/a", "nil"})
"""What programs write into a table where nothing is, in small letters."""

_NUMBER = re.compile(r"0*(\d+)(\.0+)?")


def says_nothing(cell: str) -> bool:
    """Whether a cell of a table is a program's word for nothing."""
    return cell.strip().casefold() in NOTHING


def sound(name: str) -> str:
    """What names that nobody can tell apart have in common: `Run` and ` run`, 7 and 07.0, both forms of `é`."""
    text = " ".join(name.casefold().split())
    if not name.isascii():
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
        text = " ".join("".join(sign for sign in folded if unicodedata.category(sign) != "Cf").split())
    number = _NUMBER.fullmatch(text)
    return number[1] if number else text


def shown(names: Sequence[str]) -> str:
    """Names in quotes, with the code of each sign where they look the same."""
    alike = len({unicodedata.normalize("NFC", name) for name in names}) < len(names)
    seen = all(name.isprintable() for name in names) and not alike
    return " and ".join(repr(name) if seen else ascii(name) for name in names)


def require_distinct(names: Iterable[str], what: str) -> None:
    """Refuse names that differ only in how they are written.

    Args:
        names: Those of a dataset's classes, for example.
        what: What they name, in the plural.

    Raises:
        UserError: With both names.
    """
    held: dict[str, str] = {}
    for name in names:
        other = held.setdefault(sound(name), name)
        if other != name:
            raise UserError(
                f"the {what} {shown([other, name])} differ only in capitals, spaces, zeros or Unicode form; write them "
                "the same way if they are one, and rename one of them if not"
            )


def found_otherwise(root: Path, missing: Iterable[str]) -> dict[str, str]:
    """Files that are there under another spelling, as other capitals or another Unicode form, or with backslashes.

    Args:
        root: Folder that the names are relative to.
        missing: Names for which there is no file.

    Returns:
        The file's own name for each of them that has one.
    """
    wanted = {_path_sound(name): name for name in missing}
    if not wanted:
        return {}
    found: dict[str, str] = {}
    for parent, _, files in os.walk(root):
        folder = Path(parent).relative_to(root)
        for file in files:
            path = (folder / file).as_posix()
            name = wanted.get(_path_sound(path))
            if name not in {None, path} and (root / path).is_file():  # and no link that leads nowhere
                found[str(name)] = path
    return found


def _path_sound(path: str) -> str:
    return "/".join(sound(part) for part in path.replace("\\", "/").split("/"))
