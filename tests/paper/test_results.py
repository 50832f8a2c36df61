"""Tables and findings of a reproduction against what `summarise` and `compare` say of the same videos."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard.claims import read_claims
from benchmark.paper.differences import differences
from benchmark.paper.findings import findings, paragraph
from benchmark.paper.results import PaperResults
from benchmark.paper.rows import CNN_AVERAGE, CONTEXT, EARLY, FOVEA, LATE, MULTIRES, ROWS, SINGLE, SLOW
from benchmark.results.comparison import Comparison, Difference, common_videos, compare
from benchmark.results.pooled import pooled
from benchmark.results.statistics import Paired
from benchmark.transfer.tables import TransferResults
from tests.generators.ledgers import make_ledger, make_record
from tests.generators.paper_cells import finish, ledger_of, plan_in

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = read_claims(ROOT / "leaderboards")
NO_GRID = TransferResults([], CLAIMS)


def test_every_system_is_a_row_of_the_papers_table() -> None:
    (table,) = [claims for claims in CLAIMS if claims.source.endswith("Table 1")]
    assert [row.title for row in ROWS] == [row.name for row in table.rows]
    results = PaperResults(plan_in(Path("nowhere")), CLAIMS)
    shown = results.table1()
    for row, claimed in zip(shown.rows, table.rows, strict=True):
        assert row[0] == claimed.name
        for place, name in ((1, "clip_hit1"), (3, "video_hit1"), (5, "video_hit5")):
            value = claimed.metrics[name].value if name in claimed.metrics else None
            assert row[place] == ("-" if value is None else f"{100 * value:.1f}")
        assert (row[2], row[-1]) == ("not run", "0 of 2")


def test_numbers_are_of_all_finished_folds_together(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    finish(plan, {SINGLE: 1.0})
    row = next(row for row in PaperResults(plan, CLAIMS).table1().rows if row[0] == "single-frame")
    tests = [ledger_of(fold, 1.0, 100 * fold + sum(map(ord, SINGLE))) for fold in (1, 2)]
    right = held = 0
    for ledger in tests:
        for video in range(len(ledger)):
            held += 1
            right += bool(ledger.scored[video] and ledger.labels[video, ledger.scores[video].argmax()])
    assert row[4].startswith(f"{100 * right / held:.1f} (")
    assert row[-1] == "2 of 2"


@pytest.mark.parametrize(
    ("skills", "verdict"),
    [((3.0, 0.3), "holds"), ((0.3, 3.0), "the opposite holds"), ((1.0, 1.0), "not told apart")],
)
def test_a_finding_is_the_paired_comparison(tmp_path: Path, skills: tuple[float, float], verdict: str) -> None:
    plan = plan_in(tmp_path)
    finish(plan, dict(zip((SLOW, SINGLE), skills, strict=True)))
    results = PaperResults(plan, CLAIMS)
    found = findings(results, NO_GRID, {})
    assert found[0].verdict == verdict
    assert found[0].paper == "slow fusion 60.9%, single-frame 59.3%"
    pair = [
        pooled((f"fold {f}", ledger_of(f, skill, 100 * f + sum(map(ord, key)))) for f in (1, 2))
        for key, skill in zip((SLOW, SINGLE), skills, strict=True)
    ]
    hit = compare(*common_videos(*pair), map_intervals=False).metrics["video_hit1"]
    assert f"{100 * hit.difference:+.1f} points ({100 * hit.low:+.1f} to {100 * hit.high:+.1f}; p " in found[0].ours
    assert found[0].ours.endswith(", corrected for 1)")
    assert {finding.verdict for finding in found[1:]} == {"not run"}
    pretraining = next(finding for finding in found if finding.said == "pretraining helps")
    assert pretraining.paper == "top 3 layers retrained 65.4%, trained from scratch 41.3%"  # its Table 3
    said = paragraph(found)
    assert found[0].ours in said
    assert "Not run: " in said


def difference(first: float, second: float, p_value: float, sources: int = 100) -> Comparison:
    hit = Difference(first, second, Paired(first - second, 1.0, sources))
    nothing = np.zeros(0)
    return Comparison(500, sources, {"video_hit1": hit}, 0, 0, p_value, p_value, nothing, nothing)


def test_paired_findings_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holm by hand over the four that have sources enough: 0.0001 x 4, 0.001 x 3, 0.03 x 2, and no less for 0.04."""
    known = {
        (SLOW, SINGLE): difference(0.6, 0.7, 0.001),
        (SINGLE, EARLY): difference(0.7, 0.6, 0.03),
        (MULTIRES, SINGLE): difference(0.8, 0.7, 0.04),
        (CONTEXT, FOVEA): difference(0.8, 0.7, 0.0001, sources=5),
    }
    results, transfer = PaperResults(plan_in(Path("nowhere")), CLAIMS), TransferResults([], CLAIMS)
    monkeypatch.setattr(results, "comparison", lambda one, other: known.get((one, other)))
    monkeypatch.setattr(transfer, "comparisons", lambda: {("scratch", "top3"): difference(0.4, 0.6, 0.0001)})
    found = findings(results, transfer, {})
    said = {finding.said: (finding.verdict, finding.ours.rpartition("p ")[2]) for finding in found if finding.ours}
    assert said == {
        "motion helps, a little": ("the opposite holds", "0.003, corrected for 4)"),
        "joining time at once is worse than one frame": ("not told apart", "0.06, corrected for 4)"),
        "two streams cost nothing": ("not told apart", "0.06, corrected for 4)"),
        "the context says more than the fovea": ("not told apart", said["the context says more than the fovea"][1]),
        "pretraining helps": ("holds", "0.0004, corrected for 4)"),
    }
    few = next(finding for finding in found if finding.said == "the context says more than the fovea")
    assert few.ours.endswith("fewer than 11 sources")
    turned = next(finding.ours for finding in found if finding.said == "pretraining helps")
    assert turned.startswith("60.0% and 40.0%, a difference of +20.0 points (+")
    assert "p is corrected for the number of those that can be judged (Holm)" in paragraph(found)


