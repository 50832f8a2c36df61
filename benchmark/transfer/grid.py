"""The grid of a transfer experiment: its configuration, its cells, and the state of each, in files alone."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.grid.cells import Cell as AnyCell
from benchmark.grid.claim import claim, option_values
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.shipped import with_files
from benchmark.transfer.regimes import Regime
from benchmark.transfer.tables import CellResult

CHOICE_NAME = "choice.json"

_FIT_PARTS = {"seed_everything", "model", "data", "trainer", "checkpoint", "optimizer", "lr_scheduler"}

_OF_THE_CELL = {
    "--data.fold": "grid.folds",
    "--data.seed": "grid.seeds",
    "--trainer.max_epochs": "max_epochs of the regimes in grid.regimes",
    "--model.recipe.learning_rate": "learning_rate of the regimes in grid.regimes",
}
"""Options of `fit` that differ from cell to cell, and where the grid says them."""

_LOGGER = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": ".", "name": "csv"}}
"""Into the cell's folder; a grid has too many fits for runs of W&B."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegimeSettings(_Part):
    """How one regime is trained.

    Args:
        keep_probabilities: Chances of keeping a unit to choose from, on the validation videos of each cell.
        max_epochs: Instead of the one under `trainer`.
        learning_rate: Instead of the one under `model`, or under `optimizer` where one is named.
    """

    keep_probabilities: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)
    max_epochs: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)


def _draws(count: int) -> int:
    if count != 0 and count < 4:
        raise ValueError("it must be 4 or more, so that stored features do not freeze the augmentation, or 0 for none")
    return count


def _each_once(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(numbers)) < len(numbers):
        raise ValueError("it names one twice; name each once")
    return numbers


class Grid(_Part):
    """Regimes x folds x seeds.

    Args:
        regimes: Each with its settings.
        folds: Folds to train and test on, each once.
        seeds: Seeds of training, each once.
        feature_draws: Crops and flips of each clip in which frozen layers see it, 4 or more; 0 stores no features.
        cache_gb: Most that stored features may take, in 10^9 bytes.
    """

    regimes: dict[Regime, RegimeSettings] = Field(min_length=1)
    folds: Annotated[tuple[int, ...], AfterValidator(_each_once)] = Field(min_length=1)
    seeds: Annotated[tuple[int, ...], AfterValidator(_each_once)] = Field(default=(0,), min_length=1)
    feature_draws: Annotated[int, AfterValidator(_draws)] = 4
    cache_gb: float = Field(default=8.0, gt=0)


@dataclasses.dataclass(frozen=True)
class Cell(AnyCell):
    """One run of the grid.

    Args:
        number: From 1, in the order of the grid.
        regime: Which layers are trained.
        fold: Official fold.
        seed: Of training.
        folder: Its run folder.
    """

    number: int
    regime: Regime
    fold: int
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """For people and as a folder."""
        return f"{self.regime}-fold{self.fold}-seed{self.seed}"

    def result(self) -> CellResult:
        """What came of it; a record that cannot be read is a hole like any other."""
        record, ledger, state, keep = None, None, self.state(), None
        if self.is_finished:
            try:
                record, ledger = Record.read(self.folder), Ledger.read(self.folder / LEDGER_NAME)
                if record.dataset.fold != self.fold:
                    raise UserError(f"its record is of fold {record.dataset.fold}")
                keep = float(json.loads((self.folder / CHOICE_NAME).read_text("utf-8"))["keep_probability"])
            except (UserError, OSError, ValueError, KeyError) as error:
                record, ledger, state = None, None, f"unreadable: {error}"
        return CellResult(self.regime, self.fold, self.seed, state, record, ledger, keep)


