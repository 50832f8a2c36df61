"""The verb `reproduce`: a small grid in this process, one killed in the middle, and one in processes of its own."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from benchmark.cli import main
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from tests.generators.transfer_grids import MOTION, InProcess

ROOT = Path(__file__).resolve().parents[2]


def call(small_set: Path, out: Path, *more: str) -> list[str]:
    """The motion classes of the smallest set, one epoch."""
    return [
        *("reproduce", "--out", str(out), "--width", "0.05", "--epochs", "1", "--folds", "1"),
        *("--data.root", str(small_set), "--data.source_groups", "3", "--data.classes", f"[{','.join(MOTION)}]"),
        *("--data.num_workers", "0", "--data.batch_size", "4"),
        *("--data.clips_per_video", '{"train": 8, "train_epoch": 1, "validation": 1, "test": 3}'),
        *("--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", *more),
    ]


def without_speed(report: Path) -> str:
    """A report without its picture of clips a second, which no two runs share."""
    text = report.read_text("utf-8")
    assert "Accuracy and speed" in text
    return re.sub(r'<img src="data:[^"]*" alt="Accuracy and speed', '<img alt="Accuracy and speed', text)


def test_a_grid_killed_in_the_middle_and_resumed_gives_the_same_report(
    small_set: Path, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "paper"
    words = call(small_set, out, "--only", "single_frame", "slow_fusion")
    assert main([*call(small_set, out), "--list"]) == 0
    assert not out.exists()
    assert main(words) == 0  # the others are holes, and were not asked for
    whole, ran = without_speed(out / "report.html"), list(verbs.ran)
    names = ["single_frame-fold1-seed0", "slow_fusion-fold1-seed0"]
    assert ran == [f"{verb} {name}" for name in names for verb in ("fit", "test")]
    shutil.rmtree(out)

    verbs.dies_at = "test single_frame-fold1-seed0"
    assert main(words) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert main([*words, "--report"]) == 1
    assert "nothing is finished yet; run: python -m benchmark reproduce" in capsys.readouterr().out
    verbs.dies_at = "fit slow_fusion-fold1-seed0"
    assert main(words) == 130
    verbs.dies_at = None
    verbs.ran.clear()
    assert main(words) == 0
    assert verbs.ran == ["fit slow_fusion-fold1-seed0", "test slow_fusion-fold1-seed0"]
    assert without_speed(out / "report.html") == whole
    for name in names:
        assert Record.read(out / "cells" / name).checkpoint.provenance == "clean"
        assert f"{name}</th>" not in whole
    assert "early_fusion-fold1-seed0</th><td>not run</td>" in whole

    # Whoever asks for one cell hears of that one; a finished one is all that its job was for.
    listed = [cell for cell in ("single_frame", "early_fusion") if main([*words, "--report", "--only", cell]) == 0]
    assert listed == ["single_frame"]
    assert main([*call(small_set, out), "--report"]) == 1
    assert main([*call(small_set, out), "--cell", "2"]) == 0

    # The folder is of these cells; another width needs another one.
    words[words.index("--width") + 1] = "0.06"
    assert main(words) == 2
    assert "grid.width was 0.05 and is 0.06 now" in capsys.readouterr().err


@pytest.mark.heavy
@pytest.mark.timeout(3000)
def test_the_whole_paper_at_small_size(
    small_set: Path, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "paper"
    main(call(small_set, out))
    text = (out / "report.html").read_text("utf-8")
    shown = capsys.readouterr().out
    assert "failed: cell" not in shown
    cells = {path.name for path in (out / "cells").iterdir()}
    assert {f"{key}-fold1-seed0" for key in ("single_frame", "multires", "fovea", "context", "early_fusion")} <= cells
    for regime in ("scratch", "top", "top3", "all"):
        assert Record.read(out / f"transfer/cells/{regime}-fold1-seed0").checkpoint.provenance == "clean"
    for part in ("Table 1", "Table 2", "Table 3", "Table 4", "Figure 3", "Figure 4", "Figure 5"):
        assert f"<h2>{part}</h2>" in text
    assert (out / "report.pdf").read_bytes()[:4] == b"%PDF"
    assert (out / "figures/moving-filters-early-fusion.png").is_file()


@pytest.mark.heavy
def test_a_grid_killed_with_its_processes_goes_on(small_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "paper"
    words = call(small_set, out, "--only", "single_frame")
    command = [sys.executable, "-m", "benchmark", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    fit = out / "cells/single_frame-fold1-seed0/fit"
    deadline = time.monotonic() + 250
    while not (fit / "checkpoints/last.ckpt").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=60)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "single_frame-fold1-seed0</th>" not in (out / "report.html").read_text("utf-8")
    assert len(Ledger.read(fit.parent)) == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.fold", "2"], "--data.fold 2 is the cells' own; give --folds instead"),
        (["--model.width", "1"], "--model.width 1 is the cells' own; give --width instead"),
        (["--optimizer", "SGD"], "--optimizer is no option of reproduce"),
        (["--width", "0"], "--width is 0; it must be above 0"),
        (["--epochs", "0"], "--epochs is 0; it must be 1 or more"),
        (["--folds", "x"], "--folds is x; it must be a whole number"),
        (["--folds", "1", "1"], "--folds is 1 1, which names one twice; name each once"),
        (["--seeds", "0", "7", "0"], "--seeds is 0 7 0, which names one twice; name each once"),
        (["--folds", "4"], "--folds has 4; allowed are 1, 2 and 3"),
        (["--data", "Sports1M", "--data.root", "x", "--folds", "1"], "Sports1M has no folds"),
        (["--cell", "1", "--only", "slow_fusion"], "--cell 1 is histograms-fold1-seed0, which --only leaves out"),
        (["--data", "Sports1M", "--data.root", "x", "--only", "transfer"], "name the folder of its videos as --ucf101"),
        (["--data", "UCF101", "--data.root", "x", "--ucf101", "y"], "--ucf101 is y, but --data is UCF-101 already"),
        (["--cell", "99"], "--cell is 99; there are the cells 1 to 14"),
        (["--pretrained", "no.ckpt"], "no.ckpt"),
    ],
)
def test_what_a_user_can_cause_gets_one_message(
    small_set: Path,
    tmp_path: Path,
    verbs: InProcess,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    base = ["reproduce", "--out", str(tmp_path / "out")]
    folds = [] if "--folds" in words or "Sports1M" in words else ["--folds", "1"]
    assert main([*base, *folds, *words]) == 2
    assert message in capsys.readouterr().err
    assert verbs.ran == []
