"""Transfer learning in four regimes over folds and seeds, with Tables 3 and 4 from whatever cells are finished."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmark.command_line import Parser
from benchmark.commands.chosen_data import settings_of_data
from benchmark.commands.text import aligned
from benchmark.conformance import Subject
from benchmark.errors import UserError, printable
from benchmark.extras import why_missing
from benchmark.files import write_whole
from benchmark.grid.processes import Part, going_on_later, reporting
from benchmark.leaderboard.claims import read_claims
from benchmark.leaderboard.entries import add_entry
from benchmark.models import VideoClassifier
from benchmark.models.building import first_optimizer
from benchmark.models.stored import read_checkpoint
from benchmark.pages.tables import TextTable
from benchmark.plugins import require_named_classes
from benchmark.runs.optimisers import WatchedRecipe, makes_its_own
from benchmark.shipped import configuration_file, shipped_folder
from benchmark.transfer.carrying import load_lower_groups, require_carried
from benchmark.transfer.cell import run_cell
from benchmark.transfer.grid import Experiment
from benchmark.transfer.tables import TransferResults

LEADERBOARDS = Path("leaderboards")

_FORWARDED = ("--model", "--data", "--trainer", "--checkpoint", "--optimizer", "--lr_scheduler")
_EPILOG = """Other options go to every fit, as in `fit`: --data.root DIR, --model.width 0.5, --trainer.accelerator gpu.
A grid that was stopped or killed goes on when the same command is given again. On a cluster, let each job run one cell
with --cell N; the tables are made from whatever is finished, at the end of every call."""


def main(argv: Sequence[str], part: Part = "all") -> int:
    """Run `transfer --config FILE [options]`, or a part; returns the exit code: 0 when all cells asked for are done."""
    return going_on_later(partial(_run, part=part), argv)


def _run(argv: Sequence[str], part: Part) -> int:
    parser = Parser(
        prog="clipbench transfer",
        description="Train in each regime, fold and seed, test each, and print the paper's Tables 3 and 4.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--config", type=str, required=True, help="The grid: a file, or a name such as transfer/embedded.")
    add("--pretrained", type=Path | None, help="Checkpoint of the same architecture, trained on any classes.")
    add("--run_dir", type=Path | None, help="Folder of the grid; runs/transfer-NAME of the file by default.")
    add("--cell", type=int | None, help="Run this cell alone, counted from 1.")
    add("--list", action="store_true", help="List the cells and their states; run nothing.")
    add("--tables", action="store_true", help="Make the tables from what is finished; run nothing.")
    add("--leaderboards", type=Path | None, help="Folder of leaderboards to add the finished cells to.")
    chosen, words = parser.parse_own(argv, _FORWARDED)
    config = Path(configuration_file(chosen.config))
    folder = chosen.run_dir or Path("runs") / f"transfer-{config.stem}"
    experiment = Experiment(config, folder, chosen.pretrained, words)
    cells = experiment.cells
    only_tables = chosen.tables or part == "report"
    if chosen.list or only_tables:
        experiment.claim(only_compare=True)
    if chosen.list:
        print(_list(experiment))
        return 0
    if chosen.cell is not None and not 1 <= chosen.cell <= len(cells):
        raise UserError(f"--cell is {chosen.cell}; this grid has the cells 1 to {len(cells)}, which --list shows")
    wanted = cells if chosen.cell is None else [cells[chosen.cell - 1]]
    if not only_tables:
        if not all(cell.is_finished for cell in wanted):
            require_fitting(experiment)
        experiment.claim()
        if part != "cells":
            print(f"grid folder: {folder}", flush=True)
        if part == "check":
            return 0
        finished = [run_cell(experiment, cell, len(cells)) for cell in wanted]
    else:
        finished = [cell.is_finished for cell in wanted]
    if part != "cells":
        with reporting(experiment.folder):
            show(experiment)
            if chosen.leaderboards is not None:
                publish(experiment, chosen.leaderboards)
    return 0 if all(finished) else 1


def require_fitting(experiment: Experiment) -> None:
    """Refuse before anything is trained what no cell could be trained or tested with.

    Raises:
        UserError: If the data have no folds, a regime does not suit the network, or the weights are of another one.
    """
    experiment.require_weights()
    for part in ("data", "model"):
        require_named_classes([f"--{part}", experiment.fit[part]["class_path"], *experiment.part_words(part)[2:]])
    data = settings_of_data(experiment.part_words("data"))
    if "fold" not in data.init_args:
        raise UserError(
            f"data {data.class_path.rpartition('.')[2]} has no folds, over which a grid runs; take UCF101 or "
            "SyntheticActions, or carry the network over by `fit --transfer.regime ...` and `test`"
        )
    network = Subject.parse(experiment.part_words("model")).build()
    _require_learning_rates_matter(experiment, network)
    groups = [list(group) for group in network.layer_groups]
    for regime in experiment.grid.regimes:
        require_carried(network, groups, regime)
    if experiment.pretrained is not None:
        checkpoint = read_checkpoint(str(experiment.pretrained), "--pretrained")
        load_lower_groups(network, groups, checkpoint, experiment.pretrained)


def _require_learning_rates_matter(experiment: Experiment, network: VideoClassifier) -> None:
    regime = next((name for name, each in experiment.grid.regimes.items() if each.learning_rate is not None), None)
    if regime is None or experiment.names_optimizer or not makes_its_own(network):
        return
    watched = WatchedRecipe(network)
    try:
        first_optimizer(network)
    except Exception:  # it asks more of a Trainer than there is here; the fit tells
        return
    if "learning_rate" not in watched.asked:
        raise UserError(
            f"grid.regimes.{regime}.learning_rate does nothing: {type(network).__name__}.configure_optimizers makes "
            "the optimiser without it; leave it out, or name an optimizer"
        )


def show(experiment: Experiment) -> None:
    """Print the tables of whatever is finished, and leave them as Markdown, CSV and a picture in the grid's folder."""
    places = (LEADERBOARDS, shipped_folder("leaderboards"))
    claims = next((found for place in places if (found := read_claims(place))), [])
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
            print(f"\nfailed: cell {cell.number}, {cell.name}: {cell.failure()}")
    written = [experiment.folder / f"transfer.{kind}" for kind in ("md", "csv", "svg")]
    write_whole(written[0], results.markdown(), shared=True)
    write_whole(written[1], results.comma_separated(), shared=True)
    if reason := why_missing("matplotlib"):
        print(f"\nno picture: matplotlib {reason}")
        written.pop()
    else:
        from benchmark.transfer.plot import write_plot

        write_plot(results, written[2])
    print(f"\nwrote {', '.join(map(str, written))}")


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
