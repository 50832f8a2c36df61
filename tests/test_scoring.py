"""The verb `test` from end to end: what it leaves, how it goes on, what it refuses, on any number of processes."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.cli import main
from benchmark.clip import ClipBatch
from benchmark.cost import gflop_per_clip
from benchmark.files import file_hash
from benchmark.metrics.classification import ClassificationScores
from benchmark.models import FrameAverage
from benchmark.results.clip_scores import ClipScores
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.results.scores import metrics
from benchmark.runs.clip_level import validation_outputs
from benchmark.runs.trainer import Trainer
from benchmark.runs.unfinished import read_parts
from tests.generators.small_test import BROKEN, VIDEOS, options

ROOT = Path(__file__).resolve().parents[1]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CLIPBENCH_RUN_DIR"}
    command = [sys.executable, "-m", "benchmark", "test", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


def assert_equal(one: Ledger, other: Ledger) -> None:
    """The same rows, clip starts and status, and scores within 1e-5."""
    assert one.info == other.info
    for column in ("video_id", "labels", "source_group", "status", "reason", "clip_starts"):
        assert one.table[column].to_pylist() == other.table[column].to_pylist()
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5, rtol=0)
    assert np.mean(one.clip_ranks == other.clip_ranks) > 0.95  # ties within 1e-5 may turn


def assert_equal_clips(one: Path, other: Path) -> None:
    """The same clips of the same videos, of both splits, and scores within 1e-5."""
    for split, videos in (("test", VIDEOS - 1), ("validation", VIDEOS)):
        mine, theirs = (ClipScores.read(run / "clips.parquet").said(split) for run in (one, other))  # type: ignore[arg-type]
        assert len(mine.video_ids) == videos
        assert mine.video_ids == theirs.video_ids
        np.testing.assert_allclose(mine.scores, theirs.scores, atol=1e-5, rtol=0)


def test_a_test_leaves_a_ledger_and_a_record_that_agree(tested: Path, checkpoint: str) -> None:
    left = {path.name for path in tested.iterdir() if not path.name.startswith(".")}
    assert left == {
        "ledger.parquet",
        "clips.parquet",
        "record.json",
        "config_test.yaml",
        "failed_videos.csv",
        "report.html",
    }
    ledger, record = Ledger.read(tested), Record.read(tested)
    assert len(ledger) == record.videos == VIDEOS
    assert list(record.failed_videos) == [BROKEN]
    assert record.ledger.sha256 == file_hash(tested / "ledger.parquet")
    assert record.checkpoint.sha256 == file_hash(Path(checkpoint))
    assert record.checkpoint.provenance == "clean"
    assert (record.dataset.fold, record.dataset.held_videos, record.protocol.clips_per_video) == (1, VIDEOS, 3)
    for name, value in metrics(ledger).items():
        assert record.metrics[name].value == pytest.approx(value)
    assert record.decoded_only is not None
    counted, decoded = record.metrics["video_hit1"].value, record.decoded_only["video_hit1"].value
    assert counted is not None
    assert decoded == pytest.approx(counted * VIDEOS / (VIDEOS - 1))
    assert record.config["model"]["init_args"]["width"] == 0.05
    assert str(tested) not in (tested / "record.json").read_text("utf-8")


def test_the_cost_of_a_clip_is_counted(tested: Path) -> None:
    """By hand: two operations for each weight at each place it is applied, all 16 classes, width 0.05, two streams."""
    channels = [3, 5, 13, 19, 19, 13]
    kernels, places = (11, 5, 3, 3, 3), (27**2, 14**2, 7**2, 7**2, 7**2)
    stream = sum(
        inputs * outputs * kernel**2 * place
        for inputs, outputs, kernel, place in zip(channels, channels[1:], kernels, places, strict=False)
    )
    stream += 5 * 5 * 27**2 + 13 * 13 * 14**2  # the two normalisations add up channels by a 1x1 convolution
    hidden = 205
    connected = 2 * 13 * 7**2 * hidden + hidden * hidden + hidden * 16
    model = Record.read(tested).model
    assert model.gflop_per_clip == pytest.approx(2 * (2 * stream + connected) / 1e9, rel=1e-9)
    assert model.frame_offsets == (8,)


def test_counting_the_cost_leaves_the_network_as_it_was() -> None:
    network = FrameAverage(5, architecture="resnet18")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert network.training
    gflop_per_clip(network)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_numbers_of_the_ledger_are_those_that_scroll_by_in_a_run(
    small_set: Path, checkpoint: str, tested: Path
) -> None:
    """torchmetrics, fed with the ledger's video scores as clips of their own, gives the same video-level numbers."""
    ledger = Ledger.read(tested)
    rows = np.flatnonzero(ledger.scored)
    scores = ClassificationScores(len(ledger.info.class_names), ledger.info.groups())
    scores.update(
        torch.from_numpy(ledger.scores[rows]), torch.from_numpy(ledger.labels[rows]).float(), torch.from_numpy(rows)
    )
    scrolled = {name: float(value) for name, value in scores.compute().items()}
    counted = metrics(ledger.select(rows))
    for name in ("video_hit1", "video_hit5", "map", *(name for name in counted if name.startswith("map/"))):
        assert counted[name] == pytest.approx(scrolled[name], abs=1e-6)


