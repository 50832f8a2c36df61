"""The whole paper: trains and tests what is missing, and leaves one report of every table and figure beside ours."""

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.command_line import Parser
from benchmark.commands.chosen_data import recorded_data, settings_of_data
from benchmark.commands.text import aligned
from benchmark.commands.transfer import LEADERBOARDS, require_fitting
from benchmark.errors import UserError, printable
from benchmark.extras import require_extra
from benchmark.grid.cells import Cell
from benchmark.grid.claim import grouped, option_values
from benchmark.grid.processes import Part, going_on_later, reporting
from benchmark.leaderboard.claims import read_claims
from benchmark.paper.plan import Plan, Table1Cell
from benchmark.paper.rows import ROWS
from benchmark.plugins import require_named_classes
from benchmark.results.record import Record
from benchmark.runs.folder import require_writable
from benchmark.shipped import shipped_folder, with_files

_TRANSFER = "transfer"
_FORWARDED = ("--data", "--trainer", "--model.recipe", "--model.dropout")
_OF_THE_CELL = {
    "--data.fold": "--folds",
    "--data.seed": "--seeds",
    "--trainer.max_epochs": "--epochs",
    "--model.width": "--width",
}
_EPILOG = """Other options go to every fit, as in `fit`: --data.root DIR, --data.classes, --trainer.accelerator gpu.
--model.recipe and --model.dropout are the networks' alone. Tables 3 and 4 choose their own dropout, and train on as
many clips of a video as their grid says unless --data.clips_per_video does; with --ucf101 no option of --data is
theirs. docs/paper.md says why.
What was stopped or killed goes on when the same command is given again. On a cluster, let each job run one cell with
--cell N. The report is made from whatever is finished, at the end of every call."""


def main(argv: Sequence[str], part: Part = "all") -> int:
    """Run `reproduce [--data NAME] [options]`, or a part; the exit code is 0 when all cells asked for are done."""
    return going_on_later(partial(_run, part=part), argv)


def _run(argv: Sequence[str], part: Part) -> int:
    for option, value in option_values(argv):
        if option in _OF_THE_CELL:
            raise UserError(f"{option} {value} is the cells' own; give {_OF_THE_CELL[option]} instead")
    chosen, words = _parser().parse_own(argv, _FORWARDED)
    require_extra("matplotlib", "reproduce")
    plan = _plan(chosen, words)
    cells = plan.cells()
    if chosen.cell is not None and not 1 <= chosen.cell <= len(cells):
        raise UserError(f"--cell is {chosen.cell}; there are the cells 1 to {len(cells)}, which --list shows")
    wanted = [cell for cell in cells if chosen.cell in {None, cell.number} and _is_of(cell, chosen.only)]
    if not wanted and not chosen.list:
        if chosen.cell is None:
            raise UserError(f"--only {_TRANSFER} has nothing to run: {plan.transfer_lacks()}")
        named = cells[chosen.cell - 1].name
        raise UserError(f"--cell {chosen.cell} is {named}, which --only leaves out; leave out one of the two")
    only_report = chosen.report or part == "report"
    plan.claim(only_compare=chosen.list or only_report)
    if chosen.list:
        rows = [[str(cell.number), cell.name, cell.state()] for cell in wanted]
        print(aligned(["cell", "name", "state"], rows))
        if lacks := plan.transfer_lacks():
            print(lacks)
        return 0
    require_writable(plan.folder, "--out")
    if not only_report:
        carries = any(not isinstance(cell, Table1Cell) for cell in wanted)
        if carries and plan.pretrained is not None and (experiment := plan.transfer()) is not None:
            require_fitting(experiment)
            experiment.claim(option="--out", only_compare=True)
        if part != "cells":
            print(f"folder: {plan.folder}", flush=True)
        if part == "check":
            return 0
        for cell in wanted:
            plan.run(cell, len(cells))
    if part != "cells":
        with reporting(plan.folder):
            _write_report(plan, _command(argv))
    return 0 if all(cell.is_finished for cell in wanted) else 1


def _is_of(cell: Cell, only: Sequence[str] | None) -> bool:
    key = cell.row.key if isinstance(cell, Table1Cell) else _TRANSFER
    return only is None or key in only


def _command(argv: Sequence[str]) -> str:
    """The command line without what says which cells."""
    kept = [
        w for option, held in grouped(argv) if option not in {"--cell", "--list", "--report", "--only"} for w in held
    ]
    return shlex.join(["python", "-m", "benchmark", "reproduce", *kept])


