"""What a test keeps of single clips, against tests of fewer clips and against a validation."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.metrics.classification import ClassificationScores
from benchmark.protocol import Protocol
from benchmark.results.clip_scores import ClipScores, first_clips
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.results.scores import metrics
from benchmark.runs import clip_level
from benchmark.runs.clip_level import MOST_BYTES, are_kept, require_room, settled, validation_outputs
from tests.generators.small_test import options

SAMPLE = ["--sample.videos", "8"]


def scored_with(clips: int, small_set: Path, checkpoint: str, run: Path) -> Path:
    """A test of some videos with so many clips each."""
    counts = f'{{"train": 8, "train_epoch": 1, "validation": 1, "test": {clips}}}'
    given = options(small_set, run, *SAMPLE, "--data.clips_per_video", counts)
    assert main(["test", *given, "--ckpt_path", checkpoint]) == 0
    return run


def test_the_curve_is_that_of_fresh_tests_at_1_5_and_20_clips(small_set: Path, checkpoint: str, tmp_path: Path) -> None:
    whole = scored_with(20, small_set, checkpoint, tmp_path / "20")
    ledger, clips = Ledger.read(whole), ClipScores.read(whole / "clips.parquet")
    for count in (1, 5, 20):
        run = whole if count == 20 else scored_with(count, small_set, checkpoint, tmp_path / str(count))
        fresh, shorter = Ledger.read(run), first_clips(ledger, clips, count)
        assert shorter.info == fresh.info
        for column in ("video_id", "labels", "status", "reason", "clip_starts", "clip_ranks"):
            assert shorter.table[column].to_pylist() == fresh.table[column].to_pylist()
        np.testing.assert_allclose(shorter.scores, fresh.scores, rtol=0, atol=1e-6)
        for name, value in metrics(fresh).items():
            assert metrics(shorter)[name] == pytest.approx(value, abs=1e-6, nan_ok=True)
    assert np.ptp(ledger.scores[ledger.scored], 0).max() > 1e-4  # videos are told apart


def test_validation_predictions_are_those_that_a_validation_scores(
    small_set: Path, checkpoint: str, tested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged, compute = dict[str, float](), ClassificationScores.compute

    def kept(scores: ClassificationScores) -> dict[str, Tensor]:
        found = compute(scores)
        logged.update({name: float(value) for name, value in found.items()})
        return found

    monkeypatch.setattr(ClassificationScores, "compute", kept)
    assert main(["validate", *options(small_set, tmp_path / "run", report=None), "--ckpt_path", checkpoint]) == 0
    said = ClipScores.read(tested / "clips.parquet").said("validation")
    assert said.scores.shape == (32, 1, 16)
    best = said.scores[:, 0].argmax(1)
    assert logged["clip_hit1"] == pytest.approx(said.labels[np.arange(32), best].mean(), abs=1e-6)
    top5 = np.argsort(-said.scores[:, 0], 1)[:, :5]
    assert logged["clip_hit5"] == pytest.approx(np.take_along_axis(said.labels, top5, 1).any(1).mean(), abs=1e-6)


def test_a_sample_has_no_validation_and_a_test_may_keep_nothing(
    small_set: Path, checkpoint: str, tmp_path: Path
) -> None:
    given = options(small_set, tmp_path / "sample", "--sample.videos", "2")
    assert main(["test", *given, "--ckpt_path", checkpoint]) == 0
    held = ClipScores.read(tmp_path / "sample/clips.parquet")
    assert (len(held.said("test").video_ids), held.said("validation").video_ids) == (2, [])
    given = options(small_set, tmp_path / "none", "--sample.videos", "2", "--keep_clips", "false")
    assert main(["test", *given, "--ckpt_path", checkpoint]) == 0
    assert not (tmp_path / "none/clips.parquet").exists()
    assert Record.read(tmp_path / "none").clips is None


@pytest.mark.parametrize(("choice", "videos", "kept"), [(None, 10, True), (None, 10**6, False), (True, 10**6, True),
                                                        (False, 10, False)])  # fmt: skip
def test_clips_are_kept_up_to_a_size_or_as_asked(choice: bool | None, videos: int, kept: bool) -> None:
    index = SimpleNamespace(rows=lambda split: range(videos))
    data = SimpleNamespace(
        index=index, test_protocol=Protocol(), validation_protocol=Protocol(clips_per_video=4), class_names=["x"] * 101
    )
    assert (4 * videos * 24 * 101 > MOST_BYTES) == (videos > 10)
    assert are_kept(choice, data) == kept


@pytest.mark.parametrize(("test", "validation", "split"), [(226_633, 5, "test"), (5, 1_102_405, "validation")])
def test_more_than_lists_can_count_is_refused(test: int, validation: int, split: str) -> None:
    """Sports-1M: 226,633 videos x 20 clips x 487 classes are 2,207,405,420, and 2^31 - 1 is 2,147,483,647."""
    data = SimpleNamespace(
        test_protocol=Protocol(), validation_protocol=Protocol(clips_per_video=4), class_names=["x"] * 487
    )
    require_room({"test": 220_480, "validation": 1_102_404}, data)
    said = {
        "test": "226,633 test videos of 20 clips and 487 classes have 2,207,405,420 scores",
        "validation": "1,102,405 validation videos of 4 clips and 487 classes have 2,147,484,940 scores",
    }[split]
    with pytest.raises(UserError, match=f"{said}.*a file holds up to 2,147,483,647. Leave --keep_clips out"):
        require_room({"test": test, "validation": validation}, data)


def test_it_is_refused_before_anything_is_scored(
    small_set: Path,
    checkpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(clip_level, "MOST_VALUES", 1000)
    given = options(small_set, tmp_path / "run", "--keep_clips", "true")
    assert main(["test", *given, "--ckpt_path", checkpoint]) == 2
    assert "a file holds up to 1,000. Leave --keep_clips out" in " ".join(capsys.readouterr().err.split())
    assert not list((tmp_path / "run").glob("**/*.parquet"))


@pytest.mark.parametrize("done", range(6))
@pytest.mark.parametrize("processes", [0, 1, 2, 5, 8])
def test_every_process_of_a_test_that_goes_on_has_a_video(done: int, processes: int) -> None:
    rows = np.arange(100, 105)
    left = set(rows.tolist()) - set(settled(rows, rows[:done].tolist(), processes))
    assert set(rows[done:].tolist()) <= left
    assert len(left) == max(5 - done, min(5, processes))


def test_too_few_validation_videos_for_all_processes_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    index = SimpleNamespace(rows=lambda split: np.arange(2))
    data = SimpleNamespace(index=index, scored_rows=frozenset())
    trainer: Any = SimpleNamespace(datamodule=data, world_size=3, is_global_zero=True)
    assert list(validation_outputs(trainer, None)) == []
    assert "2 validation videos are too few for 3 processes to share, and are not scored" in capsys.readouterr().out
