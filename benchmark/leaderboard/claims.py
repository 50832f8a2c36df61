"""Tables that others have published, and whether those beside the entries are the ones that come with this version."""

from pathlib import Path

from pydantic import ValidationError

from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.results.fields import Part, Plain, read_limited
from benchmark.results.record import Value

CLAIMS = "paper"
"""Folder of the claims below the leaderboards' root."""

_SHA256 = {
    "table1.json": "20fc71f8713abd68323606d7a320a07ef87b11102cb114792745f15c69f2fe0a",
    "table3.json": "d5693bd252cf2b469745614b45b72c2c1af6987ae9bd728d7f13aa802310c1ec",
    "table4.json": "5f63d75126585aa00275c2e787d3f01c37f8fe1d44017f0f89953c2172f8ee18",
}


class Claim(Part):
    """One claimed row."""

    name: Plain
    metrics: dict[Plain, Value]
    clips_per_second: float | None = None


class Claims(Part):
    """A table that somebody published."""

    dataset: Plain
    fold: int | None
    classes: tuple[Plain, ...] | None
    protocol: Plain
    source: Plain
    rows: tuple[Claim, ...]


def read_claims(root: Path) -> list[Claims]:
    """The claimed tables, in the order of their files' names.

    Raises:
        UserError: If a file is no table of claims.
    """
    found = []
    for path in sorted((root / CLAIMS).glob("*.json")):
        try:
            found.append(Claims.model_validate_json(read_limited(path)))
        except (ValidationError, OSError) as error:
            raise UserError(f"{path} is no table of claims ({str(error).splitlines()[0]!r})") from None
    return found


def check_claims(root: Path) -> tuple[list[str], list[str]]:
    """What is wrong with the files of claims, and those that nobody can check, one line each."""
    wrong, unchecked = [], []
    for path in sorted((root / CLAIMS).rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            continue
        if path.suffix != ".json" or path.parent != root / CLAIMS:
            wrong.append(f"{name} does not belong here; the folder holds tables of claims, one JSON file each")
        elif path.name not in _SHA256:
            unchecked.append(f"{name}: a table of claims that does not come with this version; compare it by eye")
        elif file_hash(path) != _SHA256[path.name]:
            wrong.append(f"{name} is not the table that comes with this version; its claims were edited")
    return wrong, unchecked
