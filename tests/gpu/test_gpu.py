"""What only a GPU shows: that every verb runs there, to the numbers of the processor.

python -m pytest tests/gpu -m gpu
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pytest
import torch

from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from tests.gpu.experiments import CONFIGURATIONS, PROBES
from tests.gpu.runs import ACCELERATOR, IS_DRY, Run, Runs

pytestmark = pytest.mark.gpu

ALIKE = 1e-3
"""How far scores of the same float32 weights may be apart: a GPU adds up in another order."""
VIDEOS = 32


def held(run: Run) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(run.checkpoint, weights_only=True, map_location="cpu")
    return checkpoint


def assert_same_weights(first: Run, second: Run) -> None:
    one, other = held(first)["state_dict"], held(second)["state_dict"]
    assert one.keys() == other.keys()
    differs = {name: float((one[name] - other[name]).abs().max()) for name in one}
    assert not any(differs.values()), differs


def assert_same_scores(first: Run, second: Run) -> None:
    one, other = Ledger.read(first.folder), Ledger.read(second.folder)
    for column in ("video_id", "labels", "source_group", "status", "reason", "clip_starts"):
        assert one.table[column] == other.table[column], column
    np.testing.assert_allclose(one.scores, other.scores, atol=ALIKE, rtol=0)


def test_the_gpu_is_one_that_is_recorded(runs: Runs) -> None:
    record, other = (Record.read(runs.need(name).folder) for name in ("test", "test_processor"))
    assert (record.hardware.gpu is None) is IS_DRY
    assert other.hardware.gpu is None
    assert record.model == other.model
    assert record.precision == "32-true"
    assert record.throughput.clips_per_second


def test_weights_trained_on_the_gpu_score_alike_on_the_processor(runs: Runs) -> None:
    assert_same_scores(runs.need("test"), runs.need("test_processor"))


def test_weights_trained_on_the_processor_are_tested_on_the_gpu(runs: Runs) -> None:
    assert len(Ledger.read(runs.need("test_of_processor").folder)) == VIDEOS


def test_the_precision_of_the_machine_trains_and_tests(runs: Runs) -> None:
    record = Record.read(runs.need("test_auto").folder)
    expected = {"bf16-mixed", "32-true"} if IS_DRY or not torch.cuda.is_bf16_supported(False) else {"bf16-mixed"}
    assert record.precision in expected
    assert record.metrics["video_hit1"].value is not None


def test_two_deterministic_runs_are_equal(runs: Runs) -> None:
    assert_same_weights(runs.need("repeat_1"), runs.need("repeat_2"))


def test_a_killed_run_goes_on_to_the_same_weights(runs: Runs) -> None:
    resumed = runs.need("resumed")
    assert_same_weights(Run(0, "", runs.folder / "killed", 0.0), runs.need("repeat_1"))
    assert "epoch 2" in resumed.output


@pytest.mark.parametrize("name", ["on_with_processor", "on_with_gpu"])
def test_a_fit_goes_on_on_the_other_device(name: str, runs: Runs) -> None:
    before, after = runs.need("fit_processor" if name == "on_with_processor" else "fit"), runs.need(name)
    assert (held(before)["epoch"], held(after)["epoch"]) == (0, 1)
    assert held(after)["global_step"] == 2 * held(before)["global_step"]
    assert all(value.isfinite().all() for value in held(after)["state_dict"].values())


def test_a_compiled_network_scores_alike(runs: Runs) -> None:
    assert "the network is compiled" in runs.need("test_compiled").output
    assert_same_scores(runs.need("test_compiled"), runs.need("test"))


def test_a_compiled_network_trains(runs: Runs) -> None:
    run = runs.need("fit_compiled")
    assert "the network is compiled" in run.output
    assert all(value.isfinite().all() for value in held(run)["state_dict"].values())
    (own, other) = (float(re.findall(r"loss ([0-9.]+)", runs.need(name).output)[0]) for name in ("fit_compiled", "fit"))
    assert own == pytest.approx(other, rel=0.1)  # other units are dropped


def test_validation_scores(runs: Runs) -> None:
    assert re.search(r"^validation: +clip@1 [0-9.]+%", runs.need("validate").output, re.MULTILINE)


def test_predictions_are_those_of_the_test(runs: Runs) -> None:
    table = pyarrow.csv.read_csv(runs.need("predict").folder / "predictions.csv")
    ledger = Ledger.read(runs.need("test").folder)
    assert table["video"].to_pylist() == ledger.video_ids
    best = np.array(table["probability_1"].to_pylist(), dtype=float)
    np.testing.assert_allclose(best, ledger.scores.max(1), atol=ALIKE)


def test_frozen_layers_are_trained_behind_on_stored_features(runs: Runs) -> None:
    assert "features of" in runs.need("transfer_fit").output


def test_a_grid_of_transfer_is_trained_and_tested(runs: Runs) -> None:
    run = runs.need("transfer")
    assert (run.folder / "transfer.md").exists()
    (record,) = (Record.read(path.parent) for path in run.folder.rglob("record.json"))
    assert (record.hardware.gpu is None) is IS_DRY


def test_an_architecture_is_checked(runs: Runs) -> None:
    assert re.search(r"all \d+ checks passed", runs.need("check").output)


def test_speed_is_measured(runs: Runs) -> None:
    report = json.loads((runs.need("speed").folder / "speed.json").read_text("utf-8"))
    assert (report["machine"]["device"] == "cpu") is IS_DRY
    assert (report["training"]["transfer"] is None) is IS_DRY
    assert report["training"]["training_gflop_per_clip"] > report["training"]["inference_gflop_per_clip"] > 0


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_a_configuration_trains_and_scores(path: Path, runs: Runs) -> None:
    number = CONFIGURATIONS.index(path) % PROBES
    run, written = runs.wait(f"probe_{number}"), runs.folder / f"probe_{number}.jsonl"
    lines = written.read_text("utf-8").splitlines() if written.exists() else []
    line = next((found for found in map(json.loads, lines) if found["name"] == path.stem), None)
    if line is None:
        pytest.fail(f"no line of {path.stem}:\n{run.output[-3000:]}", pytrace=False)
    assert "error" not in line, line["error"]
    assert line["device"] == ("cpu" if ACCELERATOR == "cpu" else "cuda:0")
    assert line["difference"] < ALIKE
    assert line["finite"]
    assert np.isfinite(line["losses"]).all()
    assert line["changed"] > 0.5
    assert line["gflop_there"] == pytest.approx(line["gflop"], rel=1e-9)
