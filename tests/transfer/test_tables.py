import csv
import dataclasses
import io
import statistics
from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard.claims import read_claims
from benchmark.results.pooled import pooled
from benchmark.transfer.notes import differences
from benchmark.transfer.regimes import REGIMES, Regime
from benchmark.transfer.tables import CellResult, TransferResults
from tests.generators.ledgers import make_ledger, make_record

CLAIMS = read_claims(Path(__file__).resolve().parents[2] / "leaderboards")


def cell(regime: Regime, fold: int, seed: int = 0, *, skill: float = 1.5, state: str = "finished") -> CellResult:
    if state != "finished":
        return CellResult(regime, fold, seed, state)
    number = list(REGIMES).index(regime)
    ledger = make_ledger(fold, model_seed=100 * fold + 10 * seed + number, skill=skill, several=0, fold=fold)
    return CellResult(regime, fold, seed, "finished", make_record(ledger), ledger, 0.5)


def grid(**changes: str) -> list[CellResult]:
    """Three folds of each regime; `top3_2="failed"` makes a hole."""
    return [
        cell(regime, fold, state=changes.get(f"{regime}_{fold}", "finished"), skill=3 if regime == "top" else 1)
        for regime in REGIMES
        for fold in (1, 2, 3)
    ]


def accuracy(result: CellResult) -> float:
    """Share of videos whose best-scored class is a true one, by hand; failed videos are wrong."""
    assert result.ledger is not None
    hits = [
        status == "scored" and scores is not None and int(np.argmax(scores)) in labels
        for status, scores, labels in zip(
            *(result.ledger.table[name].to_pylist() for name in ("status", "scores", "labels")), strict=True
        )
    ]
    return float(sum(hits) / len(hits))


def test_table_3_has_folds_mean_spread_and_the_paper() -> None:
    cells = grid()
    table = TransferResults(cells, CLAIMS).table3()
    assert table.header == ("training", "fold 1", "fold 2", "fold 3", "mean of folds", "spread", "kept", "the paper")
    for row, regime, paper in zip(table.rows, REGIMES, ("41.3", "64.1", "65.4", "62.2"), strict=False):
        values = [100 * accuracy(result) for result in cells if result.regime == regime]
        wanted = [*values, statistics.mean(values), statistics.stdev(values)]
        assert row == (REGIMES[regime], *(f"{value:.1f}" for value in wanted), "0.5", paper)
    assert [row[0] for row in table.rows[4:]] == ["Soomro et al. 2012", "feature histograms + neural network"]


def test_holes_are_shown_as_holes() -> None:
    holes = dict.fromkeys(("scratch_1", "scratch_2", "scratch_3"), "not run")
    results = TransferResults(grid(**holes, top_2="failed", top3_1="unfinished"), CLAIMS)
    rows = {row[0]: row for row in results.table3().rows}
    assert rows[REGIMES["scratch"]][1:6] == ("not run", "not run", "not run", "-", "-")
    assert rows[REGIMES["top"]][2] == "failed"
    assert rows[REGIMES["top"]][4].endswith(" (2 of 3 folds)")
    assert rows[REGIMES["top3"]][1] == "unfinished"
    assert results.table4().rows[-1][2] == "not run"
    assert "7 of 12 cells are finished." in results.notes()
    assert (("scratch", "top")) not in results.comparisons()
    empty = TransferResults([cell("top", 1, state="not run")], CLAIMS)
    assert empty.table4().rows[0][2] == "not run"
    assert empty.table_of_comparisons() is None
    assert "not run" in empty.markdown()


def test_table_4_knows_a_group_without_classes_from_a_score_of_0() -> None:
    results = TransferResults(grid(), CLAIMS)
    rows = {row[0]: row for row in results.table4().rows}
    assert rows["Sports"][:6] == ("Sports", "0", "not held", "0.57", "not held", "0.80")
    assert rows["All groups"][1] == "6"
    mean = statistics.mean(v for fold in (1, 2, 3) if (v := results.cells[fold - 1].value("map/Group 0")) is not None)
    assert rows["Group 0"][1] == "3"
    assert rows["Group 0"][2].startswith(f"{mean:.3f} ± ")
    lines = list(csv.DictReader(io.StringIO(results.comma_separated())))
    assert {"ece", "balanced_accuracy", "clip_hit5"} <= {line["metric"] for line in lines}
    sports = [line for line in lines if line["metric"] == "map/Sports"]
    assert {line["value"] for line in sports} == {""}
    assert {line["state"] for line in sports} == {"not held"}


