"""Cells that cannot be run, locked or tidied as usual."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.grid.cells import Running
from benchmark.transfer import cell as transfer_cell
from benchmark.transfer.cell import run_cell
from benchmark.transfer.grid import Experiment
from tests.generators.ledgers import make_ledger, write_run
from tests.generators.transfer_grids import InProcess, write_config


def test_a_cell_that_cannot_be_written_fails_alone(
    small_set: Path, tmp_path: Path, verbs: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    regimes = {"scratch": {"keep_probabilities": [0.9], "max_epochs": 1}}
    experiment = Experiment(write_config(tmp_path, small_set, regimes=regimes), tmp_path / "run", None, [])
    one, two = experiment.cells

    def full(*arguments: Any) -> float:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(transfer_cell, "_choose", full)
        assert not run_cell(experiment, one, 2)
    assert "No space left" in (one.folder / "failed.txt").read_text("utf-8")
    two.folder.parent.mkdir(exist_ok=True)
    two.folder.write_text("in the way", "utf-8")
    assert not run_cell(experiment, two, 2)


@pytest.mark.parametrize(("monitor", "chosen"), [("val/clip_hit1", 0.9), ("val/ece", 0.5), ("train/loss_epoch", 0.5)])
def test_the_best_keep_probability_is_the_best_way_of_what_is_monitored(
    small_set: Path, tmp_path: Path, monitor: str, chosen: float
) -> None:
    regimes = {"scratch": {"keep_probabilities": [0.5, 0.9], "max_epochs": 1}}
    experiment = Experiment(write_config(tmp_path, small_set, regimes=regimes), tmp_path / "run", None, [])
    cell = experiment.cells[0]
    for keep, score in ((0.5, 0.2), (0.9, 0.4)):  # as fits that were finished before leave it
        (cell.folder / f"keep-{keep}").mkdir(parents=True)
        done = json.dumps({"score": score, "monitor": monitor, "seconds": 1.0})
        (cell.folder / f"keep-{keep}/fit.json").write_text(done, "utf-8")
    assert transfer_cell._choose(experiment, cell, Running(cell, "", -1)) == chosen
    held = json.loads((cell.folder / "choice.json").read_text("utf-8"))
    assert held["validation"] == {"0.5": 0.2, "0.9": 0.4}


def test_a_finished_cell_is_tidied_whenever_it_is_met(
    small_set: Path, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = Experiment(write_config(tmp_path, small_set), tmp_path / "run", None, [])
    cell = experiment.cells[0]
    write_run(cell.folder, make_ledger())
    (cell.folder / "choice.json").write_text('{"keep_probability": 0.5}', "utf-8")
    for name in ("features/a/features.bin", *(f"keep-{keep}/checkpoints/best.ckpt" for keep in (0.5, 0.9))):
        (cell.folder / name).parent.mkdir(parents=True)
        (cell.folder / name).touch()
    for _ in range(2):
        assert run_cell(experiment, cell, 4)
    assert [path.parent.parent.name for path in cell.folder.rglob("*.ckpt")] == ["keep-0.5"]
    assert not (cell.folder / "features").exists()
    assert "keeps weights" not in capsys.readouterr().out
