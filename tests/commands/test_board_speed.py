"""`leaderboard speed`: one command measures the networks of all entries, or refuses; boards show nothing else."""

import json
import os
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.commands import board_speed
from benchmark.leaderboard.ranking import read_boards
from benchmark.leaderboard.speeds import FILE_NAME, read_speeds
from tests.generators.ledgers import make_ledger, write_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two folds of one network."""
    root = tmp_path / "leaderboards"
    for fold in (1, 2):
        write_run(tmp_path / str(fold), make_ledger(fold, fold=fold), name="Made")
        assert main(["leaderboard", "add", str(tmp_path / str(fold)), "--root", str(root)]) == 0
    return root


def shown(root: Path) -> list[float | None]:
    return [row.clips_per_second for board in read_boards(root) for row in board.rows]


def test_a_test_s_own_speed_is_not_shown(root: Path) -> None:
    record = json.loads(next(root.rglob("record.json")).read_text("utf-8"))
    assert record["throughput"]["clips_per_second"] == 100
    assert shown(root) == [None, None, None]  # the mean and two folds


@pytest.mark.extra("plotly")
def test_networks_that_are_built_alike_are_measured_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[tuple[str, int]] = []

    def measured(network: object, *, seconds: float) -> float:
        built.append((type(network).__name__, network.num_classes))  # type: ignore[attr-defined]
        return 123.456

    monkeypatch.setattr(board_speed, "clips_per_second", measured)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 5.0, 5.0), raising=False)
    assert main(["leaderboard", "speed", "--root", str(root)]) == 0
    assert built == [("SingleFrame", 6)]
    assert shown(root) == [123.46, 123.46, 123.46]
    assert main(["leaderboard", "build", "--root", str(root)]) == 0
    assert main(["leaderboard", "verify", "--root", str(root)]) == 0
    assert "| 123 |" in (root / "README.md").read_text("utf-8")
    speeds = read_speeds(root)
    assert speeds is not None
    assert speeds.hardware.processes == 1

    text = (root / FILE_NAME).read_text("utf-8")
    (root / FILE_NAME).write_text(text.replace("made/fold1", "made/fold7"), "utf-8")
    capsys.readouterr()
    assert main(["leaderboard", "verify", "--root", str(root)]) == 1
    assert "which is no entry" in capsys.readouterr().out


def test_a_busy_machine_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.25, 0.0, 0.0), raising=False)
    assert main(["leaderboard", "speed", "--root", str(root)]) != 0
    assert "the load of this machine was 3.2" in capsys.readouterr().err
    assert not (root / FILE_NAME).exists()


def test_a_file_that_is_none_and_a_device_that_is_none_get_one_message(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", "speed", "--root", str(root), "--accelerator", "abacus"]) != 0
    assert "--accelerator is abacus" in capsys.readouterr().err
    (root / FILE_NAME).write_text("{}", "utf-8")
    assert main(["leaderboard", "build", "--root", str(root)]) != 0
    assert "holds no speeds" in capsys.readouterr().err
