"""Real offline W&B runs in a temporary folder; the binary log of a run is searched for what it must hold."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import numpy as np
import pytest

pytest.importorskip("wandb", reason="needs the extra wandb")

import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from sklearn.metrics import average_precision_score

from benchmark.extras import why_missing
from benchmark.models import SingleFrame
from benchmark.results.ledger import Ledger
from benchmark.results.wandb_names import board_key
from benchmark.runs.result_writer import ResultWriter
from benchmark.runs.wandb_tables import (
    WandbTables,
    class_ap_rows,
    confusion_rows,
    confusion_table,
    prediction_columns,
    prediction_rows,
    run_config,
)
from tests.generators.ledgers import make_ledger, make_record, write_run


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder that takes all that wandb writes; runs and settings of the tests before and of this one are forgotten."""
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR", "ARTIFACT_DIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / name))
    yield tmp_path
    wandb.teardown()


def callback(folder: Path, ledger: Ledger | None) -> WandbTables:
    """The callback at the end of a test that has left its files in a folder."""
    record = None if ledger is None else write_run(folder, ledger, name="Made, width 1")
    return WandbTables(cast(ResultWriter, SimpleNamespace(record=record, ledger=ledger, folder=folder)))


def end_test(tables: WandbTables, *loggers: Any, rank: int = 0) -> None:
    data = SimpleNamespace(shown_frames=lambda video: np.zeros((5, 16, 16, 3), np.uint8))
    trainer = SimpleNamespace(loggers=list(loggers), is_global_zero=rank == 0, datamodule=data)
    tables.on_test_end(cast(L.Trainer, trainer), SingleFrame(3, width=0.02))


def logged_tables(root: Path) -> dict[str, dict[str, Any]]:
    """Tables among the media files of the offline runs below a folder, by name without number and hash."""
    files = sorted(root.glob("**/media/table/**/*.table.json"))
    return {"_".join(file.name.split("_")[:-2]): json.loads(file.read_text("utf-8")) for file in files}


