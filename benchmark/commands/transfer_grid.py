"""The grid of a transfer experiment: its configuration, its cells, and where each stands, in files alone."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import UserError
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record
from benchmark.results.regimes import Regime
from benchmark.results.transfer_tables import NOT_RUN, CellResult

CHOICE_NAME, FAILURE_NAME, LOG_NAME = "choice.json", "failed.txt", "log.txt"

_CLAIM = "grid.json"
_FIT_PARTS = {"seed_everything", "model", "data", "trainer", "checkpoint"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegimeSettings(_Part):
    """How one regime is trained.

    Args:
        keep_probabilities: Chances of keeping a unit to choose from, on the validation videos of each cell.
        max_epochs: Instead of the one under `trainer`.
        learning_rate: Instead of the one under `model`.
    """

    keep_probabilities: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)
    max_epochs: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)


class Grid(_Part):
    """Regimes x folds x seeds.

    Args:
        regimes: Each with its settings.
        folds: Folds to train and test on.
        seeds: Seeds of training.
        feature_draws: Crops and flips of each clip in which frozen layers see it; 0 stores no features.
        cache_gb: Most that stored features may take, in 10^9 bytes.
    """

    regimes: dict[Regime, RegimeSettings] = Field(min_length=1)
    folds: tuple[int, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    feature_draws: int = 4
    cache_gb: float = Field(default=8.0, gt=0)


@dataclasses.dataclass(frozen=True)
class Cell:
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

    @property
    def is_finished(self) -> bool:
        """Whether its record is there."""
        return (self.folder / RECORD_NAME).is_file()

    def state(self) -> str:
        """`finished`, `failed`, `unfinished` or `not run`, from its files."""
        if self.is_finished:
            return "finished"
        if (self.folder / FAILURE_NAME).is_file():
            return "failed"
        return "unfinished" if (self.folder / LOG_NAME).is_file() else NOT_RUN

    def result(self) -> CellResult:
        """What came of it; a record that cannot be read is a hole like any other."""
        record, ledger, state, keep = None, None, self.state(), None
        if self.is_finished:
            try:
                record, ledger = Record.read(self.folder), Ledger.read(self.folder / LEDGER_NAME)
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

    Raises:
        UserError: If the file is not there or says something that is not allowed.
    """

    def __init__(self, path: Path, folder: Path, pretrained: Path | None, words: Sequence[str]) -> None:
        self.path, self.folder, self.pretrained, self.words = path, folder, pretrained, list(words)
        try:
            held = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"--config {path} cannot be read: {str(error).splitlines()[0]}") from error
        if not isinstance(held, dict) or not isinstance(held.get("grid"), dict):
            raise UserError(f"--config {path} has no part `grid`; conf/transfer/ has examples")
        if unknown := sorted(set(held) - _FIT_PARTS - {"grid"}):
            raise UserError(
                f"--config {path} has {', '.join(map(str, unknown))}; allowed are grid, {', '.join(sorted(_FIT_PARTS))}"
            )
        try:
            self.grid = Grid.model_validate(held["grid"])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in ("grid", *first["loc"]))
            raise UserError(f"--config {path}: {where} is {first['input']!r}: {first['msg']}") from None
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

    def claim(self) -> None:
        """Note what this folder is about; another grid must not go on in it.

        Raises:
            UserError: If the folder is of another grid, with what differs, or pretrained weights are missing.
        """
        self.require_weights()
        mine = {
            "grid": self.grid.model_dump(mode="json"),
            "fit": json.loads(json.dumps(self.fit, default=str)),
            "options": self.words,
            "pretrained": None if self.pretrained is None else _sha256(self.pretrained),
        }
        file = self.folder / _CLAIM
        if file.is_file():
            held = json.loads(file.read_text("utf-8"))
            differ = [name for name in mine if held.get(name) != mine[name]]
            if differ:
                raise UserError(
                    f"--run_dir {self.folder} holds a grid that differs in {' and '.join(differ)}; name another folder"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(json.dumps(mine, indent=1), "utf-8")
        unfinished.replace(file)

    def fit_config(self, cell: Cell, keep: float) -> dict[str, Any]:
        """The configuration of one fit of a cell."""
        config: dict[str, Any] = json.loads(json.dumps(self.fit, default=str))  # a deep copy
        settings = self.grid.regimes[cell.regime]
        config["seed_everything"] = cell.seed
        config["data"].setdefault("init_args", {}).update(fold=cell.fold, seed=cell.seed)
        if settings.max_epochs is not None:
            config.setdefault("trainer", {})["max_epochs"] = settings.max_epochs
        if settings.learning_rate is not None:
            options = config["model"].setdefault("init_args", {})
            options.setdefault("recipe", {})["learning_rate"] = settings.learning_rate
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
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"--pretrained {path} cannot be read: {error.strerror}; give a checkpoint of a fit") from error
