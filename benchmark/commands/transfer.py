"""Transfer learning in four regimes over folds and seeds, with Tables 3 and 4 from whatever cells are finished."""

import argparse
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from benchmark.callbacks.transfer import load_lower_groups
from benchmark.commands.text import aligned, printable
from benchmark.commands.transfer_cell import run_cell
from benchmark.commands.transfer_grid import FAILURE_NAME, Experiment
from benchmark.conformance import Subject
from benchmark.errors import UserError
from benchmark.plugins import require_named_classes
from benchmark.results.board_tables import TextTable
from benchmark.results.entries import add_entry, read_claims
from benchmark.results.transfer_tables import TransferResults
from benchmark.runs import read_checkpoint

SUMMARY = "carry a trained network over to other classes: four regimes, all folds, Tables 3 and 4"

LEADERBOARDS = Path("leaderboards")

_FORWARDED = ("--model", "--data", "--trainer", "--checkpoint")
_EPILOG = """Other options go to every fit, as in `fit`: --data.root DIR, --model.width 0.5, --trainer.accelerator gpu.
A grid that was stopped or killed goes on when the same command is given again. On a cluster, let each job run one cell
with --cell N; the tables are made from whatever is finished, at the end of every call."""


def main(argv: Sequence[str]) -> int:
    """Run `transfer --config FILE [options]` and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="clipbench transfer",
        description="Train in each regime, fold and seed, test each, and print the paper's Tables 3 and 4.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, required=True, help="The grid; conf/transfer/ has examples.")
    parser.add_argument("--pretrained", type=Path, help="Checkpoint of the same architecture, trained on any classes.")
    parser.add_argument("--run_dir", type=Path, help="Folder of the grid; runs/transfer-NAME of the file by default.")
    parser.add_argument("--cell", type=int, help="Run this cell alone, counted from 1.")
    parser.add_argument("--list", action="store_true", help="List the cells and where they stand; run nothing.")
    parser.add_argument("--tables", action="store_true", help="Make the tables from what is finished; run nothing.")
    parser.add_argument(
        "--leaderboards", type=Path, help="Add the finished cells to the leaderboards in this folder, once each."
    )
    chosen, words = parser.parse_known_args(list(argv))
    if strange := next((word for word in words if word[:1] == "-" and not word.startswith(_FORWARDED)), None):
        raise UserError(f"{strange} is no option of transfer, and of fit's only {', '.join(_FORWARDED)} can be given")
    folder = chosen.run_dir or Path("runs") / f"transfer-{chosen.config.stem}"
    experiment = Experiment(chosen.config, folder, chosen.pretrained, words)
    cells = experiment.cells
    if chosen.list:
        print(_list(experiment))
        return 0
    if chosen.cell is not None and not 1 <= chosen.cell <= len(cells):
        raise UserError(f"--cell is {chosen.cell}; this grid has the cells 1 to {len(cells)}, which --list shows")
    wanted = cells if chosen.cell is None else [cells[chosen.cell - 1]]
    if not chosen.tables:
        if any(cell.regime != "scratch" and not cell.is_finished for cell in wanted):
            require_fitting(experiment)
        experiment.claim()
        print(f"grid folder: {folder}", flush=True)
        finished = [run_cell(experiment, cell, len(cells)) for cell in wanted]
    else:
        finished = [cell.is_finished for cell in wanted]
    show(experiment)
    if chosen.leaderboards is not None:
        publish(experiment, chosen.leaderboards)
    return 0 if all(finished) else 1


def require_fitting(experiment: Experiment) -> None:
    """Refuse a checkpoint of another architecture before anything is trained.

    Raises:
        UserError: With what differs.
    """
    experiment.require_weights()
    model = _with_words(experiment.fit["model"], experiment.words)
    require_named_classes(["--model", str(model["class_path"])])
    network = Subject.of(model["class_path"], model.get("init_args") or {}).build()
    checkpoint = read_checkpoint(str(experiment.pretrained), "--pretrained")
    load_lower_groups(network, [list(group) for group in network.layer_groups], checkpoint, experiment.pretrained)


def _with_words(model: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """The model's part of a configuration with the options that the command line gives for it."""
    options: dict[str, Any] = yaml.safe_load(yaml.safe_dump(model.get("init_args") or {}))
    class_path, rest = model["class_path"], [w for word in words for w in word.split("=", 1)]
    for option, value in itertools.pairwise(rest):
        if option in {"--model", "--model.class_path"}:
            class_path = value
        elif option.startswith("--model."):
            *above, last = option.removeprefix("--model.").removeprefix("init_args.").split(".")
            place = options
            for name in above:
                place = cast(dict[str, Any], place.setdefault(name, {}))
            place[last] = yaml.safe_load(value)
    return {"class_path": class_path, "init_args": options}


def show(experiment: Experiment) -> None:
    """Print the tables of whatever is finished, and leave them as Markdown, CSV and a picture in the grid's folder."""
    from benchmark.results.transfer_plot import write_plot  # takes a second that listing cells need not pay

    claims = read_claims(LEADERBOARDS) if LEADERBOARDS.is_dir() else []
    results = TransferResults([cell.result() for cell in experiment.cells], claims)
    print("\n" + "\n".join(printable(line) for line in results.notes()))
    titles: dict[str, TextTable | None] = {
        "Table 3: accuracy in percent (video Hit@1)": results.table3(),
        "Table 4: mean average precision by group": results.table4(),
        "Paired comparisons of the regimes": results.table_of_comparisons(),
    }
    for title, table in titles.items():
        if table is not None:
            print(f"\n{title}\n{aligned(table.header, table.rows)}")
    for cell in experiment.cells:
        if cell.state() == "failed":
            print(
                f"\nfailed: cell {cell.number}, {cell.name}: {(cell.folder / FAILURE_NAME).read_text('utf-8').strip()}"
            )
    folder = experiment.folder
    folder.mkdir(parents=True, exist_ok=True)
    # Cells of a cluster may come here at the same time, so each writes its own and moves it into place.
    scratch = folder / f"tables-{os.uname().nodename if hasattr(os, 'uname') else ''}-{os.getpid()}"
    scratch.mkdir(exist_ok=True)
    (scratch / "transfer.md").write_text(results.markdown(), "utf-8")
    (scratch / "transfer.csv").write_text(results.comma_separated(), "utf-8")
    write_plot(results, scratch / "transfer.svg")
    for path in list(scratch.iterdir()):
        path.replace(folder / path.name)
    scratch.rmdir()
    print(f"\nwrote {', '.join(str(folder / f'transfer.{ending}') for ending in ('md', 'csv', 'svg'))}")


def publish(experiment: Experiment, root: Path) -> None:
    """Add each finished cell to the leaderboards, unless it is there."""
    for cell in experiment.cells:
        if cell.is_finished:
            try:
                print(f"added {add_entry(cell.folder, root)}")
            except UserError as error:
                print(f"not added: {cell.name}: {printable(str(error))}")
    print(f"now run: python -m benchmark leaderboard build --root {root}")


def _list(experiment: Experiment) -> str:
    rows = []
    for cell in experiment.cells:
        result = cell.result()
        hit = result.value("video_hit1")
        keep = result.keep_probability
        rows.append(
            [
                str(cell.number),
                cell.regime,
                str(cell.fold),
                str(cell.seed),
                cell.state(),
                "-" if keep is None else f"{keep:g}",
                "-" if hit is None else f"{hit:.1%}",
            ]
        )
    return aligned(["cell", "regime", "fold", "seed", "state", "kept", "video Hit@1"], rows)
