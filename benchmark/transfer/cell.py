"""What is done in a cell of a transfer grid: a fit for each keep probability, the choice on validation, one test."""

import json
import shutil
from pathlib import Path

from benchmark.files import UNFINISHED, write_whole
from benchmark.grid.cells import Running, Validated
from benchmark.grid.cells import run_cell as run_any_cell
from benchmark.transfer.grid import CHOICE_NAME, Cell, Experiment


def run_cell(experiment: Experiment, cell: Cell, count: int) -> bool:
    """Bring a cell to its end, or say why that failed.

    Args:
        experiment: The grid.
        cell: The cell.
        count: Number of cells, for the lines shown.

    Returns:
        Whether it is finished.
    """

    def steps(running: Running) -> None:
        running.test(keep_folder(cell, _choose(experiment, cell, running)))

    return run_any_cell(cell, count, steps, lambda: _tidy(cell))


def keep_folder(cell: Cell, keep: float) -> Path:
    """Run folder of the fit with one keep probability."""
    return cell.folder / f"keep-{keep:g}"


def _choose(experiment: Experiment, cell: Cell, running: Running) -> float:
    """Train with each keep probability; returns the one with the best validation score, the first of equal ones."""
    candidates = experiment.grid.regimes[cell.regime].keep_probabilities
    scores = {keep: _fit(experiment, cell, keep, running) for keep in candidates}
    best = max(candidates, key=lambda keep: scores[keep].rising)
    choice = {
        "keep_probability": best,
        "chosen_on": f"the validation videos of fold {cell.fold}",
        "validation": {f"{keep:g}": found.score for keep, found in scores.items()},
    }
    write_whole(cell.folder / CHOICE_NAME, json.dumps(choice, indent=1))
    return best


def _fit(experiment: Experiment, cell: Cell, keep: float, running: Running) -> Validated:
    """Train with one keep probability; returns its best validation score."""
    for unfinished in (cell.folder / "features").glob(f"*{UNFINISHED}"):  # of a fit that was killed
        shutil.rmtree(unfinished)
    config, words = experiment.fit_config(cell, keep), experiment.fit_words(cell)
    return running.fit(keep_folder(cell, keep), config, words, f" with {keep:.0%} of the units kept")


def _tidy(cell: Cell) -> None:
    """Remove what a finished cell needs no more: features, and all weights but those that were tested."""
    shutil.rmtree(cell.folder / "features", ignore_errors=True)
    try:
        keep = float(json.loads((cell.folder / CHOICE_NAME).read_text("utf-8"))["keep_probability"])
        tested = keep_folder(cell, keep) / "checkpoints/best.ckpt"
        for path in cell.folder.glob("keep-*/checkpoints/*.ckpt"):
            if path != tested:
                path.unlink(missing_ok=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{cell.folder} keeps weights that it needs no more: {error}", flush=True)