@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_gives_the_same_ledger(
    small_set: Path, checkpoint: str, tested: Path, tmp_path: Path, processes: int
) -> None:
    several = ["--trainer.devices", str(processes), "--trainer.strategy", "ddp"]
    process = start([*options(small_set, tmp_path / "run", *several), "--ckpt_path", checkpoint])
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert_equal(Ledger.read(tmp_path / "run"), Ledger.read(tested))
    assert_equal_clips(tmp_path / "run", tested)
    assert Record.read(tmp_path / "run").hardware.processes == processes
    assert output.count("test:  clip@1") == 1


def test_a_killed_test_goes_on_where_it_stopped(small_set: Path, checkpoint: str, tested: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [*options(small_set, run), "--ckpt_path", checkpoint]
    process = start(arguments)
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size > 4000 for path in run.glob("unfinished/*.arrows")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=240)
    assert not (run / "ledger.parquet").exists()
    parts = sorted(run.glob("unfinished/*.arrows"))
    with parts[0].open("r+b") as file:
        file.truncate(parts[0].stat().st_size - 7)  # as if the machine had lost power while writing
    process = start(arguments)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    done = int(output.partition("holds the scores of ")[2].partition(" ")[0])
    assert 1 <= done < VIDEOS
    assert_equal(Ledger.read(run), Ledger.read(tested))
    assert_equal_clips(run, tested)
    assert not (run / "unfinished").exists()
    listed = [(folder / "failed_videos.csv").read_text("utf-8") for folder in (run, tested)]
    assert listed[0] == listed[1]
    assert f"not tested,,{BROKEN}," in listed[0]


