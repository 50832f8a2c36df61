"""Verbs on the workers of a Ray cluster of three nodes, one of which may be lost."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pyarrow import parquet

from benchmark.cli import main
from benchmark.commands import command, launch
from benchmark.grid import processes
from benchmark.models.stored import read_checkpoint
from benchmark.scale import cluster as cluster_module
from benchmark.scale.workers import Job, parameters_of
from tests.generators.machines import machines
from tests.generators.ray_cluster import ray_cluster
from tests.generators.small_test import CONF, VIDEOS, options
from tests.generators.transfer_grids import write_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "0", "fit"], "--workers is 0, --cpus 1"),
        (["--workers", "2:3", "fit"], "2:3"),
        (["--workers", "2"], "launch needs a verb after its options: one of fit, validate"),
        (["--workers", "2", "--cpus", "0", "fit"], "--cpus 0"),
        (["--workers", "2", "fit"], "launch needs --run_dir after the verb"),
        (["--workers", "2", "fit", "--run_dir", "s3://a/b"], "--run_dir is s3://a/b, an address"),
        (["--workers", "2", "fit", "--run_dir", "a", "--ckpt_path", "last"], "leave out --ckpt_path"),
        (["--workers", "2", "fit", "--run_dir=a", "--trainer.strategy", "ddp"], "launch chooses --trainer.strategy"),
        (["--workers", "2", "--downpour", "test", "--run_dir=a"], "--downpour is for fit"),
        (["--worker", "2", "fit"], "--worker"),
        (["--workers", "2", "--cpus", ".nan", "fit"], "--cpus nan"),
        (["--workers", "2", "--gpus", ".inf", "fit"], "--gpus inf"),
        *(
            (["--workers", "2", "--downpour", options, "fit", "--run_dir=a"], said)
            for options, said in (
                ("{push_every: 5}", "--downpour is {push_every: 5}, which is no JSON"),
                ("[1]", "--downpour is [1], which is no object"),
                ('{"push_evry": 5}', "push_evry"),
                ('{"push_every": "five"}', "push_every"),
                ('{"push_every": 0}', "push_every is 0"),
                ('{"momentum_at": "here"}', "momentum_at"),
                ('{"adagrad_rate": NaN}', "adagrad_rate"),
            )
        ),
        (["--workers", "2", "--downpour", "transfer", "--config", "x"], "--downpour and --store are for fit"),
        (["--workers", "2", "transfer", "--config", "transfer/embedded", "--cell=1"], "launch chooses --cell"),
    ],
)
def test_what_cannot_be_launched_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    assert main(["launch", *words]) == 2
    assert said in capsys.readouterr().err


class Cells:
    """A grid of three cells in memory: the first waits for the third, and the second fails."""

    def __init__(self) -> None:
        self.states = {1: "not run", 2: "not run", 3: "not run"}
        self.did: list[str] = []

    def main(self, argv: Sequence[str], part: str = "all") -> int:
        if "--list" in argv:
            print("cell  state", *(f"{cell}  {state}" for cell, state in self.states.items()), sep="\n")
            return 0
        self.did.append(part)
        return int(part == "report" and set(self.states.values()) != {"finished"})

    def run(self, grid: Any, words: Any, cells: list[int], listener: Any, **options: Any) -> dict[int, str]:
        self.did.append(f"run {cells}")
        for cell in cells:
            if cell != 1 or self.states[3] == "finished":
                self.states[cell] = "failed" if cell == 2 else "finished"
        return {cell: self.states[cell] for cell in cells}


def test_a_cell_that_waits_is_tried_again_and_one_that_failed_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    cells = Cells()
    monkeypatch.setattr(launch, "command", lambda verb: cells)
    monkeypatch.setattr(cluster_module, "connected", lambda *asked: contextlib.nullcontext())
    monkeypatch.setattr(cluster_module, "run_cells", cells.run)
    words = ["--workers", "2", "evaluate"]
    assert launch.main(words) == 1
    assert cells.did == ["check", "run [1, 2, 3]", "run [1]", "report"]
    assert cells.states == {1: "finished", 2: "failed", 3: "finished"}
    cells.did.clear()
    assert launch.main(words) == 1
    assert cells.did == ["check", "run [2]", "report"]
    cells.states[2] = "finished"
    cells.did.clear()
    assert launch.main(words) == 0
    assert cells.did == ["check", "report"]


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*asked: Any) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(cluster_module, "connected", refuse)


@pytest.mark.usefixtures("no_cluster")
def test_what_a_grid_refuses_is_refused_before_a_cluster_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    words = ["--config", "transfer/embedded", "--run_dir", str(tmp_path / "run")]
    assert main(["launch", "--workers", "2", "transfer", *words]) == 2
    assert "begin with trained weights; name them as --pretrained" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(("option", "code", "said"), [("--tables", 1, "0 of 12 cells"), ("--list", 0, "not run")])
def test_what_runs_no_cell_needs_no_cluster(
    option: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "transfer/embedded", "--run_dir", str(tmp_path / "run"), option]
    assert main(["launch", "--workers", "2", "transfer", *words]) == code
    assert said in capsys.readouterr().out


def test_the_help_of_a_grid_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["launch", "--workers", "2", "transfer", "--help"])
    assert end.value.code == 0
    assert "--pretrained" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["evaluate", "transfer", "reproduce"])
def test_of_the_parts_of_a_grid_one_runs_cells_and_one_reports(
    verb: str, small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def run(words: Sequence[str], folder: Path, lock: int) -> None:
        ran.append(words[0])
        raise processes.CellFailure("stopped here")

    monkeypatch.setattr(processes, "run_verb", run)
    folder, data = tmp_path / "grid", ["--data.root", str(small_set), "--data.source_groups", "3"]
    regimes = {"scratch": {"keep_probabilities": [0.9]}}
    words, report, said = {
        "evaluate": (
            ["--config", "multires", "--data", "SyntheticActions", *data, "--folds", "1", "--run_dir", str(folder)],
            None,
            "0 of 1 cell is finished",
        ),
        "transfer": (
            ["--config", str(write_config(tmp_path, small_set, regimes=regimes, folds=[1])), "--run_dir", str(folder)],
            folder / "transfer.md",
            "0 of 1 cell is finished",
        ),
        "reproduce": ([*data, "--out", str(folder)], folder / "report.html", "nothing is finished yet"),
    }[verb]
    if verb == "reproduce":
        pytest.importorskip("matplotlib")
    grid = command(verb).main
    assert grid(words, "check") == 0
    assert ran == []
    capsys.readouterr()
    assert grid([*words, "--cell", "1"], "cells") == 1
    assert len(ran) == 1
    assert all(line.startswith("cell 1 of ") for line in capsys.readouterr().out.splitlines())
    assert report is None or not report.exists()
    assert grid(words, "report") == 1
    assert len(ran) == 1
    shown = capsys.readouterr().out
    assert said in shown
    assert "failed: cell 1, " in shown
    assert report is None or report.exists()


def test_a_worker_runs_the_same_words_with_its_place() -> None:
    job = Job("fit", ("--config", "c", "--model.width=0.5"), Path("/runs/a"), Path("/"), False, (), "0end")
    words = job.command()
    assert words[:4] == ["fit", "--config", "c", "--model.width=0.5"]
    assert parameters_of(words, "--run_dir") == "/runs/a"
    assert parameters_of(words, "--ckpt_path") == "auto"
    assert parameters_of(words, "--model.width") == "0.5"
    assert parameters_of(words, "--trainer.callbacks+") is None
    strategy = json.loads(str(parameters_of(job.replica_command('{"push_every": 3}'), "--trainer.strategy")))
    assert strategy["init_args"] == {"push_every": 3}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a cluster of three nodes with a processor each."""
    pytest.importorskip("ray")
    with ray_cluster(head_cpus=1, workers=2) as made:
        yield made.address


