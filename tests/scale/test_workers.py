"""What launch knows of a grid's cells, and what of their output is shown."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark.commands import evaluate, reproduce, transfer
from benchmark.scale.workers import Grid, cell_states, run_cell


@pytest.mark.parametrize(
    ("grid", "words", "cells"),
    [
        (evaluate.main, ["--config", "single_frame", "--folds", "1,2", "--seeds", "2", "--run_dir"], [1, 2, 3, 4]),
        (transfer.main, ["--config", "transfer/embedded", "--run_dir"], [*range(1, 13)]),
        (reproduce.main, ["--only", "single_frame", "--folds", "1", "--seeds", "0", "1", "--out"], [3, 4]),
    ],
)
def test_the_states_of_cells_are_those_of_the_list(
    grid: Grid, words: list[str], cells: list[int], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    assert cell_states(grid, [*words, str(tmp_path / "grid")]) == dict.fromkeys(cells, "not run")


def test_of_a_cell_its_own_lines_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grid(words: Sequence[str]) -> int:
        if "--list" in words:
            print("cell  name   state\n1     one  not run\n2     two   failed\nTables 3 and 4 need  folds")
        else:
            print("folder: here\ncell 2 of 2, two: fi", end="")
            print("t\n\nTable 1: cells\ncell 2 of 2, two: FAILED: why")
        return 1

    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert run_cell(grid, (), 2, tmp_path, (), "0mark") == "failed"
    assert shown.getvalue() == "cell 2 of 2, two: fit\ncell 2 of 2, two: FAILED: why\n0mark\n"
