"""The page of a run: what of its folder is on it, and that nothing which cannot be drawn fails a run."""

import re
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from benchmark.results.class_shares import class_shares
from benchmark.results.ledger import Ledger
from benchmark.runs import run_report
from benchmark.runs.best_validation import FILE_NAME as VALIDATION_NAME
from benchmark.runs.run_report import RunReport, write_report
from benchmark.runs.screen import COLUMNS
from tests.generators.ledgers import make_ledger, write_run

REASON = "is not installed; run: pip install 'clipbench[report]'"


def grey(video: str) -> np.ndarray:
    return np.full((5, 16, 16, 3), 90, np.uint8)


def unreadable(video: str) -> np.ndarray:
    raise OSError(f"{video} is gone")


def fit_folder(folder: Path, ledger: Ledger | None = None) -> Path:
    """What a fit of two epochs that went on once has left."""
    for version, epoch in enumerate((0, 1)):
        log = folder / f"csv/version_{version}/metrics.csv"
        log.parent.mkdir(parents=True)
        rows = f"{epoch},{2.5 - epoch},0.{version + 1},100,200\n"
        names = "epoch,train/loss_epoch,val/clip_hit1,train/clips_per_second,train/compute_clips_per_second"
        log.write_text(f"{names}\n{rows}", "utf-8")
    (folder / "config.yaml").write_text("model: <script>alert(1)</script>\n", "utf-8")
    (folder / "checkpoints").mkdir()
    weights = {"state_dict": {"conv.weight": torch.rand(4, 3, 5, 5)}}
    torch.save(weights, folder / "checkpoints/best.ckpt")
    if ledger is not None:
        ledger.write(folder / VALIDATION_NAME)
    return folder


def titles(path: Path) -> list[str]:
    return re.findall(r"<h[23]>([^<]*)</h[23]>", path.read_text("utf-8"))


def test_a_fit_and_a_test_in_one_folder_are_on_one_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder = fit_folder(tmp_path / "run", make_ledger(videos=60))
    write_run(folder, make_ledger(seed=1, videos=60), name="Made & tested")
    path = write_report(folder, grey)
    text = path.read_text("utf-8")
    drawn = ["Confusions", "Classes", "Average precision by group of classes", "Best predictions", "Worst predictions"]
    named = [title.partition(" of the ")[0] for title in titles(path)]
    assert [name for name in named if name in {"Test", "Training", "Validation", "Filters", "Configuration"}] == [
        *("Test", "Training", "Training", "Validation", "Filters", "Configuration"),
    ]
    assert all(named.count(name) == 2 for name in drawn)  # of the test and of the validation
    assert {"Time of training", "First-layer filters of best.ckpt", "Cost"} <= set(named)
    assert "Not there" not in named
    assert "Made &amp; tested" in text
    # The page needs nothing from elsewhere, and what a file says stays text.
    assert set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text)) == set()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_epochs_of_a_fit_that_went_on_are_one_table(tmp_path: Path) -> None:
    folder = fit_folder(tmp_path / "run")
    write_report(folder, grey)
    lines = (folder / "curves.csv").read_text("utf-8").split()
    assert lines[0].startswith("epoch,train/loss_epoch,val/clip_hit1")
    assert [line.split(",")[:3] for line in lines[1:]] == [["1", "2.5", "0.1"], ["2", "1.5", "0.2"]]


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fit_folder(tmp_path / "run")
    (folder / "checkpoints/best.ckpt").write_bytes(b"no checkpoint")
    text = write_report(folder, unreadable).read_text("utf-8")
    assert f"{VALIDATION_NAME}: the architecture validates in its own way" in text
    pytest.importorskip("matplotlib")
    assert "best.ckpt is no checkpoint, or is damaged" in text
    # Strips of videos that cannot be read are drawn without frames.
    make_ledger(videos=30).write(folder / VALIDATION_NAME)
    assert "Worst predictions of the validation" in titles(write_report(folder, unreadable))
    monkeypatch.setattr(run_report, "why_missing", {"matplotlib": REASON}.get)
    text = write_report(folder, grey).read_text("utf-8")
    assert "Pictures: matplotlib is not installed" in text
    assert "mAP" in titles_of_rows(text)  # the numbers are there


def titles_of_rows(text: str) -> list[str]:
    return re.findall(r'<th scope="row">([^<]*)</th>', text)


def test_a_report_that_fails_is_a_line_and_one_that_is_asked_for_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    trainer = cast(Any, SimpleNamespace(is_global_zero=True, datamodule=SimpleNamespace(shown_frames=grey)))
    folder = fit_folder(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    RunReport(Path("run"), opens=True).on_fit_end(trainer, cast(Any, None))
    assert capsys.readouterr().out == "report: run/report.html\n"
    assert opened == [(folder / "report.html").as_uri()]
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    RunReport(Path("run"), opens=True).on_test_end(trainer, cast(Any, None))
    said = capsys.readouterr().out
    assert said.startswith("no report.html: ")
    assert said.count("\n") == 1
    assert len(said) <= COLUMNS + 200
    trainer.is_global_zero = False
    RunReport(Path("run")).on_fit_end(trainer, cast(Any, None))
    assert capsys.readouterr().out == ""
    assert len(opened) == 1


def test_shares_of_classes_against_a_count_by_hand() -> None:
    ledger = make_ledger(videos=200, classes=4, videos_per_source=2)
    shares = class_shares(ledger)
    assert [share.value for share in shares] == sorted((share.value for share in shares), reverse=True)
    for share in shares:
        number = ledger.info.class_names.index(share.name)
        rows = np.flatnonzero(ledger.labels[:, number])
        right = [bool(ledger.scored[row] and ledger.labels[row, ledger.scores[row].argmax()]) for row in rows]
        assert share.videos == len(rows)
        assert share.value == pytest.approx(sum(right) / len(rows))
        assert share.low < share.value < share.high
    few = class_shares(make_ledger(videos=30, classes=6))
    assert all(np.isnan(share.low) for share in few)  # of too few sources