def _write_report(plan: Plan, command: str) -> None:
    from benchmark.paper.pdf import write_pdf
    from benchmark.paper.report import make_report

    places = (LEADERBOARDS, shipped_folder("leaderboards"))
    claims = next((found for place in places if (found := read_claims(place))), [])
    report = make_report(plan, claims, command, lambda record: _frames(plan, record))
    print(f"\n{printable(report.lead)}\n{printable(report.summary)}")
    for section in report.sections[:1]:
        for _, table in section.tables:
            print(f"\n{section.title}: {section.about}\n{aligned(table.header, table.rows)}")
    failed = [cell for cell in plan.cells() if cell.state() == "failed"]
    for cell in failed:
        print(f"failed: cell {cell.number}, {cell.name}: {printable(cell.failure())}")
    if not any(cell.is_finished for cell in plan.cells()):
        print(f"nothing is finished yet; run: {command}")
    files = plan.folder / "report.html", plan.folder / "report.pdf"
    report.write_html(files[0])
    write_pdf(report, files[1])
    print(f"wrote {' and '.join(map(str, files))}")


def _frames(plan: Plan, record: Record) -> Callable[[str], np.ndarray | None]:
    """Frames of the videos of a test of ours; none where they are not here any more."""
    try:
        return recorded_data(record, plan.data_root(), None, trust_code=True).shown_frames
    except UserError:
        return lambda video: None


def _parser() -> Parser:
    parser = Parser(
        prog="clipbench reproduce",
        description="Train and test the paper's systems, and put every table and figure beside the paper's.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add(
        "--data",
        type=str | None,
        help="Data of Table 1: a file, a name such as ucf101, or a class; else embedded.",
    )
    add("--out", type=Path, default=Path("runs/paper"), help="Folder of cells, pictures and report.")
    add("--width", type=float | None, help="Width of the paper's networks; each configuration's.")
    add("--epochs", type=int | None, help="Epochs of every fit; each configuration's.")
    add(
        "--recipe",
        choices=("shipped", "paper"),
        default="shipped",
        help="Training recipe: the shipped one, or the paper's (conf/paper).",
    )
    parts = [*(row.key for row in ROWS), _TRANSFER]
    systems = f"Systems to run now: {', '.join(parts)} (Tables 3 and 4)."
    add("--only", nargs="+", choices=parts, metavar="SYSTEM", help=systems)
    add("--folds", type=int, nargs="+", help="Official folds; all three where the data has folds.")
    add("--seeds", type=int, nargs="+", default=[0], help="Seeds of training.")
    add("--pretrained", type=Path | None, help="Weights of slow fusion for Tables 3 and 4, trained on other videos.")
    add("--ucf101", type=Path | None, help="Folder of UCF-101 for Tables 3 and 4, where --data is something else.")
    add("--cell", type=int | None, help="Run this cell alone, counted from 1.")
    add("--list", action="store_true", help="List the cells and their states; run nothing.")
    add("--report", action="store_true", help="Make the report from what is finished; run nothing.")
    return parser


def _require_each_once(numbers: Sequence[int | None], option: str) -> None:
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{option} is {' '.join(map(str, numbers))}, which names one twice; name each once")


def _plan(chosen: Any, words: list[str]) -> Plan:
    if chosen.width is not None and not 0 < chosen.width <= 4:
        raise UserError(f"--width is {chosen.width:g}; it must be above 0 and at most 4")
    if chosen.epochs is not None and chosen.epochs < 1:
        raise UserError(f"--epochs is {chosen.epochs}; it must be 1 or more")
    _require_each_once(chosen.seeds, "--seeds")
    words = with_files(["--data", chosen.data or "SyntheticActions", *words])
    data_words = [word for option, held in grouped(words) if option.split(".")[0] == "--data" for word in held]
    require_named_classes(data_words)
    data = settings_of_data(data_words)
    name = data.class_path.rpartition(".")[2]
    if name == "UCF101" and chosen.ucf101 is not None:
        raise UserError(f"--ucf101 is {chosen.ucf101}, but --data is UCF-101 already; leave it out")
    folds: tuple[int | None, ...] = (None,)
    if "fold" in data.init_args:
        folds = tuple(chosen.folds or (1, 2, 3))
        if wrong := sorted(set(folds) - {1, 2, 3}, key=str):
            raise UserError(f"--folds has {wrong[0]}; allowed are 1, 2 and 3")
        _require_each_once(folds, "--folds")
    elif chosen.folds:
        raise UserError(f"--folds is {chosen.folds}, but {name} has no folds")
    return Plan(
        folder=chosen.out,
        dataset=name,
        words=tuple(words),
        folds=folds,
        seeds=tuple(chosen.seeds),
        recipe=chosen.recipe,
        width=chosen.width,
        epochs=chosen.epochs,
        pretrained=chosen.pretrained,
        ucf101=chosen.ucf101,
    )
