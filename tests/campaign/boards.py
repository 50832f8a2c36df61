"""Tampered leaderboards, each one value somewhere else than it was: `leaderboard verify` must not end with 0.

Who changes a file and builds the tables again is found where the change contradicts a ledger, a signature or an
official list. What a test says of itself alone, such as its speed, cannot be found wrong then; but no change goes by as
long as the generated files are those of before, and no signature stays with an entry that was changed.
"""

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmark.cli import main
from benchmark.files import file_hash
from benchmark.leaderboard.claims import CLAIMS
from benchmark.leaderboard.entries import add_entry
from benchmark.leaderboard.statements import write_statement
from benchmark.leaderboard.tables import GENERATED
from benchmark.results.ledger import _METADATA
from benchmark.results.record import Record
from benchmark.shipped import shipped_folder
from tests.campaign.attacks import Kind, Outcome, require
from tests.generators.keys import write_key
from tests.generators.ledgers import make_ledger, make_reproduction, write_run

Change = tuple[str, str, Any]  # file, what of it, how


def prepare(folder: Path) -> tuple[Path, list[Change]]:
    """Leaderboards of three entries, one signed and one confirmed without; and every change of one value in them."""
    root = folder / "leaderboards"
    made = [add_entry(folder / name, root) for name in _runs(folder)]
    shutil.copytree(shipped_folder("leaderboards") / CLAIMS, root / CLAIMS)
    key = write_key(folder / "key", root)
    for entry, by in ((made[0], key), (made[1], None)):
        hashed = file_hash(entry / "record.json")
        write_statement(entry, make_reproduction(Record.read(entry), record_sha256=hashed), by)
    code, said = _leaderboard("build", root)
    require(code == 0, said)
    code, said = _leaderboard("verify", root)
    require(code == 0, said)
    return root, [*_changes(root)]


def _runs(folder: Path) -> Iterator[str]:
    for number in range(3):
        write_run(folder / f"run{number}", make_ledger(model_seed=number, videos=12, clips=2), name=f"Model {number}")
        yield f"run{number}"


def _leaderboard(verb: str, root: Path) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["leaderboard", verb, "--root", str(root)])
    return code, said.getvalue()


