"""Run folders: which one `last` means."""

import os
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.runs import new_run_dir


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIPBENCH_RUN_DIR", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def run(parent: Path, name: str, age: int) -> Path:
    folder = parent / name
    (folder / "checkpoints").mkdir(parents=True)
    last = folder / "checkpoints/last.ckpt"
    last.touch()
    os.utime(last, (1e9 - age, 1e9 - age))
    return folder


def test_the_newest_run_of_that_very_name_goes_on(tmp_path: Path) -> None:
    run(tmp_path, "slow-20260101-120000", 30)
    newest = run(tmp_path, "slow-20260102-120000-1", 20)
    run(tmp_path, "slow-2-20260103-120000", 10)  # another configuration
    assert new_run_dir(None, "slow", resume=True, parent=tmp_path) == newest


def test_without_a_run_there_is_nothing_to_resume(tmp_path: Path) -> None:
    run(tmp_path, "slow-2-20260103-120000", 10)
    with pytest.raises(UserError, match="nothing to resume"):
        new_run_dir(None, "slow", resume=True, parent=tmp_path)


def test_a_new_run_has_a_new_folder_that_last_finds_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run_dir(None, "slow", resume=False, parent=tmp_path)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").touch()
    monkeypatch.delenv("CLIPBENCH_RUN_DIR")
    other = new_run_dir(None, "slow", resume=False, parent=tmp_path)
    assert other != folder
    monkeypatch.delenv("CLIPBENCH_RUN_DIR")
    assert new_run_dir(None, "slow", resume=True, parent=tmp_path) == folder
