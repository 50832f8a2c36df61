"""What launch knows of a grid's cells, and what becomes of one that is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark.commands import evaluate, reproduce, transfer
from benchmark.errors import UserError
from benchmark.grid.processes import Part
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


def test_a_cell_is_run_alone_and_a_refusal_is_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts: list[Part] = []

    def grid(argv: Sequence[str], part: Part = "all") -> int:
        if "--list" in argv:
            print("cell  name   state\n1     one  not run\n2     two   failed\nTables 3 and 4 need  folds")
            return 0
        parts.append(part)
        if argv[-1] == "1":
            raise UserError("the weights cannot be read")
        print("cell 2 of 2, two: FAILED: why")
        return 1

    monkeypatch.chdir(tmp_path)
    assert run_cell(grid, (), 2, tmp_path, (), "0mark") == "failed"
    assert run_cell(grid, (), 1, tmp_path, (), "0mark") == "refused: the weights cannot be read"
    assert capsys.readouterr().out == "cell 2 of 2, two: FAILED: why\n0mark\n0mark\n"
    assert parts == ["cells", "cells"]
