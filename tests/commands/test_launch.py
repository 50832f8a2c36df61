"""Verbs on the workers of a Ray cluster of three nodes, one of which may be lost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from pyarrow import parquet

from benchmark.cli import main
from benchmark.models.stored import read_checkpoint
from benchmark.scale.workers import Job, parameters_of
from tests.generators.machines import machines
from tests.generators.ray_cluster import ray_cluster
from tests.generators.small_test import CONF, VIDEOS, options

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
    ],
)
def test_what_cannot_be_launched_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    assert main(["launch", *words]) == 2
    assert said in capsys.readouterr().err


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
