"""One command for a claim: fits and tests a configuration on every fold and seed, and adds each to the leaderboards."""

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.command_line import Parser
from benchmark.commands.chosen_data import data_of, settings_of_data
from benchmark.commands.text import aligned, json_instead
from benchmark.commands.transfer import LEADERBOARDS
from benchmark.errors import UserError, printable
from benchmark.grid.claim import grouped
from benchmark.grid.evaluation import Evaluation, EvaluationCell
from benchmark.grid.processes import Part, going_on_later
from benchmark.leaderboard.board import Board
from benchmark.leaderboard.board_tables import board_table
from benchmark.leaderboard.entries import Entry, add_entry, entry_folder
from benchmark.leaderboard.folds import Configuration
from benchmark.leaderboard.ranking import mean_board
from benchmark.plugins import require_named_classes
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record
from benchmark.shipped import configuration_file, with_files
from benchmark.wording import counted
from benchmark.yaml_text import read_yaml

_FORWARDED = ("--model", "--data", "--trainer", "--checkpoint", "--optimizer", "--lr_scheduler")
_ENTRY_NAME = "entry.txt"
_OF_A_RANK = {"rank", "tier"}
_EPILOG = """Other options go to every fit, as in `fit`: --data.root DIR, --model.width 0.5, --trainer.accelerator gpu.
What was stopped or killed goes on when the same command is given again, with more folds and seeds if you like. On a
cluster, let each job run one cell with --cell N."""


def main(argv: Sequence[str], part: Part = "all") -> int:
    """Run `evaluate --config NAME [options]`, or a part; returns the exit code: 0 when all cells asked for are done."""
    return going_on_later(partial(_run, part=part), argv)


def _run(argv: Sequence[str], part: Part) -> int:
    chosen, words = _parser().parse_own(argv, _FORWARDED)
    config = Path(configuration_file(chosen.config))
    held: Any = read_yaml(config.read_text("utf-8"), f"--config {config}")
    words = with_files([*(["--data", chosen.data] if chosen.data else []), *words])
    require_named_classes(["--config", str(config), *words])
    data = _data(held, words)
    folds = _folds(chosen.folds, data)
    usual = f"evaluate-{config.stem}-{data.class_path.rpartition('.')[2]}"
    evaluation = Evaluation(chosen.run_dir or Path("runs") / usual, held, tuple(words), folds, _seeds(chosen.seeds))
    cells = evaluation.cells
    if chosen.cell is not None and not 1 <= chosen.cell <= len(cells):
        raise UserError(f"--cell is {chosen.cell}; there are the cells 1 to {len(cells)}, which --list shows")
    evaluation.claim(only_compare=chosen.list or part == "report")
    if chosen.list:
        print(aligned(["cell", "name", "state"], [[str(cell.number), cell.name, cell.state()] for cell in cells]))
        return 0
    wanted = cells if chosen.cell is None else [cells[chosen.cell - 1]]
    if part == "check":
        return 0
    if part == "cells":
        return 0 if all([evaluation.run(cell) for cell in wanted]) else 1
    with json_instead(chosen.json) as content:
        print(f"folder: {evaluation.folder}", flush=True)
        not_added = {}
        for cell in wanted:
            is_finished = cell.is_finished if part == "report" else evaluation.run(cell)
            if is_finished and (reason := _publish(cell, chosen.leaderboards)):
                not_added[cell.name] = reason
        failed = {cell.name: cell.failure() for cell in cells if cell.state() == "failed"}
        content |= {**_show(cells), "failed": failed, "not_added": not_added}
    return 0 if all(cell.is_finished for cell in wanted) and not not_added else 1


def _publish(cell: EvaluationCell, root: Path) -> str | None:
    """Add a finished cell to the leaderboards, once; returns why that was refused, if it was."""
    note = cell.folder / _ENTRY_NAME
    if note.is_file() and (root / note.read_text("utf-8").strip()).is_dir():
        return None
    place = root / entry_folder(Record.read(cell.folder))
    try:
        # A call that was killed between the two may have added it and not noted that yet.
        entry = place if (place / RECORD_NAME).is_file() else add_entry(cell.folder, root)
    except UserError as error:
        print(f"not added: {cell.name}: {printable(str(error))}", flush=True)
        return str(error)
    note.write_text(f"{entry.relative_to(root).as_posix()}\n", "utf-8")
    print(f"added {entry}; now run: python -m benchmark leaderboard build --root {root}", flush=True)
    return None


