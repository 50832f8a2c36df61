"""What a reproduction consists of: cells for Table 1, a pretraining, and the grid of Tables 3 and 4."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmark.errors import UserError
from benchmark.grid.cells import FAILURE_NAME, NOT_RUN, Cell, Running, run_cell
from benchmark.grid.claim import claim, grouped, option_values
from benchmark.paper.rows import AVERAGE, HISTOGRAMS, ROWS, SLOW, Row
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.shipped import configuration, is_file
from benchmark.transfer.cell import run_cell as run_transfer_cell
from benchmark.transfer.grid import Cell as TransferCell
from benchmark.transfer.grid import Experiment

Recipe = Literal["shipped", "paper"]

_AUGMENTATION = '{"smallest_region": null, "aspect_ratio": 1.0, "colour": 0.0, "grey": 0.0}'
WEIGHTS = "fit/checkpoints/best.ckpt"
"""In a cell's folder. It is there from the first validation on, and changes until the fit ends."""

_SPORTS1M = {"Sports1M", "Sports1MShards"}
_TRANSFER_OF = {"SyntheticActions": "transfer/embedded", "UCF101": "transfer/ucf101"}


def _read(option: str, value: str) -> Any:
    """What an option's value holds, which may be a file."""
    try:
        return yaml.safe_load(Path(value).read_text("utf-8") if is_file(value) else value)
    except yaml.YAMLError:
        raise UserError(f"{option} {value} is not YAML; correct it") from None


def _wait(cell: Cell, said: str) -> bool:
    """Leave a cell for later, with nothing of what it may have failed for before."""
    print(said, flush=True)
    (cell.folder / FAILURE_NAME).unlink(missing_ok=True)
    return False


@dataclasses.dataclass(frozen=True)
class Table1Cell(Cell):
    """One system on one fold.

    Args:
        number: From 1.
        row: The system.
        fold: Official fold, or None where the data has none.
        seed: Of training.
        folder: Of its test; the fit is in `fit` below.
    """

    number: int
    row: Row
    fold: int | None
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """For people and as a folder."""
        return self.folder.name

    def state(self) -> str:
        """As of any cell; of a system that this version does not have, that."""
        state = super().state()
        return f"{NOT_RUN}, this version does not have it" if state == NOT_RUN and not self.row.is_here else state

    def read(self) -> tuple[Record, Ledger] | str:
        """Record and ledger of its test, or why there are none."""
        if not self.is_finished:
            return self.state()
        try:
            return Record.read(self.folder), Ledger.read(self.folder / LEDGER_NAME)
        except UserError as error:
            return f"unreadable: {error}; remove {self.folder} to run it again"


@dataclasses.dataclass(frozen=True)
class Pretraining(Cell):
    """The fit whose weights are carried over to other videos.

    Args:
        number: From 1.
        folder: The fit is in `fit` below.
    """

    number: int
    folder: Path

    @property
    def name(self) -> str:
        """For people."""
        return "pretraining"

    @property
    def is_finished(self) -> bool:
        """Whether its fit came to its end."""
        return (self.folder / "fit/fit.json").is_file() and (self.folder / WEIGHTS).is_file()


