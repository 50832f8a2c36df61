"""A claim on folds and seeds: most run in this process, one is killed and goes on."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.leaderboard.entries import check_entries
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from tests.generators.transfer_grids import InProcess

ROOT = Path(__file__).resolve().parents[2]


def call(small_set: Path, folder: Path, *more: str) -> list[str]:
    return [
        *("evaluate", "--config", "multires", "--data", "synthetic", "--data.root", str(small_set)),
        *("--data.source_groups", "3", "--data.num_workers", "0", "--data.batch_size", "4", "--model.width", "0.05"),
        *("--data.clips_per_video", '{"train": 8, "train_epoch": 1, "validation": 1, "test": 2}'),
        *("--data.classes", "[Expand, Contract, Rise, Sink]", "--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.logger", "false"),
        *("--run_dir", str(folder / "run"), "--leaderboards", str(folder / "boards"), *more),
    ]


@pytest.mark.filterwarnings("ignore")
def test_every_fold_and_seed_is_an_entry_and_the_row_has_a_spread(
    small_set: Path, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    line = call(small_set, tmp_path, "--folds", "1,3", "--seeds", "2")
    verbs.dies_at = "test fold3-seed0"
    assert main(line) == 130
    assert capsys.readouterr().err == "clipbench: stopped; the same command goes on from here\n"
    verbs.dies_at = None
    assert main([*line, "--list"]) == 0
    states = [row.split()[2] for row in capsys.readouterr().out.splitlines()[1:]]
    assert states == ["finished", "finished", "unfinished", "not"]
    assert main(line) == 0
    assert "video Hit@1 in % (95% interval)" in capsys.readouterr().out
    assert verbs.ran.count("fit fold3-seed0") == 1
    assert main([*line[:-1], "3", "--cell", "1"]) == 0  # the third seed is another job's
    assert main([*line[:-1], "3", "--list"]) == 0
    rows = [row.split(maxsplit=2) for row in capsys.readouterr().out.splitlines()[-6:]]
    assert [state for _, name, state in rows if name.endswith("seed2")] == ["not run", "not run"]
    assert main([*line, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)

    records = {
        (fold, seed): Record.read(tmp_path / f"run/cells/fold{fold}-seed{seed}") for fold in (1, 3) for seed in (0, 1)
    }
    values = np.array([[records[fold, seed].metrics["video_hit1"].value for seed in (0, 1)] for fold in (1, 3)], float)
    assert all(record.dataset.fold == fold and record.seed == seed for (fold, seed), record in records.items())
    assert row["metrics"]["video_hit1"]["value"] == pytest.approx(values.mean())
    spread = row["standard_deviations_of_video_hit1"]
    assert spread["between_folds"] == pytest.approx(values.mean(1).std(ddof=1))
    assert spread["of_seeds"] == pytest.approx(np.sqrt(values.var(axis=1, ddof=1).mean()))
    assert (row["finished"], row["cells"], row["folds"], row["seeds_of_each_fold"]) == (4, 4, [1, 3], [2, 2])

    assert (row["failed"], row["not_added"]) == ({}, {})

    # A call that was killed between adding an entry and noting that is gone on with.
    (tmp_path / "run/cells/fold1-seed0/entry.txt").unlink()
    assert main(line) == 0
    assert "not added" not in capsys.readouterr().out

    entries, problems, _ = check_entries(tmp_path / "boards")
    assert problems == []
    assert len(entries) == 4
    # A seed more goes on in the same folder; another network does not.
    assert main([*line[:-1], "3", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
    assert main([*line, "--model.resolution", "full"]) == 2
    assert "holds a grid that differs" in capsys.readouterr().err


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_a_claim_that_is_killed_goes_on_to_the_same_numbers(small_set: Path, tmp_path: Path) -> None:
    more = ("--folds", "1", "--trainer.max_epochs", "12", "--checkpoint.minutes", "0.0001")
    line = [sys.executable, "-m", "benchmark", *call(small_set, tmp_path / "killed", *more)]
    environment = {name: value for name, value in os.environ.items() if name != "CLIPBENCH_RUN_DIR"}
    process = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    last = tmp_path / "killed/run/cells/fold1-seed0/fit/checkpoints/last.ckpt"
    deadline = time.monotonic() + 3000  # the timeout of tests comes first
    while not last.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=240)
    for folder, words in (("killed", line), ("whole", [*line[:3], *call(small_set, tmp_path / "whole", *more)])):
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("going on" in done.stdout) is (folder == "killed")
    killed, whole = (
        Ledger.read(tmp_path / folder / "run/cells/fold1-seed0/ledger.parquet") for folder in ("killed", "whole")
    )
    assert killed.video_ids == whole.video_ids
    assert killed.scores == pytest.approx(whole.scores, abs=1e-6, nan_ok=True)


def test_a_fold_that_there_is_not_is_refused_before_anything_is_trained(
    small_set: Path, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call(small_set, tmp_path, "--folds", "1,9")) == 2
    assert "data.fold is 9; SyntheticActions has the folds 1, 2 and 3" in capsys.readouterr().err
    assert verbs.ran == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--config multires --folds 1,one",
            "--folds is 1,one; give whole numbers with commas between them, as --folds 1,2,3",
        ),
        ("--config multires --folds 1,1", "--folds is 1,1, which names one twice"),
        ("--config multires --seeds 0", "--seeds is 0; it must be a number of seeds from 1 to 1000, or a list as 0,7"),
        ("--config multires --data.seed 3", "--data.seed 3 is the cells' own; give --seeds instead"),
        ("--config multires --data.fold 3", "--data.fold 3 is the cells' own; give --folds instead"),
        ("--config multires --cell 9", "--cell is 9; there are the cells 1 to 3"),
        ("--config multires --epochs 9", "--epochs is no option of evaluate"),
        ("--config multirez", "the nearest: multires"),
        ("", "evaluate needs --config"),
        ("--config multires --data VideoFolder --data.root x --folds 1", "VideoFolder has no folds; leave it out"),
    ],
)
def test_what_cannot_be_evaluated_is_said(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *words.split()]) == 2
    assert message in capsys.readouterr().err
