"""Chooses the network's options on validation videos, and says what each feature is worth.

Networks are trained here one after the other on histograms that are there already, by the same steps as in `fit`.
Letters: V videos, K classes.
"""

import csv
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import torch

from benchmark.clip import VideoBatch
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.loader import EpochBatches, VideoBatches
from benchmark.errors import UserError
from benchmark.histograms.network import RECIPE, HistogramNetwork
from benchmark.histograms.whole_videos import HistogramLoaders, prepare
from benchmark.histograms.words import Words
from benchmark.results.ledger import SCHEMA, Ledger
from benchmark.runs.ledger_rows import ledger_info
from benchmark.runs.trainer import Trainer

CHOSEN_BY = "val/map"
"""Of few validation videos it tells networks apart more finely than Hit@1."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is tuned (section 4.1: learning rate, weight decay, depth, dropout and width)."""

    hidden_layers: int
    width: int
    dropout: float
    input_dropout: float
    learning_rate: float
    weight_decay: float

    @classmethod
    def drawn(cls, seed: int, trial: int) -> "Options":
        """Of a trial of a random search, a function of its seed and number."""
        source = np.random.default_rng([seed, trial])
        return cls(
            hidden_layers=int(source.integers(1, 3)),
            width=int(source.choice([64, 128, 256])),
            dropout=float(source.choice([0.0, 0.25, 0.5, 0.75])),
            input_dropout=float(source.choice([0.0, 0.2, 0.5])),
            learning_rate=float(f"{10 ** source.uniform(-3, -0.5):.2g}"),
            weight_decay=float(f"{10 ** source.uniform(-5, -2):.2g}"),
        )

    def init_args(self, base: dict[str, Any]) -> dict[str, Any]:
        """Options of the network: a configuration's, with these in their place."""
        own = dataclasses.asdict(self)
        recipe = {name: own.pop(name) for name in ("learning_rate", "weight_decay")}
        return {**base, **own, "recipe": {**dataclasses.asdict(RECIPE), **base.get("recipe", {}), **recipe}}


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network at its best epoch.

    Args:
        network: With the weights of that epoch.
        values: What its validation logged.
        epoch: Counted from 1.
        seconds: That training took.
    """

    network: HistogramNetwork
    values: dict[str, float]
    epoch: int
    seconds: float


class Laboratory:
    """Videos whose words and histograms are there, to train networks on.

    Args:
        data: The videos, with training and validation ones.
        init_args: Options of the network as a configuration has them.
        epochs: Of each training.
        seed: Of the weights.

    Raises:
        UserError: If there is nothing to validate on.
    """

    def __init__(self, data: VideoDataModule, init_args: dict[str, Any], epochs: int, seed: int = 0) -> None:
        if not len(data.index.rows("validation")):
            raise UserError(
                f"{data.index.identity} has no validation videos, on which options are chosen; raise "
                "data.validation_share"
            )
        self.data, self.init_args, self.epochs, self.seed = data, init_args, epochs, seed
        first = self.network(init_args)
        prepare(first, data)
        self.words: dict[str, Words] = first.words

    def network(self, init_args: dict[str, Any]) -> HistogramNetwork:
        """A new network with some options, without words."""
        options = {**init_args}
        if isinstance(options.get("recipe"), dict):
            options["recipe"] = dataclasses.replace(RECIPE, **options["recipe"])
        if options.get("store") is not None:
            options["store"] = Path(options["store"])
        L.seed_everything(self.seed, verbose=False)
        try:
            return HistogramNetwork(self.data.num_classes, **options)
        except TypeError as error:
            raise UserError(f"model.init_args of the configuration: {error}; see HistogramNetwork") from error

    def train(self, init_args: dict[str, Any]) -> Trained:
        """Train a network with some options and take the weights of its best epoch."""
        begun = time.perf_counter()
        network = self.network(init_args)
        network.take_words(self.words)
        data, loaders, best = self.data, HistogramLoaders(network, self.data), _Best()
        batches = EpochBatches(
            data.index.rows("train"), data.batch_size, clips_per_video=1, clips_per_epoch=1, seed=data.seed
        )
        trainer = Trainer(
            max_epochs=self.epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[best],
        )  # fmt: skip
        trainer.fit(network, loaders.training(batches), loaders.evaluation("validation", self._batches("validation")))
        if best.state is None:
            raise UserError(f"nothing was validated in training with {init_args}; raise the number of epochs")
        network.load_state_dict(best.state)
        return Trained(network, best.values, best.epoch, time.perf_counter() - begun)

    @torch.no_grad()
    def tested(self, network: HistogramNetwork) -> Ledger:
        """What a network says of the test videos."""
        index, rows = self.data.index, list[tuple[int, dict[str, Any]]]()
        network.eval()
        for batch in HistogramLoaders(network, self.data).evaluation("test", self._batches("test")):
            rows += _ledger_rows(batch, network)
        table = index.table.select(["video_id", "labels", "source_group"]).take(pa.array([row for row, _ in rows]))
        merged = [named | own for named, (_, own) in zip(table.to_pylist(), rows, strict=True)]
        return Ledger(ledger_info(self.data), pa.Table.from_pylist(merged, SCHEMA))

    def _batches(self, split: Any) -> VideoBatches:
        return VideoBatches(self.data.index.rows(split), self.data.batch_size)


def _ledger_rows(batch: VideoBatch, network: HistogramNetwork) -> list[tuple[int, dict[str, Any]]]:
    scores = network.clip_probabilities(batch).cpu().numpy().tolist()
    rows = [
        (row, dict(status="scored", scores=own, clip_starts=[], clip_ranks=[]))
        for row, own in zip(batch.rows.tolist(), scores, strict=True)
    ]
    return [*rows, *((f.row, dict(status="failed", reason=f.reason)) for f in batch.failures)]


class _Best(L.Callback):
    """Remembers the weights of the best validation."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None
        self.values: dict[str, float] = {}
        self.epoch = 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare; of equal epochs the first is kept, as in `fit`."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if values[CHOSEN_BY] > self.values.get(CHOSEN_BY, -1.0):
            self.values, self.epoch = values, trainer.current_epoch + 1
            self.state = {name: value.detach().clone() for name, value in pl_module.state_dict().items()}