class Experiment:
    """A configuration file, read: the grid, and what every fit of it shares.

    Args:
        path: The file: `grid`, and otherwise the keys of a fit's configuration.
        folder: Where the grid's files lie.
        pretrained: Checkpoint that all regimes but `scratch` begin with.
        words: Options of the command line for every fit.
        held: What the file holds, with changes; None reads it.

    Raises:
        UserError: If the file is not there or says something that is not allowed, or an option is the cells' own.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        pretrained: Path | None,
        words: Sequence[str],
        held: dict[str, Any] | None = None,
    ) -> None:
        self.path, self.folder, self.pretrained, self.words = path, folder, pretrained, list(words)
        for option, value in option_values(words):
            if option in _OF_THE_CELL:
                raise UserError(f"{option} {value} is the cells' own; change {_OF_THE_CELL[option]} in {path}")
        try:
            held = yaml.safe_load(path.read_text("utf-8")) if held is None else held
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"--config {path} cannot be read: {str(error).splitlines()[0]}") from error
        if not isinstance(held, dict) or not isinstance(held.get("grid"), dict):
            raise UserError(f"--config {path} has no part `grid`; transfer/embedded, for example, has one")
        if unknown := sorted(set(held) - _FIT_PARTS - {"grid"}):
            raise UserError(
                f"--config {path} has {', '.join(map(str, unknown))}; allowed are grid, {', '.join(sorted(_FIT_PARTS))}"
            )
        try:
            self.grid = Grid.model_validate(held["grid"])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in ("grid", *first["loc"]))
            raise UserError(
                f"--config {path}: {where} is {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
            ) from None
        self.fit = {name: part for name, part in held.items() if name != "grid"}
        for part in ("model", "data"):
            block = self.fit.get(part)
            if not (isinstance(block, dict) and isinstance(block.get("class_path"), str)):
                raise UserError(f"--config {path} has no {part} with a class_path")
        self.cells = [
            Cell(number, regime, fold, seed, folder / "cells" / f"{regime}-fold{fold}-seed{seed}")
            for number, (regime, fold, seed) in enumerate(
                (
                    (regime, fold, seed)
                    for regime in self.grid.regimes
                    for fold in self.grid.folds
                    for seed in self.grid.seeds
                ),
                start=1,
            )
        ]

    def require_weights(self) -> None:
        """Refuse to begin without the weights that regimes begin with.

        Raises:
            UserError: If they are not named.
        """
        needing = [regime for regime in self.grid.regimes if regime != "scratch"]
        if needing and self.pretrained is None:
            raise UserError(f"the regimes {', '.join(needing)} begin with trained weights; name them as --pretrained")

    def claim(self, *, option: str = "--run_dir", only_compare: bool = False) -> None:
        """Note what this folder is about; another grid must not go on in it once something was trained.

        Args:
            option: By which its folder is named, or one above it.
            only_compare: Write nothing, and let pretrained weights that are not named be those of the folder.

        Raises:
            UserError: If the folder is of another grid, with what differs, or pretrained weights are missing.
        """
        if not only_compare:
            self.require_weights()
        claim(
            self.folder,
            option,
            grid=self.grid.model_dump(mode="json"),
            fit=self.fit,
            words=self.words,
            pretrained=None if self.pretrained is None else _sha256(self.pretrained),
            only_compare=only_compare,
        )

    @property
    def names_optimizer(self) -> bool:
        """Whether every fit has an optimiser that the file or the command line names, and not the network's own."""
        given = {option.partition(".")[0] for option, _ in option_values(self.words)}
        return "--optimizer" in given or bool(self.fit.get("optimizer"))

    def part_words(self, part: str) -> list[str]:
        """The model or data of every fit as words of a command line: the file's, then those given."""
        words, is_of_part = [f"--{part}", json.dumps(self.fit[part], default=str)], False
        for word in self.words:
            if word.startswith("--"):
                is_of_part = word.partition("=")[0].split(".")[0] == f"--{part}"
            words += [word] if is_of_part else []
        return with_files(words)

    def fit_words(self, cell: Cell) -> list[str]:
        """Options of every fit of a cell; its own come last, so that no file named before them decides."""
        settings = self.grid.regimes[cell.regime]
        own = dict(zip(_OF_THE_CELL, (cell.fold, cell.seed, settings.max_epochs, settings.learning_rate), strict=True))
        if self.names_optimizer:
            own["--optimizer.lr"] = own.pop("--model.recipe.learning_rate")
        return [*self.words, *(word for name, v in own.items() if v is not None for word in (name, str(v)))]

    def fit_config(self, cell: Cell, keep: float) -> dict[str, Any]:
        """The configuration of one fit of a cell, less what `fit_words` says."""
        config: dict[str, Any] = json.loads(json.dumps(self.fit, default=str))  # a deep copy
        config["seed_everything"] = cell.seed
        config["trainer"] = {"logger": [_LOGGER], **(config.get("trainer") or {})}
        config["transfer"] = {
            "regime": cell.regime,
            "pretrained": None if cell.regime == "scratch" else str(self.pretrained),
            "keep_probability": keep,
            "feature_draws": self.grid.feature_draws,
            "cache": str(cell.folder / "features"),
            "cache_gb": self.grid.cache_gb,
        }
        return config


def _sha256(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise UserError(f"--pretrained {path} cannot be read: {error.strerror}; give a checkpoint of a fit") from error
