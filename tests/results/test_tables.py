import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmark.errors import UserError
from benchmark.results.record import Record
from benchmark.results.tables import read_predictions, read_results
from tests.generators.small_test import BROKEN


def test_a_row_of_the_results_is_what_the_record_says(tested: Path) -> None:
    held = json.loads((tested / "record.json").read_text("utf-8"))
    for given in (tested, tested.parent, tested / "record.json"):
        (row,) = read_results(given).to_pylist()
        assert row["folder"] == str(tested)
        assert (row["dataset"], row["fold"]) == (held["dataset"]["name"], 1)
        assert (row["videos"], row["failed_videos"]) == (32, 1)
        for name, value in held["metrics"].items():
            found = row[name], row[f"{name}_low"], row[f"{name}_high"]
            assert found == (value["value"], value["low"], value["high"])


def test_tests_with_other_scores_stand_in_one_table(tested: Path, tmp_path: Path) -> None:
    record = Record.read(tested)
    kept = {name: value for name, value in record.metrics.items() if name != "map"}
    record.model_copy(update={"metrics": kept}).write(tmp_path / "one/record.json")
    record.write(tmp_path / "two/record.json")
    found = read_results(tmp_path)["map"].to_pylist()
    assert found[0] is None
    assert found[1] == record.metrics["map"].value


def test_predictions_are_those_of_the_ledger(tested: Path) -> None:
    table, raw = read_predictions(tested), parquet.read_table(tested / "ledger.parquet").to_pylist()
    names = json.loads(table.schema.metadata[b"classes"])
    assert isinstance(table, pa.Table)
    for row, held in zip(table.to_pylist(), raw, strict=True):
        assert row["video"] == held["video_id"]
        assert row["labels"] == [names[number] for number in held["labels"]]
        if held["scores"] is None:
            assert BROKEN in row["video"]
            assert (row["predicted"], row["probability"], row["rank"]) == (None, None, None)
            assert row["failed"] == held["reason"]
            continue
        scores = np.array(held["scores"], np.float32)
        assert row["predicted"] == names[int(scores.argmax())]
        assert row["probability"] == float(scores.max())
        best = max(scores[number] for number in held["labels"])
        wrong = [score for number, score in enumerate(scores) if number not in held["labels"]]
        assert row["rank"] == 1 + sum(score >= best for score in wrong)
        assert row["scores"] == held["scores"]


def test_a_folder_without_tests_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UserError, match=r"holds no record.json"):
            read_results(folder)
        with pytest.raises(UserError):
            read_predictions(folder)