def _show(cells: Sequence[EvaluationCell]) -> dict[str, Any]:
    """Print the row of whatever is finished, with its spread; returns it as plain values."""
    runs: dict[int, list[Entry]] = {}
    for cell in cells:
        if cell.is_finished:
            record, ledger = Record.read(cell.folder), Ledger.read(cell.folder / LEDGER_NAME)
            runs.setdefault(cell.fold or 0, []).append(Entry(cell.name, record, ledger, None))
    done = sum(map(len, runs.values()))
    print(f"\n{done} of {counted(len(cells), 'cell is', 'cells are')} finished")
    for cell in cells:
        if cell.state() == "failed":
            print(f"failed: cell {cell.number}, {cell.name}: {printable(cell.failure())}")
    if not runs:
        return {"finished": 0, "cells": len(cells)}
    board = mean_board(tuple(sorted(runs)), [Configuration(runs)])
    table, row = board_table(board), board.rows[0]
    shown = [(name, cell) for name, cell in zip(table.header, table.rows[0], strict=True) if name not in _OF_A_RANK]
    width = max(len(name) for name, _ in shown)
    print(_title(board))
    for name, text in shown:
        print(printable(f"  {name:{width}s}  {text}"))
    parts = ("between_folds", "of_seeds", "of_folds", "of_sources")
    return {
        "finished": done,
        "cells": len(cells),
        "name": row.name,
        "dataset": board.identity.dataset,
        "folds": [fold for fold in sorted(runs) if fold],
        "seeds_of_each_fold": row.seeds,
        "metrics": {name: value.model_dump() for name, value in row.metrics.items()},
        "standard_deviations_of_video_hit1": dict(zip(parts, vars(row.spread).values(), strict=True)),
        "finished_cells": [cell.folder.as_posix() for cell in cells if cell.is_finished],
    }


def _title(board: Board) -> str:
    folds = [str(fold) for fold in board.folds or () if fold]
    return f"{board.identity}, mean of folds {', '.join(folds)}" if folds else str(board.identity)


def _data(config: Any, words: Sequence[str]) -> Any:
    """The data of every fit, parsed as by `fit`."""
    given = [word for option, held in grouped(words) if option.split(".")[0] == "--data" for word in held]
    block = config.get("data") if isinstance(config, dict) else None
    named = [] if block is None else ["--data", block if isinstance(block, str) else json.dumps(block, default=str)]
    return settings_of_data([*named, *given])


def _folds(given: str | None, data: Any) -> tuple[int | None, ...]:
    has_folds = "fold" in data.init_args
    if not has_folds:
        if given is not None:
            raise UserError(f"--folds is {given}, but {data.class_path.rpartition('.')[2]} has no folds; leave it out")
        return (None,)
    folds = tuple(_numbers(given or "1,2,3", "--folds", "1,2,3"))
    for fold in folds:  # before the first is trained
        config = data.clone()
        config.init_args.fold = fold
        _ = data_of({"data": config.as_dict()}).index
    return folds


def _seeds(given: str) -> tuple[int, ...]:
    if given.isdecimal() and "," not in given:
        if not 1 <= int(given) <= 1000:
            raise UserError(f"--seeds is {given}; it must be a number of seeds from 1 to 1000, or a list as 0,7")
        return tuple(range(int(given)))
    return tuple(_numbers(given, "--seeds", "3, or 0,7"))


def _numbers(given: str, option: str, example: str) -> list[int]:
    parts = re.split(r"[,\s]+", given.strip("[] ,"))
    if not all(part.isdecimal() for part in parts):
        raise UserError(f"{option} is {given}; give whole numbers with commas between them, as {option} {example}")
    found = [int(part) for part in parts]
    if len(set(found)) < len(found):
        raise UserError(f"{option} is {given}, which names one twice; name each once")
    return found


def _parser() -> Parser:
    parser = Parser(
        prog="clipbench evaluate",
        description="Fit and test a configuration on every fold and seed, add each test to the leaderboards, and print "
        "the row with its spread.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--config", type=str, required=True, help="The experiment: a file, or a name that `clipbench configs` lists.")
    add(
        "--data",
        type=str | None,
        help="Other videos: a file, a name such as ucf101, or a class.",
    )
    add("--folds", type=str | None, help="Official folds, as 1,2,3, which is the default where the data has folds.")
    add("--seeds", type=str, default="1", help="How many seeds, from 0 on, or a list of them, as 0,7.")
    add("--run_dir", type=Path | None, help="Folder of the cells; runs/evaluate-CONFIG-DATA by default.")
    add("--leaderboards", type=Path, default=LEADERBOARDS, help="Folder that entries are added to.")
    add("--cell", type=int | None, help="Run this cell alone, counted from 1.")
    add("--list", action="store_true", help="List the cells and their states; run nothing.")
    add("--json", action="store_true", help="Print the row as JSON, and nothing else.")
    return parser