def test_an_offline_run_holds_tables_config_and_the_two_files(offline: Path) -> None:
    ledger = make_ledger(3, videos=60, classes=6, failed=0.2)
    logger = WandbLogger(save_dir=offline, project="made", offline=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        end_test(callback(offline / "run", ledger), CSVLogger(offline / "csv"), logger)
    run = logger.experiment
    config, clips_per_second = dict(run.config), run.summary["test/clips_per_second"]
    wandb.finish()

    tables = logged_tables(offline)
    assert set(tables) == {"confusion_table", "class_ap", "predictions", "failed_videos"}
    assert tables["confusion_table"]["columns"] == ["true", "predicted", "count"]
    assert tables["confusion_table"]["data"] == confusion_rows(ledger)
    assert tables["class_ap"]["data"] == class_ap_rows(ledger)
    assert [row[:-1] for row in tables["predictions"]["data"]] == prediction_rows(ledger)
    assert {row[-1] for row in tables["predictions"]["data"]} == {"Image"}  # a strip of frames
    assert dict(tables["failed_videos"]["data"]) == ledger.failures()
    assert ledger.failures()

    assert clips_per_second == 100
    assert config["board"] == board_key(*make_record(ledger).board)
    assert config["options"] == {"seed_everything": 0}
    (log,) = offline.glob("wandb/offline-run-*/run-*.wandb")
    written = log.read_bytes()
    for text in (b"record.json", b"ledger.parquet", b"evaluation/predictions", b"wandb/confusion_matrix/v1"):
        assert text in written
    if why_missing("matplotlib") is None:
        media = {path.name.rpartition("_")[0].rpartition("_")[0] for path in offline.rglob("media/images/**/*.png")}
        assert media == {"filters", "predictions", "confusions"}
    staged = {path.read_bytes() for path in (offline / "DATA_DIR").rglob("*") if path.is_file()}
    assert {(offline / "run" / name).read_bytes() for name in ("record.json", "ledger.parquet")} <= staged


def test_what_wandb_refuses_is_named_and_the_rest_is_logged(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = WandbLogger(save_dir=offline, project="made", offline=True)
    tables = callback(offline / "run", make_ledger())

    log_artifact = logger.experiment.log_artifact

    def fail(artifact: wandb.Artifact, *rest: Any, **options: Any) -> object:
        if artifact.type == "evaluation":
            raise wandb.errors.CommError("the wire is cut")
        return log_artifact(artifact, *rest, **options)  # tables are artifacts as well

    monkeypatch.setattr(logger.experiment, "log_artifact", fail)
    with pytest.warns(UserWarning, match="did not take record and ledger of the test .CommError: the wire is cut"):
        end_test(tables, logger)
    wandb.finish()
    assert "class_ap" in logged_tables(offline)
    assert (offline / "run" / "record.json").is_file()


def test_files_that_vanished_do_not_end_a_test(offline: Path) -> None:
    logger = WandbLogger(save_dir=offline, project="made", offline=True)
    tables = callback(offline / "run", make_ledger())
    (offline / "run" / "ledger.parquet").unlink()
    with pytest.warns(UserWarning, match=r"did not take record and ledger .*ledger\.parquet"):
        end_test(tables, logger)
    wandb.finish()


def test_a_run_that_cannot_begin_is_named(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(wandb, "init", fail)
    with pytest.warns(UserWarning, match="no space left") as caught:
        end_test(callback(offline / "run", make_ledger()), WandbLogger(save_dir=offline, offline=True))
    assert sum(issubclass(warning.category, UserWarning) for warning in caught) == 7 + (
        why_missing("matplotlib") is None
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_nothing_is_logged_elsewhere(offline: Path, rank: int) -> None:
    loggers = [CSVLogger(offline / "csv")] if rank == 0 else [WandbLogger(save_dir=offline, offline=True)]
    end_test(callback(offline / "run", make_ledger()), *loggers, rank=rank)
    end_test(callback(offline / "none", None), WandbLogger(save_dir=offline, offline=True))
    assert not list(offline.glob("wandb/offline-run-*"))


def test_confusions_are_the_pairs_that_occur() -> None:
    ledger = make_ledger(1, videos=200, classes=5, several=0, failed=0.1)
    expected: Counter[tuple[str, str]] = Counter()
    for row in ledger.table.to_pylist():
        if row["status"] == "scored":
            best = int(np.argmax(row["scores"]))
            expected[(f"Class{row['labels'][0]}", f"Class{best}")] += 1
    rows = confusion_rows(ledger)
    assert {(true, predicted): count for true, predicted, count in rows} == dict(expected)
    assert [count for *_, count in rows] == sorted(expected.values(), reverse=True)


def test_many_classes_give_a_table_of_pairs_without_a_plot() -> None:
    ledger = make_ledger(videos=300, classes=487, clips=1)
    logged = confusion_table(ledger)
    assert list(logged) == ["evaluation/confusion_table"]
    assert len(logged["evaluation/confusion_table"].data) <= 300 * 3
    assert len(class_ap_rows(ledger)) == 487


def test_average_precision_of_classes_equals_another_library() -> None:
    ledger = make_ledger(2, videos=80, classes=40, failed=0.0, several=0.1, unlabelled=0.1, groups=0)
    labels, scores = ledger.labels, ledger.scores
    rows = class_ap_rows(ledger)
    for number, (name, group, area, positives) in enumerate(rows):
        assert (name, group) == (f"Class{number}", None)
        assert positives == labels[:, number].sum()
        if positives:
            kept = labels.any(1)
            assert area == pytest.approx(average_precision_score(labels[kept, number], scores[kept, number]), abs=1e-6)
        else:
            assert area is None


def test_the_sample_holds_the_most_confident_wrong_ones_and_right_ones() -> None:
    ledger = make_ledger(5, videos=400, classes=8, failed=0.05, unlabelled=0.05, several=0.2)
    rows = prediction_rows(ledger)
    assert len(rows) == 100
    assert rows == prediction_rows(ledger)
    by_name = {row["video_id"]: row for row in ledger.table.to_pylist()}
    confidence: dict[bool, list[float]] = {True: [], False: []}
    for row in by_name.values():
        if row["status"] == "scored" and row["labels"]:
            confidence[int(np.argmax(row["scores"])) in row["labels"]].append(max(row["scores"]))
    for row in rows:
        cells = dict(zip(prediction_columns(), row, strict=True))
        held = by_name[cells["video"]]
        best = np.argsort(-np.array(held["scores"]), kind="stable")[:3].tolist()
        assert [cells[f"predicted {k}"] for k in (1, 2, 3)] == [f"Class{number}" for number in best]
        assert [cells[f"probability {k}"] for k in (1, 2, 3)] == [held["scores"][number] for number in best]
        assert cells["true"] == ", ".join(f"Class{number}" for number in held["labels"])
        assert cells["correct"] == (best[0] in held["labels"])
    wrong = [row[3] for row in rows if not row[-1]]
    assert wrong == sorted(confidence[False], reverse=True)[:70]
    right = [row[3] for row in rows if row[-1]]
    assert len(right) == 30
    assert (right[0], right[-1]) == (max(confidence[True]), min(confidence[True]))


@pytest.mark.parametrize(
    ("skill", "videos", "failed", "rows"), [(50.0, 20, 0.0, 20), (0.0, 150, 0.0, 100), (1.0, 5, 1.0, 0)]
)
def test_a_sample_takes_what_there_is(skill: float, videos: int, failed: float, rows: int) -> None:
    ledger = make_ledger(videos=videos, classes=2, failed=failed, skill=skill, several=0)
    sample = prediction_rows(ledger)
    assert len(sample) == rows
    assert all(row[6:8] == [None, None] for row in sample)  # of two classes there is no third best
    assert len({row[0] for row in sample}) == rows


def test_a_part_of_a_test_belongs_to_no_board() -> None:
    ledger = make_ledger()
    assert run_config(make_record(ledger.select(np.arange(10))))["board"] is None
    assert run_config(make_record(ledger))["board"] == board_key(*ledger.info.board)