def test_parts_are_read_up_to_where_they_are_whole(tmp_path: Path) -> None:
    import pyarrow as pa

    schema = pa.schema([pa.field("row", pa.int64())])
    with pa.OSFile(str(tmp_path / "a.arrows"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for first in (0, 10):
            writer.write_batch(pa.record_batch([pa.array(range(first, first + 10))], schema=schema))
    whole = (tmp_path / "a.arrows").read_bytes()
    (tmp_path / "b.arrows").write_bytes(whole)
    (tmp_path / "c.arrows").write_bytes(b"")
    counts = []
    for length in range(len(whole) + 1):
        (tmp_path / "a.arrows").write_bytes(whole[:length])
        (tmp_path / "b.arrows").write_bytes(b"")
        counts.append(read_parts(tmp_path, schema).num_rows)
    assert counts == sorted(counts)
    assert set(counts) == {0, 10, 20}
    (tmp_path / "b.arrows").write_bytes(whole)
    assert read_parts(tmp_path, schema)["row"].to_pylist() == list(range(20))


def test_parts_of_before_with_scores_of_a_fixed_size_go_on(tmp_path: Path) -> None:
    import pyarrow as pa

    def parts(scores: pa.DataType) -> pa.Schema:
        return pa.schema([pa.field("row", pa.int64()), pa.field("scores", scores)])

    rows = [{"row": 0, "scores": [0.25, 0.75]}, {"row": 1, "scores": None}, {"row": 2, "scores": [1.0, 0.0]}]
    earlier, later = parts(pa.list_(pa.float32(), 2)), parts(pa.list_(pa.float32()))
    for name, schema in (("a", earlier), ("b", later)):
        with pa.OSFile(str(tmp_path / f"{name}.arrows"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
        assert read_parts(tmp_path, later).to_pylist() == rows


def test_a_finished_or_another_test_is_not_written_over(
    small_set: Path, checkpoint: str, tested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", *options(small_set, tested), "--ckpt_path", checkpoint]) == 2
    assert "holds a finished test" in capsys.readouterr().err
    parts = tmp_path / "run/unfinished"
    parts.mkdir(parents=True)
    (parts / "test.json").write_text(json.dumps({"checkpoint": "another"}), "utf-8")
    assert main(["test", *options(small_set, tmp_path / "run"), "--ckpt_path", checkpoint]) == 2
    assert "the beginning of another test: checkpoint was" in capsys.readouterr().err


def test_one_validation_video_left_for_two_processes_is_scored(
    small_set: Path, checkpoint: str, tested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed by the last video of the validation part; then both processes score one, one of them again."""
    run = tmp_path / "run"

    def all_but_one(trainer: Trainer, network: object) -> Iterator[tuple[Tensor, ClipBatch]]:
        for outputs, batch in validation_outputs(trainer, network):
            mine = batch.rows != trainer.datamodule.index.rows("validation")[-1]  # type: ignore[attr-defined]
            parts = {name: getattr(batch, name)[mine] for name in ("frames", "labels", "rows", "clips", "starts")}
            yield outputs[mine], dataclasses.replace(batch, **parts, padded=batch.padded[mine])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("benchmark.runs.result_writer.validation_outputs", all_but_one)
        assert main(["test", *options(small_set, run), "--ckpt_path", checkpoint]) == 130
    several = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    process = start([*options(small_set, run, *several), "--ckpt_path", checkpoint])
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "scoring 2 validation videos in one view too" in output
    assert_equal_clips(run, tested)


@pytest.mark.parametrize("left", ["parts", "parts and ledger"])
def test_a_kill_behind_the_last_video_loses_nothing(
    small_set: Path, checkpoint: str, tested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """Killed before the ledger is written, or between ledger and record."""
    run, died = tmp_path / "run", KeyboardInterrupt("killed")

    def die(*_: object, **__: object) -> None:
        raise died

    place = "benchmark.results.ledger.Ledger.write" if left == "parts" else "benchmark.results.record.Record.write"
    arguments = ["test", *options(small_set, run), "--ckpt_path", checkpoint]
    with monkeypatch.context() as patched:
        patched.setattr(place, die)
        assert main(arguments) == 130
    assert (run / "ledger.parquet").exists() == (left == "parts and ledger")
    assert main(arguments) == 0
    assert_equal(Ledger.read(run), Ledger.read(tested))
    assert_equal_clips(run, tested)
    assert Record.read(run).ledger.sha256 == file_hash(run / "ledger.parquet")
    assert not (run / "unfinished").exists()


@pytest.mark.parametrize(
    ("options_given", "message"),
    [
        (["--entry_name", "a <b>"], "a record cannot hold this test: name"),
        (["--data.sampler_seed", str(2**60)], "a record cannot hold this test"),
        (["--sample.videos", "0"], "--sample.videos is 0"),
    ],
)
def test_what_a_record_cannot_hold_is_refused_before_scoring(
    small_set: Path,
    checkpoint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options_given: list[str],
    message: str,
) -> None:
    run = tmp_path / "run"
    assert main(["test", *options(small_set, run, *options_given), "--ckpt_path", checkpoint]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "ledger.parquet").exists()


def test_a_limited_test_is_a_partial_one(small_set: Path, checkpoint: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    limited = options(small_set, run, "--trainer.limit_test_batches", "1")
    assert main(["test", *limited, "--ckpt_path", checkpoint]) == 0
    assert 0 < len(Ledger.read(run)) < VIDEOS


def test_another_folds_test_videos_are_refused_with_names(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [*options(small_set, tmp_path / "run", "--data.fold", "2"), "--ckpt_path", checkpoint]
    assert main(["test", *other]) == 2
    message = capsys.readouterr().err
    assert "trained or validated on 32 of the 32 test videos" in message
    assert "videos of 16 of their source groups" in message
    assert "_g02_c01" in message
    assert main(["test", *other, "--allow_contaminated", "true"]) == 0
    assert Record.read(tmp_path / "run").checkpoint.provenance == "contaminated"


def test_what_was_seen_is_inherited_and_the_unknown_stays_unknown(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training goes on in fold 2 from weights of fold 1, and from weights that do not say where they come from."""
    held = torch.load(checkpoint, weights_only=True)
    del held["provenance"]
    torch.save(held, tmp_path / "unknown.ckpt")
    more = ["--data.fold", "2", "--trainer.max_epochs", "2"]
    for name, origin in (("inherited", checkpoint), ("unknown", str(tmp_path / "unknown.ckpt"))):
        assert main(["fit", *options(small_set, tmp_path / name, *more), "--ckpt_path", origin]) == 0
    inherited, unknown = (str(tmp_path / name / "checkpoints/last.ckpt") for name in ("inherited", "unknown"))
    for fold in ("1", "2"):
        arguments = options(small_set, tmp_path / f"test{fold}", "--data.fold", fold)
        assert main(["test", *arguments, "--ckpt_path", inherited]) == 2
        assert "was trained or validated on" in capsys.readouterr().err
    arguments = options(small_set, tmp_path / "test", "--data.fold", "2", "--sample.videos", "2")
    assert main(["test", *arguments, "--ckpt_path", unknown]) == 0
    assert Record.read(tmp_path / "test").checkpoint.provenance == "unknown"


def test_a_sample_scores_some_videos_like_the_whole(
    small_set: Path, checkpoint: str, tested: Path, tmp_path: Path
) -> None:
    names = {}
    for seed in (0, 1):
        run = tmp_path / str(seed)
        sample = ["--sample.videos", "5", "--sample.seed", str(seed)]
        assert main(["test", *options(small_set, run, *sample), "--ckpt_path", checkpoint]) == 0
        ledger, whole = Ledger.read(run), Ledger.read(tested)
        names[seed] = ledger.video_ids
        places = np.array([whole.video_ids.index(name) for name in names[seed]])
        assert_equal(ledger, whole.select(places))
    assert len(names[0]) == len(names[1]) == 5
    assert names[0] != names[1]
