"""Finished cells of a reproduction that nothing was trained for: ledgers and records that were made."""

from pathlib import Path

from benchmark.paper.plan import Plan
from benchmark.results.ledger import Ledger
from tests.generators.ledgers import make_ledger, write_run


def plan_in(folder: Path, folds: tuple[int | None, ...] = (1, 2)) -> Plan:
    """A plan of the embedded data whose transfer grid cannot be run."""
    return Plan(folder, "VideoFolder", ("--data", "VideoFolder"), folds)


def ledger_of(fold: int, skill: float, model_seed: int) -> Ledger:
    """The same videos for all models of a fold."""
    return make_ledger(
        seed=fold, videos=120, classes=6, model_seed=model_seed, skill=skill, fold=fold, videos_per_source=4, groups=2
    )


def finish(plan: Plan, skills: dict[str, float]) -> None:
    """Leave a test in every cell of these systems."""
    for cell in plan.table1_cells():
        if cell.row.key in skills and cell.fold is not None:
            ledger = ledger_of(cell.fold, skills[cell.row.key], 100 * cell.fold + sum(map(ord, cell.row.key)))
            write_run(cell.folder, ledger, name=cell.row.title)