def _changes(root: Path) -> Iterator[Change]:
    """Each leaf of each JSON, each column of each ledger, each part of the generated files, and files too many."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.suffix == ".json":
            held = json.loads(path.read_text("utf-8"))
            for place in _leaves(held):
                yield name, "edit", place
            for place in _leaves(held):
                yield name, "remove", place[:-1] if isinstance(place[-1], int) else place
        elif path.name == "ledger.parquet":
            for column in parquet.read_schema(path).names:
                for row in (0, 5):
                    yield name, "column", (column, row)
            for place in _leaves(json.loads((parquet.read_schema(path).metadata or {})[_METADATA])):
                yield name, "info", place
            yield name, "row", "removed"
            yield name, "row", "repeated"
        elif path.is_file():
            yield from ((name, "byte", part) for part in range(6))
        if path.is_file():
            yield name, "delete", None
            yield name, "link", None
            yield name, "append", None
        yield name, "beside", ".hidden" if path.is_dir() else f"{path.name}.bak"


def _leaves(held: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts: list[tuple[Any, Any]] = []
    if isinstance(held, dict):
        parts = list(held.items())
    elif isinstance(held, list):
        parts = list(enumerate(held))
    for key, part in parts:
        yield from _leaves(part, (*place, key))
    if place and not parts:
        yield place


def _other(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + int(rng.choice([-1, 1, 7]))
    if isinstance(value, float):
        return float(rng.choice([value / 2, 0.999, 0.0])) if value else 0.5
    if isinstance(value, str):
        first = "1" if value[:1] != "1" else "2"
        return first + value[1:]
    return {"surprise": 1} if value == {} else "surprise" if value is None else 1


def _edit(held: Any, place: tuple[Any, ...], how: str, rng: np.random.Generator) -> None:
    for key in place[:-1]:
        held = held[key]
    if how == "edit":
        held[place[-1]] = _other(held[place[-1]], rng)
    else:
        del held[place[-1]]


def _change(path: Path, how: str, what: Any, rng: np.random.Generator, root: Path) -> None:
    if how in {"edit", "remove"}:
        held = json.loads(path.read_text("utf-8"))
        _edit(held, what, how, rng)
        path.write_text(json.dumps(held, indent=1) + "\n", "utf-8")
    elif how in {"column", "info", "row"}:
        _change_ledger(path, how, what, rng)
    elif how == "byte":
        content = bytearray(path.read_bytes())
        content[int((what + rng.random()) / 6 * len(content))] ^= 1 << int(rng.integers(7))
        path.write_bytes(content)
    elif how == "append":
        path.write_bytes(path.read_bytes() + b"<script>alert(1)</script>\n")
    elif how == "delete":
        path.unlink()
    elif how == "link":
        kept = root.parent / f"elsewhere{path.suffix}"
        path.replace(kept)
        path.symlink_to(kept)
    else:
        beside = (path if path.is_dir() else path.parent) / what
        beside.write_text("{}", "utf-8")


def _change_ledger(path: Path, how: str, what: Any, rng: np.random.Generator) -> None:
    table = parquet.read_table(path)
    info, rows = json.loads(table.schema.metadata[_METADATA]), table.to_pylist()
    if how == "info":
        _edit(info, what, "edit", rng)
    elif how == "row":
        rows = rows[1:] if what == "removed" else [*rows, rows[0]]
    else:
        column, row = what
        value = rows[row][column]
        if isinstance(value, list) and value and column == "scores":
            rows[row][column] = [*value[1:], value[0]]
        elif isinstance(value, list) and value:
            rows[row][column] = [_other(value[0], rng), *value[1:]]
        else:
            rows[row][column] = "changed" if value is None or isinstance(value, str) else [1]
    schema = table.schema.with_metadata({_METADATA: json.dumps(info)})
    parquet.write_table(pa.Table.from_pylist(rows, schema), path)


def attack(prepared: tuple[Path, list[Change]], seed: int, folder: Path) -> Outcome:
    """Make one change; in every second round, also build the tables again, as whoever tampers would."""
    source, changes = prepared
    name, how, what = changes[seed % len(changes)]
    builds = seed // len(changes) % 2 == 1
    rng = np.random.default_rng([seed, 23])
    root = folder / "leaderboards"
    shutil.copytree(source, root, symlinks=True)
    before = {path.name: path.read_bytes() for path in (root / name for name in GENERATED)}
    contents = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    _change(root / name, how, what, rng, root)
    told = f"{how} {what} of {name}{', built again' if builds else ''}"
    if how != "link" and {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == contents:
        return Outcome("survived", f"{told}: nothing changed")
    if builds:
        _leaderboard("build", root)
    code, said = _leaderboard("verify", root)
    require("Traceback" not in said and "\x1b" not in said, f"{told}: {said[-300:]}")
    if code:
        require(
            "wrong: " in said or "not checked: " in said or "clipbench: " in said, f"{told}: code {code}, no reason"
        )
        return Outcome("refused", told)
    rebuilt = builds and {path.name: path.read_bytes() for path in (root / name for name in GENERATED)} == before
    require(builds, f"{told}: verify ends with 0")
    # Built again: what is only said may be said otherwise, but the entry is then signed by nobody.
    entry = name.rpartition("/")[0]
    is_signed = any(line.startswith("signed: ") and entry in line for line in said.splitlines())
    changed = name.endswith((".json", ".parquet", ".sig")) and not rebuilt
    require(not (changed and is_signed and entry), f"{told}: still signed")
    return Outcome("survived", told)


BOARDS = Kind("boards", attack, prepare, size=900, seconds=120, share=2)
