"""What a grid's folder is about: another grid must not go on in it once something was trained."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.changes import changes, leaves
from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.grid.cells import FAILURE_NAME
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.runs.conditions import DATA_PLACES

_FILE_NAME = "grid.json"

_IMMATERIAL = (
    *(f"data.{name}" for name in DATA_PLACES),
    "grid.cache_gb",
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.logger"),
    "trainer.enable_progress_bar",
)
"""What a grid may go on with otherwise: where things lie and what it runs on."""


def claim(
    folder: Path,
    option: str,
    *,
    grid: Mapping[str, Any],
    fit: Mapping[str, Any],
    words: Sequence[str],
    pretrained: str | None,
    only_compare: bool = False,
) -> None:
    """Note what a folder is about, and refuse to go on with another grid in it.

    Args:
        folder: Of the grid.
        option: By which it is named, or a folder above it.
        grid: Which cells there are.
        fit: What every fit shares.
        words: Options of the command line for every fit.
        pretrained: Hash of the weights that cells begin with.
        only_compare: Write nothing, and let pretrained weights that are not named be those of the folder.

    Raises:
        UserError: If the folder is of another grid, with what differs.
    """
    mine = {"grid": grid, "fit": fit, "options": list(words), "pretrained": pretrained}
    mine = json.loads(json.dumps(mine, default=str))
    file = folder / _FILE_NAME
    if file.is_file():
        try:
            held = dict(json.loads(file.read_text("utf-8")))
            old, new = _material(held), _material(mine)
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise UserError(f"{file} is damaged; name another folder as {option}, or remove the file") from error
        if only_compare and pretrained is None:
            new["pretrained"] = old["pretrained"]
        differ = changes(old, new)
        if differ and has_begun(folder):
            raise UserError(
                f"{folder} holds a grid that differs: {'; '.join(differ)}. Name another folder as {option}, or "
                "give what was given before"
            )
        if not differ:
            return
    if not only_compare:
        write_whole(file, json.dumps(mine, indent=1), shared=True)


def has_begun(folder: Path) -> bool:
    """Whether a cell of a grid is finished, was begun and did not fail, or has trained weights."""
    return any(
        not (cell / FAILURE_NAME).is_file() or (cell / RECORD_NAME).is_file() or any(cell.glob("*/checkpoints/*.ckpt"))
        for cell in (folder / "cells").glob("*")
    )


def option_values(words: Sequence[str]) -> list[tuple[str, str]]:
    """Options of a command line with their values; `--a=b` is `--a b`, and `init_args`, which may be left out, is."""
    found: list[tuple[str, str]] = []
    for word in words:
        if word.startswith("--"):
            option, _, value = word.partition("=")
            found.append((option.replace(".init_args.", "."), value))
        elif found:
            option, value = found[-1]
            found[-1] = (option, f"{value} {word}".strip())
    return found


def grouped(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Options of a command line, each with all the words that belong to it."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            found.append((word.partition("=")[0], [word]))
        elif found:
            found[-1][1].append(word)
    return found


def _material(held: Mapping[str, Any]) -> dict[str, Any]:
    """What a grid must have in common with another to go on in its folder, by name."""
    named = leaves({"grid": held["grid"], **held["fit"]})
    given = [f"{option} {value}" for option, value in option_values(held["options"]) if not _is_immaterial(option[2:])]
    material = {name: value for name, value in named.items() if not _is_immaterial(name)}
    return {**material, "the command line": " ".join(given) or "without options", "pretrained": held["pretrained"]}


def _is_immaterial(name: str) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in _IMMATERIAL)