def launched(cluster: str, folder: Path, launch: list[str], words: list[str]) -> tuple[int, str]:
    """Exit code and output of `launch`."""
    environment = {name: value for name, value in os.environ.items() if name != "CLIPBENCH_RUN_DIR"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "launch", "--address", cluster, *launch, *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=500,
    )
    return done.returncode, done.stdout


@pytest.mark.timeout(300)
def test_a_worker_that_no_machine_can_hold_is_refused(small_set: Path, cluster: str, tmp_path: Path) -> None:
    """The three machines have enough together, and the job would wait for ever."""
    words = ["fit", *options(small_set, Path("run"))]
    code, said = launched(cluster, tmp_path, ["--workers", "1", "--cpus", "2"], words)
    assert code == 2, said
    assert "has room for 0" in said


@pytest.mark.heavy
@pytest.mark.timeout(1500)
def test_a_lost_worker_is_replaced_and_nothing_else_changes(small_set: Path, cluster: str, tmp_path: Path) -> None:
    """The weights are those of two processes that nobody disturbs, and the test's ledger that of one process."""
    words = [*options(small_set, Path("run")), "--trainer.max_epochs", "3"]
    fault = {"class_path": "tests.generators.faults.DiesOnce"}
    dies = {**fault, "init_args": {"rank": 1, "step": 6, "marker": str(tmp_path / "died")}}
    code, said = launched(
        cluster, tmp_path, ["--workers", "2"], ["fit", *words, "--trainer.callbacks", json.dumps([dies])]
    )
    assert code == 0, said
    assert (tmp_path / "died").exists()
    assert "epoch 3" in said
    together = ["--trainer.num_nodes", "2", "--trainer.devices", "1", "--trainer.strategy", "ddp"]
    for code, said in machines(tmp_path, [["fit", *words, *together]] * 2, seconds=450):
        assert code == 0, said
    states = [read_checkpoint(str(tmp_path / run / "checkpoints/last.ckpt")) for run in ("run", "machine0/run")]
    assert states[0]["global_step"] == states[1]["global_step"] == 12
    for name, weights in states[0]["state_dict"].items():
        assert torch.equal(weights, states[1]["state_dict"][name]), name
    tested = ["test", *options(small_set, Path("test"))]
    checkpoint = str(tmp_path / "run/checkpoints/last.ckpt")
    code, said = launched(cluster, tmp_path, ["--workers", "2"], [*tested, "--ckpt_path", checkpoint])
    assert code == 0, said
    assert main([*tested, "--run_dir", str(tmp_path / "alone"), "--ckpt_path", checkpoint]) == 0
    ledgers = [parquet.read_table(tmp_path / name / "ledger.parquet") for name in ("test", "alone")]
    assert len(ledgers[0]) == VIDEOS
    assert ledgers[0].drop_columns("scores").equals(ledgers[1].drop_columns("scores"))


