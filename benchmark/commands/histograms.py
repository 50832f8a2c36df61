"""The histogram baseline beside `fit` and `test`: its features, the search for its options, what each is worth."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from jsonargparse import strip_meta

from benchmark.command_line import Parser
from benchmark.commands.chosen_data import add_data, data_of, words_of_data
from benchmark.commands.text import aligned
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import Split
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.files import write_whole
from benchmark.histograms.features import DIMENSIONS, FEATURES, NAMES
from benchmark.models.options import plain
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.record import Value
from benchmark.results.summary import summarise
from benchmark.runs.folder import require_writable
from benchmark.runs.screen import quiet
from benchmark.shipped import configuration
from benchmark.wording import counted

if TYPE_CHECKING:
    from benchmark.histograms.search import Laboratory

_VERBS = {
    "features": "The features, and the share that each has of the numbers that describe a video.",
    "extract": "Measure the features of all videos beforehand; goes on where it was stopped.",
    "tune": "Choose the network's options on validation videos; writes the configuration for `fit`.",
    "ablate": "Accuracy of each feature alone and of all but each, with a configuration's options.",
}


def main(argv: Sequence[str]) -> int:
    """Run `histograms features|extract|tune|ablate [options]` and return the exit code."""
    parser = Parser(prog="clipbench histograms", description="Prepare and study the feature-histogram baseline.")
    verbs = parser.add_subcommands(dest="verb")
    for name, summary in _VERBS.items():
        verbs.add_subcommand(name, _options(name, summary), help=summary)
    words, files = words_of_data(argv)
    chosen = parser.parse_args(words)
    verb = str(chosen.verb)
    if verb == "features":
        print(feature_table())
        return 0
    for library in ("skimage", "sklearn"):
        require_extra(library, f"histograms {verb}")
    given = _given(chosen[verb], files[-1] if files else configuration("histograms"))
    with quiet():  # about each of many small trainings
        return {"extract": _extract, "tune": _tune, "ablate": _ablate}[verb](given)


def feature_table() -> str:
    """The features and their shares of the 25,000 numbers, aligned."""
    rows = [
        [f.name, f"{f.bins:,}", str(f.cells), f"{f.dimensions:,}", f"{f.dimensions / DIMENSIONS:.1%}", f.title]
        for f in FEATURES
    ]
    total = ["together", "", "", f"{sum(f.dimensions for f in FEATURES):,}", "100.0%", ""]
    return aligned(["feature", "bins", "cells", "numbers", "share", "what"], [*rows, total])


@dataclasses.dataclass(frozen=True)
class _Given:
    """What a verb was given.

    Args:
        options: All that it was given.
        experiment: The configuration, with the network's and data's options that were given in it.
        data: The data module.
    """

    options: Any
    experiment: dict[str, Any]
    data: VideoDataModule

    @property
    def init_args(self) -> dict[str, Any]:
        """Options of the network."""
        held: dict[str, Any] = self.experiment["model"]["init_args"]
        return held


def _options(verb: str, summary: str) -> Parser:
    parser = Parser(description=summary)
    if verb == "features":
        return parser
    add_data(parser, "network, epochs and data")
    parser.add_argument("--stride", type=int | None, default=None, help="Frames from one looked at to the next.")
    parser.add_argument("--store", type=Path | None, default=None, help="Folder of what is measured; the cache's.")
    if verb != "extract":
        parser.add_argument("--run_dir", type=Path, required=True, help="Folder of the results.")
        parser.add_argument("--epochs", type=int | None, default=None, help="Of each training; the configuration's.")
        parser.add_argument("--seed", type=int, default=0, help="Seed of the search and of the weights.")
    if verb == "tune":
        parser.add_argument("--trials", type=int, default=24, help="Networks to train.")
    return parser


def _given(options: Any, config: Path) -> _Given:
    experiment = yaml.safe_load(config.read_text("utf-8"))
    model = experiment.get("model") if isinstance(experiment, dict) else None
    if "HistogramNetwork" not in str(model):
        raise UserError(f"--config {config} has no model of class HistogramNetwork; take `--config histograms`")
    args = dict(model.get("init_args") or {}) if isinstance(model, dict) else {}
    args |= {name: options[name] for name in ("stride", "store") if options[name] is not None}
    args = {name: str(value) if isinstance(value, Path) else value for name, value in args.items()}
    experiment["model"] = {"class_path": "benchmark.histograms.HistogramNetwork", "init_args": args}
    experiment["data"] = plain(strip_meta(options.data))
    return _Given(options, experiment, data_of(experiment))


def _extract(given: _Given) -> int:
    from benchmark.histograms.filling import describe_all
    from benchmark.histograms.store import Descriptions, store_folder

    args, data = given.init_args, given.data
    store = Path(args["store"]) if args.get("store") else store_folder()
    descriptions = Descriptions(store, data.decoder, args.get("stride", 1))
    print(data.index.summary(), flush=True)
    rows = [int(row) for split in get_args(Split) for row in data.index.rows(split)]
    failed = describe_all(descriptions, [data.index.video(row) for row in rows], data.num_workers)
    print(f"{len(rows) - len(failed):,} of {counted(len(rows), 'video')} described in {descriptions.folder}")
    return 0


def _laboratory(given: _Given, claimed_in: str, *, begun: bool) -> "Laboratory":
    from benchmark.histograms.claim import claim, made_of
    from benchmark.histograms.search import Laboratory

    folder, index, seed = given.options.run_dir, given.data.index, given.options.seed
    require_writable(folder, "--run_dir")
    print(index.summary(), flush=True)
    trainer = given.experiment.setdefault("trainer", {})
    trainer["max_epochs"] = given.options.epochs or trainer.get("max_epochs", 24)
    epochs = trainer["max_epochs"]
    facts = made_of(index, data=given.experiment["data"], model=given.init_args, epochs=epochs, seed=seed)
    claim(folder / claimed_in, facts, begun=begun)
    return Laboratory(given.data, given.init_args, epochs, seed)


def _tune(given: _Given) -> int:
    from benchmark.histograms.search import has_trials, search

    trials, folder = given.options.trials, given.options.run_dir
    table = folder / "trials.csv"
    if trials < 1:
        raise UserError(f"--trials is {trials}; it must be 1 or more")
    laboratory = _laboratory(given, "tune.json", begun=has_trials(table))
    best = search(laboratory, trials, given.options.seed, table)
    chosen = {**given.experiment, "seed_everything": given.options.seed}
    chosen["model"] = {**chosen["model"], "init_args": best.init_args(laboratory.init_args)}
    config = folder / "histograms.yaml"
    write_whole(config, yaml.safe_dump(chosen, sort_keys=False))
    print(f"chosen of {trials} trials: {best}\nwrote {config}; now run: clipbench fit --config {config}")
    return 0


def _ablate(given: _Given) -> int:
    folder = given.options.run_dir
    cells: dict[str, dict[str, Any]] = {"all": {}}
    cells |= {f"only {name}": {"only": [name]} for name in NAMES}
    cells |= {f"without {name}": {"without": [name]} for name in NAMES}
    ledgers = {cell: folder / cell.replace(" ", "-") / FILE_NAME for cell in cells}
    laboratory = _laboratory(given, "ablate.json", begun=any(ledger.is_file() for ledger in ledgers.values()))
    rows = []
    for cell, own in cells.items():
        ledger = ledgers[cell]
        if not ledger.is_file():
            found = laboratory.train({**laboratory.init_args, **own})
            ledger.parent.mkdir(parents=True, exist_ok=True)
            laboratory.tested(found.network).write(ledger)
        metrics, _ = summarise(Ledger.read(ledger))
        rows.append([cell, _interval(metrics["video_hit1"]), _area(metrics["map"])])
        print("  ".join(rows[-1]), flush=True)
    table = aligned(["features", "video Hit@1 (95% interval)", "mAP"], rows)
    write_whole(folder / "features.txt", table + "\n")
    print(f"\n{table}\nwrote {folder / 'features.txt'} and a ledger of each, which `compare` pairs")
    return 0


def _interval(value: Value) -> str:
    if value.value is None:
        return "-"
    known = value.low is not None and value.high is not None
    return f"{value.value:.1%}" + (f" ({value.low:.1%} to {value.high:.1%})" if known else "")


def _area(value: Value) -> str:
    return "-" if value.value is None else f"{value.value:.3f}"
