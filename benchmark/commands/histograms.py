"""The histogram baseline beside `fit` and `test`: its features, the search for its options, what each is worth."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.cli import LightningArgumentParser

from benchmark.command_line import Parser
from benchmark.commands.audit import with_data_alone
from benchmark.commands.text import aligned
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.files import write_whole
from benchmark.histograms.features import DIMENSIONS, FEATURES, NAMES
from benchmark.plugins import require_named_classes
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.record import Value
from benchmark.results.summary import summarise
from benchmark.runs.folder import require_writable
from benchmark.shipped import configuration_file, with_files
from benchmark.verb_options import with_literal_paths

_VERBS = {
    "features": "the features, and the share that each has of the numbers that describe a video",
    "extract": "measure the features of all videos beforehand; goes on where it was stopped",
    "tune": "choose the network's options on validation videos; writes the configuration for `fit`",
    "ablate": "accuracy of each feature alone and of all but each, with a configuration's options",
}


def main(argv: Sequence[str]) -> int:
    """Run `histograms features|extract|tune|ablate [options]` and return the exit code."""
    verb, words = (argv[0], list(argv[1:])) if argv else ("", [])
    if verb not in _VERBS:
        lines = "\n".join(f"  {name:10s}{text}" for name, text in _VERBS.items())
        print(f"usage: clipbench histograms VERB [options]\n\n{lines}")
        if verb in {"-h", "--help"}:
            return 0
        raise UserError(f"{verb!r} is no verb of histograms; verbs: {', '.join(_VERBS)}")
    if verb == "features":
        Parser(prog="clipbench histograms features", description=_VERBS[verb]).parse_args(words)
        print(feature_table())
        return 0
    for library in ("skimage", "sklearn"):
        require_extra(library, f"histograms {verb}")
    options, data = _options(verb, words)
    if verb == "extract":
        return _extract(options, data)
    return _tune(options, data) if verb == "tune" else _ablate(options, data)


def feature_table() -> str:
    """The features and their shares of the 25,000 numbers, aligned."""
    rows = [
        [f.name, f"{f.bins:,}", str(f.cells), f"{f.dimensions:,}", f"{f.dimensions / DIMENSIONS:.1%}", f.title]
        for f in FEATURES
    ]
    total = ["together", "", "", f"{sum(f.dimensions for f in FEATURES):,}", "100.0%", ""]
    return aligned(["feature", "bins", "cells", "numbers", "share", "what"], [*rows, total])


def _options(verb: str, words: list[str]) -> tuple[Any, VideoDataModule]:
    parser = LightningArgumentParser(
        prog=f"clipbench histograms {verb}", description=_VERBS[verb], exit_on_error=False, allow_abbrev=False
    )
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("-c", "--config", default="histograms")
    config = configuration_file(own.parse_known_args(words)[0].config)
    words = with_data_alone(with_literal_paths(with_files(words)))
    require_named_classes(words)
    parser.add_argument("-c", "--config", action="config", help="Configuration: its network, its epochs and its data.")
    parser.add_lightning_class_args(VideoDataModule, "data", subclass_mode=True, required=True)
    parser.add_argument("--stride", type=int | None, default=None, help="Frames from one looked at to the next.")
    parser.add_argument("--store", type=Path | None, default=None, help="Folder of what is measured; the cache's.")
    if verb != "extract":
        parser.add_argument("--run_dir", type=Path, required=True, help="Folder of the results.")
        parser.add_argument("--epochs", type=int | None, default=None, help="Of each training; the configuration's.")
        parser.add_argument("--seed", type=int, default=0, help="Seed of the search and of the weights.")
    if verb == "tune":
        parser.add_argument("--trials", type=int, default=24, help="Networks to train.")
    options = parser.parse_args(words)
    options.base = yaml.safe_load(Path(config).read_text("utf-8"))
    if not isinstance(options.base, dict) or "HistogramNetwork" not in str(options.base.get("model")):
        raise UserError(f"--config {config} has no model of class HistogramNetwork; take `--config histograms`")
    plain_data = yaml.safe_load(parser.dump(options, skip_none=False)).get("data")
    options.base["data"] = plain_data
    model = options.base["model"]
    args = dict(model.get("init_args") or {}) if isinstance(model, dict) else {}
    args |= {name: options[name] for name in ("stride", "store") if options[name] is not None}
    options.base["model"] = {"class_path": "benchmark.histograms.HistogramNetwork", "init_args": args}
    data: VideoDataModule = parser.instantiate_classes(options).data
    return options, data


def _extract(options: Any, data: VideoDataModule) -> int:
    from benchmark.histograms.filling import describe_all
    from benchmark.histograms.store import Descriptions, store_folder

    args = options.base["model"]["init_args"]
    store = Path(args["store"]) if args.get("store") else store_folder()
    descriptions = Descriptions(store, data.decoder, args.get("stride", 1))
    print(data.index.summary(), flush=True)
    rows = [int(row) for split in ("train", "validation", "test", "predict") for row in data.index.rows(split)]
    failed = describe_all(descriptions, [data.index.video(row) for row in rows], data.num_workers)
    print(f"{len(rows) - len(failed):,} of {len(rows):,} videos are described in {descriptions.folder}")
    return 0


def _laboratory(options: Any, data: VideoDataModule) -> Any:
    from benchmark.histograms.search import Laboratory

    require_writable(options.run_dir, "--run_dir")
    print(data.index.summary(), flush=True)
    epochs = options.epochs or options.base.get("trainer", {}).get("max_epochs", 30)
    options.base["trainer"] = {**options.base.get("trainer", {}), "max_epochs": epochs}
    args = {name: str(v) if isinstance(v, Path) else v for name, v in options.base["model"]["init_args"].items()}
    options.base["model"]["init_args"] = args
    return Laboratory(data, args, epochs, options.seed)


def _tune(options: Any, data: VideoDataModule) -> int:
    from benchmark.histograms.search import search

    if options.trials < 1:
        raise UserError(f"--trials is {options.trials}; it must be 1 or more")
    laboratory = _laboratory(options, data)
    best = search(laboratory, options.trials, options.seed, options.run_dir / "trials.csv")
    chosen = {**options.base, "model": {**options.base["model"], "init_args": best.init_args(laboratory.init_args)}}
    config = options.run_dir / "histograms.yaml"
    write_whole(config, yaml.safe_dump(chosen, sort_keys=False))
    print(f"chosen of {options.trials} trials: {best}\nwrote {config}; now run: clipbench fit --config {config}")
    return 0


def _ablate(options: Any, data: VideoDataModule) -> int:
    laboratory = _laboratory(options, data)
    args = laboratory.init_args
    cells = {"all": args}
    cells |= {f"only {name}": {**args, "only": [name]} for name in NAMES}
    cells |= {f"without {name}": {**args, "without": [name]} for name in NAMES}
    rows = []
    for cell, own in cells.items():
        folder = options.run_dir / cell.replace(" ", "-")
        if not (folder / FILE_NAME).is_file():
            found = laboratory.train(own)
            folder.mkdir(parents=True, exist_ok=True)
            laboratory.tested(found.network).write(folder / FILE_NAME)
        metrics, _ = summarise(Ledger.read(folder))
        rows.append([cell, _interval(metrics["video_hit1"]), _area(metrics["map"])])
        print("  ".join(rows[-1]), flush=True)
    table = aligned(["features", "video Hit@1 (95% interval)", "mAP"], rows)
    write_whole(options.run_dir / "features.txt", table + "\n")
    print(f"\n{table}\nwrote {options.run_dir / 'features.txt'} and a ledger of each, which `compare` pairs")
    return 0


def _interval(value: Value) -> str:
    if value.value is None:
        return "-"
    known = value.low is not None and value.high is not None
    return f"{value.value:.1%}" + (f" ({value.low:.1%} to {value.high:.1%})" if known else "")


def _area(value: Value) -> str:
    return "-" if value.value is None else f"{value.value:.3f}"