_SCORES = (CHOSEN_BY, "val/video_hit1")


def search(laboratory: Laboratory, trials: int, seed: int, table: Path) -> Options:
    """Train networks with random options and take the best; every trial is written to a table, and is not run again.

    Args:
        laboratory: Trains.
        trials: How many.
        seed: Of the search.
        table: CSV file of this search, begun or not.

    Returns:
        The options of the trial with the highest mean average precision on validation; of equal ones the first.

    Raises:
        UserError: If the table is of another search.
    """
    names = [field.name for field in dataclasses.fields(Options)]
    header = ["trial", *names, "best_epoch", *_SCORES, "seconds"]
    done = _read(table, header)
    if not table.exists():
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(",".join(header) + "\n", "utf-8")
    for trial in range(trials):
        options = Options.drawn(seed, trial)
        shown = [str(trial), *(str(getattr(options, name)) for name in names)]
        if trial < len(done):
            if list(done[trial].values())[: len(shown)] != shown:
                raise UserError(f"{table} holds trials of another search; name another folder, or delete it")
            continue
        found = laboratory.train(options.init_args(laboratory.init_args))
        values = [f"{found.values[name]:.6f}" for name in _SCORES]
        line = [*shown, str(found.epoch), *values, f"{found.seconds:.1f}"]
        done.append(dict(zip(header, line, strict=True)))
        with table.open("a", encoding="utf-8") as file:
            file.write(",".join(line) + "\n")
        said = ", ".join(f"{name} {value}" for name, value in zip(names, shown[1:], strict=True))
        print(f"trial {trial + 1} of {trials}: {CHOSEN_BY} {values[0]} ({said}; epoch {found.epoch})", flush=True)
    best = max(range(trials), key=lambda trial: float(done[trial][CHOSEN_BY]))
    return Options.drawn(seed, best)


def has_trials(table: Path) -> bool:
    """Whether a trial is noted in a table, which need not be there."""
    return table.is_file() and table.read_text("utf-8").count("\n") > 1


def _read(table: Path, header: Sequence[str]) -> list[dict[str, str]]:
    """Whole lines of a table that may have been cut off."""
    if not table.exists():
        return []
    text = table.read_text("utf-8")
    whole_lines = text[: text.rfind("\n") + 1]
    if whole_lines != text:
        table.write_text(whole_lines, "utf-8")
    rows = list(csv.reader(whole_lines.splitlines()))
    if not rows or rows[0] != list(header):
        raise UserError(f"{table} is no table of trials; name another folder, or delete it")
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]