def test_seeds_are_averaged_within_a_fold() -> None:
    cells = [cell("top", fold, seed) for fold in (1, 2) for seed in (0, 1)] + [cell("top3", 1, 0)]
    cells += [cell("top3", fold, seed, state="not run") for fold, seed in ((1, 1), (2, 0), (2, 1))]
    results = TransferResults(cells, CLAIMS)
    folds = [statistics.mean(accuracy(c) for c in cells[2 * n : 2 * n + 2]) for n in (0, 1)]
    assert list(results.mean("top", "video_hit1").folds.values()) == pytest.approx(folds)
    assert results.table3().rows[1][1].endswith(" (1 of 2 seeds)")


def test_pairs_of_regimes_are_compared_on_all_folds_together() -> None:
    cells = grid(all_3="not run")
    found = TransferResults(cells, CLAIMS).comparisons()
    assert len(found) == 6
    shares = {regime: [accuracy(c) for c in cells if c.regime == regime and c.ledger] for regime in REGIMES}
    whole = found["scratch", "top"]
    assert whole.videos == 3 * 40
    difference = statistics.mean(shares["scratch"]) - statistics.mean(shares["top"])
    assert whole.metrics["video_hit1"].difference == pytest.approx(difference)
    assert whole.only_first - whole.only_second == round(difference * 120)
    assert whole.clustered_p < 0.05  # the one has more skill
    assert found["top", "all"].videos == 2 * 40


def test_a_source_that_two_tests_share_stays_one_source() -> None:
    one, two = make_ledger(0), make_ledger(0, model_seed=5)
    both = pooled([("a", one), ("b", two)])
    assert len(both) == len(set(both.video_ids)) == 80
    assert both.clusters().max() == one.clusters().max()
    loose = pooled([(name, make_ledger(0, videos_per_source=0)) for name in "ab"])
    assert loose.clusters().max() == 39


def test_the_papers_numbers_always_come_with_what_differs() -> None:
    notes = TransferResults(grid(), CLAIMS).notes()
    assert any("cannot be ranked" in line for line in notes)
    assert any(
        "Different here: videos and classes; the network; an unknown number of training clips of a video; 4 test clips "
        "in 4 views; the recipe of training." in line
        for line in notes
    )
    without = TransferResults(grid(), []).notes()
    assert not any("cannot be ranked" in line for line in without)
    assert any("paper's numbers are not at hand" in line for line in without)


def test_even_the_papers_own_network_and_data_are_not_the_papers_run() -> None:
    ledger = make_ledger(clips=20, dataset="UCF-101")
    record = make_record(ledger)
    options = {"resolution": "full", "width": 1.0, "transfer_pretrained_sha256": "a" * 64}
    model = record.model.model_copy(update={"class_path": "benchmark.models.SlowFusion", "options": options})
    config = {"data": {"init_args": {"clips_per_video": {"train": 50}}}}
    record = record.model_copy(update={"model": model, "config": config})
    assert differences([record]) == ["maybe the data pretrained on, which no record names", "the recipe of training"]
    notes = TransferResults([CellResult("top", 1, 0, "finished", record, ledger, 0.5)], CLAIMS).notes()
    assert "SlowFusion, full, width 1.0; from pretrained weights aaaaaaaaaaaa (SHA-256)." in notes


@pytest.mark.extra("matplotlib")
def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    from benchmark.transfer.plot import write_plot

    for name in ("a.svg", "b.svg"):
        write_plot(TransferResults(grid(top_2="failed"), CLAIMS), tmp_path / name)
    first = (tmp_path / "a.svg").read_text("utf-8")
    assert first == (tmp_path / "b.svg").read_text("utf-8")
    assert "Group" in first
    assert "the paper" not in first  # whose numbers are of other videos
    named = [_as_ucf101(result) for result in grid()]
    write_plot(TransferResults(named, CLAIMS), tmp_path / "e.svg")
    assert "the paper" in (tmp_path / "e.svg").read_text("utf-8")
    write_plot(TransferResults([cell("top", 1, state="not run")], []), tmp_path / "c.svg")
    assert "not run" in (tmp_path / "c.svg").read_text("utf-8")
    write_plot(
        TransferResults([cell("top", 1, state="failed"), cell("top", 2, state="not run")], []), tmp_path / "d.svg"
    )
    assert "failed" in (tmp_path / "d.svg").read_text("utf-8")
    assert "not run" not in (tmp_path / "d.svg").read_text("utf-8")


def _as_ucf101(result: CellResult) -> CellResult:
    assert result.record is not None
    dataset = result.record.dataset.model_copy(update={"name": "UCF-101"})
    return dataclasses.replace(result, record=result.record.model_copy(update={"dataset": dataset}))


def test_the_papers_data_is_told_from_other_data() -> None:
    named = [_as_ucf101(result) for result in grid()]
    assert TransferResults(named, CLAIMS).is_papers_data
    assert not TransferResults([*named[:3], *grid()[3:]], CLAIMS).is_papers_data
    assert not TransferResults(named, []).is_papers_data
    assert not TransferResults([cell("top", 1, state="not run")], CLAIMS).is_papers_data