@pytest.mark.timeout(600)
def test_replicas_go_on_without_one_that_dies_and_do_not_wait_for_a_slow_one(
    small_set: Path, cluster: str, tmp_path: Path
) -> None:
    faults = [
        {"class_path": "tests.generators.faults.DiesOnce",
         "init_args": {"rank": 1, "step": 2, "marker": str(tmp_path / "died")}},
        {"class_path": "tests.generators.faults.Slow", "init_args": {"rank": 2, "seconds": 2.0}},
    ]  # fmt: skip
    strategy = {"push_every": 2, "fetch_every": 1, "momentum_at": "none", "wait_seconds": 0, "partitions": 2}
    words = ["fit", *options(small_set, Path("run")), "--trainer.max_epochs", "4"]
    code, said = launched(
        cluster,
        tmp_path,
        ["--workers", "3", "--failures", "0", "--downpour", json.dumps(strategy)],
        [*words, "--trainer.callbacks", json.dumps(faults)],
    )
    assert code == 0, said
    assert (tmp_path / "died").exists()
    assert "pushes reached the servers" in said
    assert read_checkpoint(str(tmp_path / "run/checkpoints/last.ckpt"))["epoch"] == 3
    held = yaml.safe_load((tmp_path / "run/config.yaml").read_text("utf-8"))["trainer"]["strategy"]
    assert held["class_path"] == "benchmark.scale.downpour.Downpour"
    assert held["init_args"]["momentum_at"] == "none"  # the record says where momentum acts
    assert held["init_args"]["partitions"] == 2
    weights = read_checkpoint(str(tmp_path / "run/checkpoints/last.ckpt"))["state_dict"]
    assert all(torch.isfinite(each).all() for each in weights.values() if each.is_floating_point())


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_cells_of_a_grid_are_tasks(small_set: Path, cluster: str, tmp_path: Path) -> None:
    words = ["evaluate", "--config", str(CONF), "--folds", "1,2", "--seeds", "1", "--leaderboards", "boards"]
    words += ["--run_dir", "grid", "--data", "SyntheticActions", "--data.root", str(small_set)]
    words += ["--data.source_groups", "3", "--data.num_workers", "0", "--model.width", "0.05"]
    words += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.logger", "false"]
    code, said = launched(cluster, tmp_path, ["--workers", "2"], words)
    assert code == 0, said
    assert "cell 1: finished" in said
    assert "cell 2: finished" in said
    assert "2 of 2 cells are finished" in said
    code, said = launched("127.0.0.1:1", tmp_path, ["--workers", "2"], words)  # where no cluster is
    assert code == 0, said
    assert "2 of 2 cells are finished" in said
