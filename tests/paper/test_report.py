"""The report as HTML and PDF: the same bytes from the same cells, nothing but text from names, holes as holes."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")

from benchmark.leaderboard.claims import read_claims
from benchmark.paper.pdf import write_pdf
from benchmark.paper.plan import Plan
from benchmark.paper.report import Report, make_report
from benchmark.paper.rows import MULTIRES, SINGLE, SLOW
from tests.generators.ledgers import write_run
from tests.generators.paper_cells import finish, ledger_of, plan_in

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = ("<script>alert(1)</script>", "$x$", "a\u202eb", "{{ 7 * 7 }}", "**bold**", "x" * 300)


def made(plan: Plan) -> Report:
    grey = np.full((5, 32, 32, 3), 90, np.uint8)
    return make_report(plan, read_claims(ROOT / "leaderboards"), "reproduce", lambda record: lambda video: grey)


def write(report: Report, folder: Path) -> tuple[str, bytes]:
    folder.mkdir(exist_ok=True)
    report.write_html(folder / "report.html")
    write_pdf(report, folder / "report.pdf")
    return (folder / "report.html").read_text("utf-8"), (folder / "report.pdf").read_bytes()


def test_the_same_cells_give_the_same_bytes(tmp_path: Path) -> None:
    plan = plan_in(tmp_path / "grid")
    finish(plan, {SLOW: 2.0, SINGLE: 1.0, MULTIRES: 1.5})
    first, second = (write(made(plan), tmp_path / name) for name in ("one", "two"))
    assert first == second
    assert first[1].startswith(b"%PDF")


def test_every_table_and_figure_has_its_place_in_one_file(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    finish(plan, {SLOW: 2.0, SINGLE: 1.0})
    report = made(plan)
    titles = ["Table 1", "Table 2", "Table 3", "Table 4", "Figure 3", "Figure 4", "Figure 5", "More"]
    assert [section.title for section in report.sections] == titles
    parts = {section.title: section for section in report.sections}
    assert len(parts["Figure 4"].pictures) == 1
    assert len(parts["Figure 5"].pictures) == 2
    assert len(parts["Table 2"].tables) == 2
    assert parts["Table 3"].holes == parts["Table 4"].holes
    assert any("single-frame, multires: not run" in hole for hole in parts["Figure 3"].holes)
    unfinished = [cell for cell in plan.cells() if not cell.is_finished]
    assert [command for *_, command in report.commands] == [f"reproduce --cell {cell.number}" for cell in unfinished]

    # The page needs nothing from elsewhere.
    text, _ = write(report, tmp_path)
    assert set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text)) == set()
    assert "<script" not in text
    assert text.count("data:image/png;base64,") == sum(len(part.pictures) for part in report.sections)


def test_names_stay_text(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    for cell in plan.table1_cells():
        if cell.row.key in {SLOW, SINGLE} and cell.fold is not None:
            ledger = ledger_of(cell.fold, 1.0, cell.number)
            named = dataclasses.replace(ledger.info, class_names=HOSTILE)
            write_run(cell.folder, dataclasses.replace(ledger, info=named))
    text, _ = write(made(plan), tmp_path)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text


def test_a_fit_that_is_not_finished_shows_nothing(tmp_path: Path) -> None:
    """Its best checkpoint so far and its curve are there from the first epoch on; failed fits leave them, too."""
    plan = plan_in(tmp_path, folds=(1,))
    cell = next(cell for cell in plan.table1_cells() if cell.row.key == MULTIRES)
    log, weights = cell.folder / "fit/csv/version_0/metrics.csv", cell.folder / "fit/checkpoints/best.ckpt"
    for path in (log, weights):
        path.parent.mkdir(parents=True)
    log.write_text("epoch,step,train/loss_epoch,val/clip_hit1\n0,9,2.0,\n0,9,,0.5\n1,19,1.0,\n1,19,,0.6\n", "utf-8")
    streams = {f"streams.trunks.{name}.conv1.weight": torch.rand(4, 3, 11, 11) for name in ("context", "fovea")}
    torch.save({"state_dict": streams}, weights)
    (cell.folder / "log.txt").touch()

    def shown() -> tuple[int, int, set[str]]:
        report = made(plan)
        parts = {section.title: section for section in report.sections}
        training = [picture for picture in parts["More"].pictures if picture.title == "Training"]
        seen = {str(finding.verdict) for finding in report.findings if finding.paper == "seen in Figure 3"}
        return len(parts["Figure 3"].pictures), len(training), seen

    assert shown() == (0, 0, {"not run"})
    finish(plan, {MULTIRES: 1.0})
    filters, training, seen = shown()
    assert (filters > 0, training) == (True, 1)
    assert "not run" not in seen


def test_a_report_of_nothing_is_all_holes(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, folds=(None,))
    report = made(plan)
    assert not any(section.pictures for section in report.sections)
    assert all(section.holes for section in report.sections[:7])
    assert len(report.commands) == 9
    assert "Nothing that the paper found" in write(report, tmp_path)[0]