@dataclasses.dataclass(frozen=True)
class Plan:
    """A reproduction, as asked for.

    Args:
        folder: Where everything is left.
        dataset: Name of the data module's class.
        words: Options for every fit: `--data NAME` first, then others of data, model and trainer.
        folds: Official folds; one None where the data has none.
        seeds: Of training.
        recipe: `shipped`, or `paper` for conf/paper.
        width: Of the paper's networks, or None for that of the recipe.
        epochs: Of every fit, or None for those of the configurations.
        pretrained: Weights that Tables 3 and 4 begin with, or None.
        ucf101: Folder of UCF-101 for Tables 3 and 4, where Table 1 is about other videos.
    """

    folder: Path
    dataset: str
    words: tuple[str, ...]
    folds: tuple[int | None, ...]
    seeds: tuple[int, ...] = (0,)
    recipe: Recipe = "shipped"
    width: float | None = None
    epochs: int | None = None
    pretrained: Path | None = None
    ucf101: Path | None = None

    def table1_cells(self) -> list[Table1Cell]:
        """Every cell of Table 1, whatever of them is asked for, so that their numbers never change."""
        cells: list[Table1Cell] = []
        for row in ROWS:
            for fold in self.folds:
                for seed in self.seeds:
                    name = f"{row.key}{'' if fold is None else f'-fold{fold}'}-seed{seed}"
                    cells.append(Table1Cell(len(cells) + 1, row, fold, seed, self.folder / "cells" / name))
        return cells

    def pretraining(self) -> Pretraining | None:
        """The cell whose weights Tables 3 and 4 begin with, where they are made here from embedded videos."""
        if self.pretrained is not None or self.dataset != "SyntheticActions":
            return None
        return Pretraining(len(self.table1_cells()) + 1, self.folder / "cells/pretraining")

    def weights_cell(self) -> Cell | None:
        """The cell whose fit makes the weights that Tables 3 and 4 begin with; None where none of these does."""
        if self.pretrained is None and self.dataset in _SPORTS1M:  # as in the paper
            return next(cell for cell in self.table1_cells() if cell.row.key == SLOW)
        return self.pretraining()

    def transfer_weights(self) -> Path | None:
        """File of the weights that Tables 3 and 4 begin with, whether it is there or not."""
        cell = self.weights_cell()
        return self.pretrained if cell is None else cell.folder / WEIGHTS

    def transfer_lacks(self) -> str | None:
        """Why there is no grid of Tables 3 and 4, in words, or None."""
        if self._transfer_name() is None:
            return (
                "Tables 3 and 4 are of UCF-101: name the folder of its videos as --ucf101 DIR"
                if self.dataset in _SPORTS1M
                else f"Tables 3 and 4 need data with folds, and {self.dataset} has none"
            )
        if self.transfer_weights() is None:
            return (
                "Tables 3 and 4 begin with weights trained on other videos, as the paper's on Sports-1M: train slow "
                "fusion there, or elsewhere, and name its checkpoint as --pretrained CKPT"
            )
        return None

    def transfer(self) -> Experiment | None:
        """The grid of Tables 3 and 4, or None where something lacks."""
        if self.transfer_lacks() is not None:
            return None
        name = self._transfer_name()
        held: dict[str, Any] = yaml.safe_load(configuration(str(name)).read_text("utf-8"))
        held["grid"]["folds"] = [fold for fold in self.folds if fold is not None] or [1, 2, 3]
        held["grid"]["seeds"] = list(self.seeds)
        if self.epochs is not None:
            for settings in held["grid"]["regimes"].values():
                settings["max_epochs"] = self.epochs
        held["model"] = self._transfer_model()
        held["data"] = self._transfer_data(held["data"])
        own = [f"--data.root={self.ucf101}"] if self.ucf101 is not None else self._options_of("--data")
        words = [*own, *self._options_of("--trainer")]
        return Experiment(configuration(str(name)), self.folder / "transfer", self.transfer_weights(), words, held)

    def transfer_cells(self) -> list[TransferCell]:
        """Its cells, numbered after those of Table 1; none where something lacks."""
        experiment = self.transfer()
        before = len(self.table1_cells()) + (self.pretraining() is not None)
        cells = [] if experiment is None else experiment.cells
        return [dataclasses.replace(cell, number=before + cell.number) for cell in cells]

    def cells(self) -> list[Cell]:
        """All cells in the order in which they are run."""
        own = self.pretraining()
        return [*self.table1_cells(), *([] if own is None else [own]), *self.transfer_cells()]

    def run(self, cell: Cell, count: int) -> bool:
        """Bring a cell to its end; returns whether it is finished."""
        if isinstance(cell, Table1Cell):
            return self._run_table1(cell, count)
        if isinstance(cell, Pretraining):
            return run_cell(cell, count, self._pretrain)
        experiment = self.transfer()
        if experiment is None or not isinstance(cell, TransferCell):
            raise UserError(str(self.transfer_lacks()))
        head, source = f"cell {cell.number} of {count}, {cell.name}", self.weights_cell()
        if source is not None and not source.is_finished:
            said = f"begins with the weights of cell {source.number}, {source.name}, which is {source.state()}"
            return _wait(cell, f"{head}: {said}")
        try:
            experiment.claim(option="--out")
        except UserError as error:  # the others go on, and the report is made
            print(f"{head}: {error}", flush=True)
            return False
        return run_transfer_cell(experiment, cell, count)

    def claim(self, *, only_compare: bool = False) -> None:
        """Note what the folder is about, and refuse to go on with something else in it."""
        grid: dict[str, Any] = {"folds": self.folds, "seeds": self.seeds, "width": self.width}
        grid |= {"epochs": self.epochs, "recipe": self.recipe}
        claim(self.folder, "--out", grid=grid, fit={}, words=self.words, pretrained=None, only_compare=only_compare)

    def row_config(self, row: Row) -> dict[str, Any]:
        """The configuration of a system, as it ships."""
        name = f"paper/{row.config}" if self.recipe == "paper" and row.is_network else row.config
        held: dict[str, Any] = yaml.safe_load(configuration(name).read_text("utf-8"))
        return held

    def fit_words(self, row: Row, fold: int | None, seed: int) -> list[str]:
        """Options of a fit of a system, its own last."""
        words = list(self.words)
        if self.recipe == "paper" and row.is_network:  # in front of what was given by hand
            words[2:2] = ["--data.augmentation", _AUGMENTATION]
        if not row.is_network:
            words = [word for option, value in grouped(words) if not option.startswith("--model") for word in value]
        own = {
            "--data.fold": fold,
            "--data.seed": seed,
            "--trainer.max_epochs": self.epochs,
            "--model.width": self.width if row.is_network else None,
        }
        return [*words, *(word for name, v in own.items() if v is not None for word in (name, str(v)))]

    def _run_table1(self, cell: Table1Cell, count: int) -> bool:
        if not cell.row.is_here and not cell.is_finished:
            print(f"cell {cell.number} of {count}, {cell.name}: {cell.state()}", flush=True)
            return False
        members = [
            other
            for other in self.table1_cells()
            if other.row.key in cell.row.members and (other.fold, other.seed) == (cell.fold, cell.seed)
        ]
        lacking = [member.name for member in members if not member.is_finished]
        if lacking and not cell.is_finished:
            said = f"averages tests that are not finished yet: {', '.join(lacking)}"
            return _wait(cell, f"cell {cell.number} of {count}, {cell.name}: {said}")
        return run_cell(cell, count, self._average(members) if members else self._fit_and_test(cell))

    def _fit_and_test(self, cell: Table1Cell) -> Callable[[Running], None]:
        def steps(running: Running) -> None:
            held = self._tuned(cell, running) if cell.row.key == HISTOGRAMS else self.row_config(cell.row)
            config = {**held, "seed_everything": cell.seed}
            running.fit(cell.folder / "fit", config, self.fit_words(cell.row, cell.fold, cell.seed))
            running.test(cell.folder / "fit")

        return steps

    def _tuned(self, cell: Table1Cell, running: Running) -> dict[str, Any]:
        """The configuration of a system whose options the paper chose on validation videos (section 4.1)."""
        folder = cell.folder / "tuned"
        file = folder / f"{cell.row.config}.yaml"
        if not file.is_file():
            running.say("tune")
            words = self.fit_words(cell.row, cell.fold, cell.seed)
            data = [word for option, value in grouped(words) if option.split(".")[0] == "--data" for word in value]
            own = {"--run_dir": folder, "--seed": cell.seed, "--epochs": self.epochs}
            options = [word for name, v in own.items() if v is not None for word in (name, str(v))]
            running.verb([HISTOGRAMS, "tune", *data, *options])
        held: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
        return {**held, "data": self.row_config(cell.row)["data"]}  # the words of the fit say which

    def _average(self, members: Sequence[Table1Cell]) -> Callable[[Running], None]:
        def steps(running: Running) -> None:
            running.say("average")
            running.verb([AVERAGE, *(str(member.folder) for member in members), "--run_dir", str(running.cell.folder)])

        return steps

    def _pretrain(self, running: Running) -> None:
        """Slow fusion on other embedded videos: as Sports-1M is to UCF-101, but with the same classes."""
        row = next(row for row in ROWS if row.key == SLOW)
        words = [*self.fit_words(row, None, self.seeds[0]), "--data.generation_seed", "1"]
        running.fit(running.cell.folder / "fit", self.row_config(row), words)

    def _transfer_model(self) -> dict[str, Any]:
        """Slow fusion with the recipe that was given; a regime that states a learning rate has that."""
        held: dict[str, Any] = self.row_config(next(row for row in ROWS if row.key == SLOW))["model"]
        options = held["init_args"]
        if self.width is not None:
            options["width"] = self.width
        for option, value in option_values(self.words):
            if option.startswith("--model.recipe"):
                given = _read(option, value)
                named = {option.rpartition(".")[2]: given} if option != "--model.recipe" else given
                if isinstance(named, dict):  # what is none is the fit's to refuse
                    options["recipe"] = {**options.get("recipe", {}), **named}
        return held

    def _transfer_data(self, of_grid: dict[str, Any]) -> dict[str, Any]:
        """The data of Table 1, or UCF-101 beside it; the grid says how many clips of a video it trains on.

        Args:
            of_grid: What the grid's file says.
        """
        held = of_grid
        if self.ucf101 is None:
            named = _read(*self.words[:2])
            held = named if isinstance(named, dict) else {"class_path": named}
        own = held.get("init_args") or {}
        options = {name: value for name, value in own.items() if name not in {"fold", "seed"}}
        given = options.get("clips_per_video") or {}
        clips = {name: count for name, count in given.items() if name not in {"train", "train_epoch"}}
        options["clips_per_video"] = {**of_grid["init_args"]["clips_per_video"], **clips}
        if self.recipe == "paper":
            options["augmentation"] = json.loads(_AUGMENTATION)
        return {"class_path": held["class_path"], "init_args": options}

    def _transfer_name(self) -> str | None:
        return "transfer/ucf101" if self.ucf101 is not None else _TRANSFER_OF.get(self.dataset)

    def _options_of(self, part: str) -> list[str]:
        """Words of options of a part, such as `--data.root DIR`, without the one that names its class."""
        return [word for option, value in grouped(self.words) if option.startswith(f"{part}.") for word in value]

    def data_root(self) -> Path | None:
        """Folder of the videos, as given now."""
        given = dict(option_values(self.words)).get("--data.root")
        return None if given in {None, "", "null"} else Path(str(given))