def test_an_average_is_compared_with_its_best_member(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    skills = {SINGLE: 1.0, EARLY: 4.0, LATE: 0.5, SLOW: 1.5, CNN_AVERAGE: 1.0}
    finish(plan, skills)
    said = {finding.said: finding for finding in findings(PaperResults(plan, CLAIMS), NO_GRID, {})}
    found = said["an average is better than its best member"]
    assert "early fusion 57.7%" in found.paper
    assert found.verdict == "the opposite holds"


def test_nothing_finished_is_said() -> None:
    results = PaperResults(plan_in(Path("nowhere")), CLAIMS)
    assert paragraph(findings(results, NO_GRID, {})) == "Nothing that the paper found can be compared yet."
    assert results.table2() is None
    assert differences([]) == []


def test_a_cell_that_cannot_be_read_is_a_hole(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, folds=(1,))
    finish(plan, {SINGLE: 1.0})
    cell = next(cell for cell in plan.table1_cells() if cell.row.key == SINGLE)
    (cell.folder / "ledger.parquet").write_bytes(b"PAR1")
    results = PaperResults(plan, CLAIMS)
    assert not results.systems[SINGLE].tests
    assert "is no ledger" in results.hole(cell.row)
    assert [row[2] for row in results.table1().rows if row[0] == cell.row.title] == ["unreadable"]


def test_what_differs_from_the_paper_is_read_from_the_records() -> None:
    record = make_record(make_ledger())
    config = {
        "model": {"class_path": "SlowFusion", "init_args": {"width": 0.25, "recipe": {"learning_rate": 0.01}}},
        "data": {"class_path": "UCF101", "init_args": {"clips_per_video": {"train": 50}}},
        "trainer": {"max_epochs": 24},
    }
    said = "\n".join(differences([record.model_copy(update={"config": config})]))
    one = f"Trained by {record.hardware.processes} process"
    for part in ("Width: 0.25", "Learning rate: 0.01; the paper's is 0.001", "Epochs: 24", "up to 50", one):
        assert part in said
    paper = json.loads(json.dumps(config))
    paper["model"]["init_args"] = {"width": 1.0, "recipe": {"learning_rate": 0.001, "cooldown": 0, "warmup_steps": 0}}
    paper["data"]["init_args"] = {"clips_per_video": {"train": 100}, "augmentation": {"smallest_region": None}}
    said = "\n".join(differences([record.model_copy(update={"config": paper})]))
    for part in ("Width", "Learning rate", "warm-up", "Training clips", "Momentum", "Dropout"):
        assert part not in said


def test_what_the_paper_leaves_open_and_the_processes_are_said() -> None:
    """As the resolved configuration of conf/paper/slow_fusion.yaml has it, on four devices."""
    recipe = {"learning_rate": 0.001, "plateau_patience": 5, "plateau_factor": 0.3, "momentum": 0.8}
    config = {"model": {"class_path": "SlowFusion", "init_args": {"width": 1.0, "dropout": 0.5, "recipe": recipe}}}
    record = make_record(make_ledger())
    record = record.model_copy(
        update={"config": config, "hardware": record.hardware.model_copy(update={"processes": 4})}
    )
    said = differences([record])
    assert "Dropout in front of the hidden fully connected layers: 0.5; the paper names none" in "\n".join(said)
    assert "multiplied by 0.3, after more than 5 validations" in "\n".join(said)
    assert "Momentum: 0.8; the paper's is 0.9." in said
    assert [line for line in said if "process" in line] == [
        "Trained by 4 processes in step; the paper's replicas, 10 to 50, were asynchronous (Downpour SGD)."
    ]
