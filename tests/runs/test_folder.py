"""Run folders: which one `last` means."""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from benchmark.errors import UserError
from benchmark.models.stored import read_checkpoint
from benchmark.runs.folder import experiment_name, keep, new_run_dir, release

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CLIPBENCH_RUN_DIR", raising=False)
    for name in ("LOCAL_RANK", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    yield
    release()


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


@pytest.mark.parametrize(
    "started",
    [{"LOCAL_RANK": "0"}, {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0"}],
    ids=["torchrun", "srun"],
)
def test_processes_started_from_outside_must_be_given_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: dict[str, str]
) -> None:
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    for resume in (False, True):
        with pytest.raises(UserError, match="must agree on one run folder; pass --run_dir"):
            new_run_dir(None, "slow", resume=resume, parent=tmp_path)
    assert new_run_dir(tmp_path / "run", "slow", resume=False, parent=tmp_path) == tmp_path / "run"


def test_one_process_of_a_cluster_chooses_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert new_run_dir(None, "slow", resume=False, parent=tmp_path).parent == tmp_path


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for chosen in (tmp_path / "file", tmp_path / "file/run"):
        with pytest.raises(UserError, match="/file is a file; name a folder"):
            new_run_dir(chosen, "slow", resume=False)


def test_runs_of_one_moment_have_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_run_dir(None, "slow", resume=False, parent=tmp_path / "runs"), range(24)))
    assert len(set(made)) == 24
    assert all(folder.is_dir() for folder in made)


@pytest.mark.parametrize("chosen", [None, "runs/mine"])
def test_a_folder_that_cannot_be_written_to_is_refused(
    chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"folder runs/.* cannot be written to: Read-only file system; name another"):
        new_run_dir(None if chosen is None else Path(chosen), "slow", resume=False)


def test_a_file_in_the_place_of_all_runs_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UserError, match="cannot be written to"):
        new_run_dir(None, "slow", resume=False, parent=tmp_path / "runs")


def test_a_folder_in_use_is_refused_and_its_user_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    new_run_dir(folder, "slow", resume=False)
    words = (
        "from pathlib import Path; from benchmark.runs.folder import new_run_dir; "
        f"new_run_dir(Path({str(folder)!r}), 'slow', resume=False)"
    )
    try:
        other = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, encoding="utf-8")
        assert other.returncode != 0
        assert f"the run folder {folder} is in use by process {os.getpid()} on {platform.node()}" in other.stderr
    finally:
        release()
    assert subprocess.run([sys.executable, "-c", words], cwd=ROOT).returncode == 0


def test_only_a_folder_that_this_process_made_and_left_empty_goes(tmp_path: Path) -> None:
    own, theirs, used = tmp_path / "own", tmp_path / "theirs", tmp_path / "used"
    (theirs / "plans").mkdir(parents=True)
    for folder in (own, theirs, used):
        new_run_dir(folder, "slow", resume=False)
    (used / "config.yaml").touch()
    (own / "csv").mkdir()
    release()
    assert not own.exists()
    assert (theirs / "plans").is_dir()
    assert (used / "config.yaml").exists()


@pytest.mark.parametrize("weights", [None, [1], {"layer": "text"}, {"layer": None}, {"layer": {"a": torch.zeros(1)}}])
def test_weights_that_are_no_tensors_are_no_model(tmp_path: Path, weights: object) -> None:
    torch.save({"state_dict": {"layer": torch.zeros(1)}}, tmp_path / "sound.ckpt")
    assert "state_dict" in read_checkpoint(str(tmp_path / "sound.ckpt"))
    torch.save({"state_dict": weights}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"--ckpt_path .*x\.ckpt holds no model"):
        read_checkpoint(str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("holds_itself", [False, True])
def test_lists_that_hold_each_other_without_end_are_refused(holds_itself: bool, tmp_path: Path) -> None:
    held: list[object] = ["lol"]
    for _ in range(40):
        held = [held, held]
    if holds_itself:
        held = []
        held.append(held)
    torch.save({"state_dict": {}, "class_names": held}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match="says more than 10,000,000 things"):
        read_checkpoint(str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_goes_where_nothing_is_in_it_or_the_command_was_refused(
    tmp_path: Path, *, refused: bool, kept: bool, empty: bool
) -> None:
    folder = new_run_dir(tmp_path / "runs" / "one", "one", resume=False)
    if kept:
        keep(folder)
    if not empty:
        (folder / "config.yaml").touch()
    release(refused=refused)
    assert folder.exists() == (not empty and (kept or not refused))


def test_a_folder_of_the_users_own_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    new_run_dir(tmp_path / "mine", "one", resume=False)
    release(refused=True)
    assert (tmp_path / "mine").is_dir()


def test_runs_are_called_after_their_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("slow-20261127-180428", "slow-20261127-180428-2", "mine", "plain"):
        (tmp_path / name).mkdir()
    for name in ("slow-20261127-180428", "slow-20261127-180428-2", "mine"):
        (tmp_path / name / "checkpoints").mkdir()
    named = {
        "conf/multires.yaml": "multires",
        "slow-20261127-180428/config.yaml": "slow",
        "slow-20261127-180428-2/config_test.yaml": "slow",
        "mine/config.yaml": "mine",
        "plain/config.yaml": "config",  # no run has left it
        "mine/other.yaml": "other",
    }
    assert {path: experiment_name(tmp_path / path) for path in named} == named
    monkeypatch.chdir(tmp_path / "mine")
    assert experiment_name(Path("config.yaml")) == "mine"


@pytest.mark.parametrize("address", ["s3://clips/run1", "gs://clips/run1", "hdfs:///run1", "file:///tmp/run1"])
def test_an_address_is_no_run_folder(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=f"--run_dir is {address.replace('///', '://').replace('::', ':')[:6]}.*an address"
    ):
        new_run_dir(Path(address), "slow", resume=False)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_a_colon_is_one(tmp_path: Path) -> None:
    assert new_run_dir(tmp_path / "a:b", "slow", resume=False) == tmp_path / "a:b"
