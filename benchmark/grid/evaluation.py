"""A claim about one configuration: a cell for each fold and seed, each a fit and a test of its own."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.grid.cells import Cell, Running, run_cell
from benchmark.grid.claim import claim, option_values

_OF_THE_CELL = {"--data.fold": "--folds", "--data.seed": "--seeds", "--seed_everything": "--seeds"}


@dataclasses.dataclass(frozen=True)
class EvaluationCell(Cell):
    """One fold and seed.

    Args:
        number: From 1.
        fold: Official fold, or None where the data has none.
        seed: Of training.
        folder: Of its test; the fit is in `fit` below.
    """

    number: int
    fold: int | None
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """For people and as a folder."""
        return self.folder.name


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is claimed: a configuration with options, on folds and seeds.

    Args:
        folder: Where everything is left.
        config: Of every fit.
        words: Options of the command line for every fit.
        folds: Official folds; one None where the data has none.
        seeds: Of training.

    Raises:
        UserError: If an option is the cells' own.
    """

    folder: Path
    config: dict[str, Any]
    words: tuple[str, ...]
    folds: tuple[int | None, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for option, value in option_values(self.words):
            if option in _OF_THE_CELL:
                raise UserError(f"{option} {value} is the cells' own; give {_OF_THE_CELL[option]} instead")

    @property
    def cells(self) -> list[EvaluationCell]:
        """In the order in which they are run."""
        found: list[EvaluationCell] = []
        for fold in self.folds:
            for seed in self.seeds:
                name = f"{'' if fold is None else f'fold{fold}-'}seed{seed}"
                found.append(EvaluationCell(len(found) + 1, fold, seed, self.folder / "cells" / name))
        return found

    def claim(self, *, only_compare: bool = False) -> None:
        """Note what the folder is about, and refuse to go on with something else in it; folds and seeds may be added.

        Args:
            only_compare: Write nothing.
        """
        words: Sequence[str] = self.words
        claim(
            self.folder, "--run_dir", grid={}, fit=self.config, words=words, pretrained=None, only_compare=only_compare
        )

    def run(self, cell: EvaluationCell) -> bool:
        """Bring a cell to its end; returns whether it is finished."""

        def steps(running: Running) -> None:
            config: dict[str, Any] = json.loads(json.dumps(self.config, default=str))
            own = [] if cell.fold is None else ["--data.fold", str(cell.fold)]
            words = [*self.words, *own, "--data.seed", str(cell.seed)]
            running.fit(cell.folder / "fit", {**config, "seed_everything": cell.seed}, words)
            running.test(cell.folder / "fit")

        return run_cell(cell, len(self.cells), steps)
