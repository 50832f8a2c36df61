"""Locks of cells, and what is said of verbs that end with an error."""

import errno
import multiprocessing
import time
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.grid.processes import CellFailure, locked, reporting, run_verb


def test_a_file_system_without_locks_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path / "lock") as lock:
        assert lock == -1


def test_a_cell_that_another_holds_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.grid.processes._WAIT_SECONDS", 0.2)
    with locked(tmp_path / "lock") as first, locked(tmp_path / "lock") as second:
        assert first is not None
        assert second is None
    with locked(tmp_path / "lock") as free:
        assert free is not None


def _report(folder: Path, number: int) -> None:
    with reporting(folder):
        (folder / "report.new").write_text(f"{number}", "utf-8")
        time.sleep(0.05)  # another would write over it, or move it away
        (folder / "report.new").replace(folder / "report")


def test_processes_that_end_together_report_one_after_another(tmp_path: Path) -> None:
    processes = [multiprocessing.Process(target=_report, args=(tmp_path, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def test_a_report_that_never_ends_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.grid.processes._REPORT_SECONDS", 0.2)
    with reporting(tmp_path), pytest.raises(UserError, match="another process has been writing the report"):
        with reporting(tmp_path):
            pytest.fail("two at once")


def test_a_verb_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(CellFailure, match=r"protocol: there is no record .*; see .*log\.txt"):
        run_verb(["protocol", "show", str(tmp_path / "nowhere")], tmp_path, -1)
    assert "$ protocol show" in (tmp_path / "log.txt").read_text("utf-8")
