import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.protocol import Protocol
from benchmark.results.clip_scores import FILE_NAME, SCHEMA, ClipScores, Said, clips_beside, denials, first_clips
from benchmark.results.ledger import Ledger
from tests.generators.ledgers import draw_clips, draw_labels, ledger_of_clips, make_clips

METADATA = b"clipbench.clips"
LABELS = draw_labels(0, 30, 5)
PROBABILITIES = draw_clips(1, LABELS, 6)
FAILED = np.arange(30) % 11 == 3
LEDGER = ledger_of_clips(PROBABILITIES, LABELS, failed=FAILED)
VALIDATION = draw_clips(2, draw_labels(2, 12, 5), 2)
CLIPS = make_clips(PROBABILITIES, LEDGER, VALIDATION)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    assert CLIPS.write(path) == file_hash(path)
    held = ClipScores.read(path)
    assert held.class_names == LEDGER.info.class_names
    np.testing.assert_array_equal(held.said("test").scores, PROBABILITIES[~FAILED])
    np.testing.assert_array_equal(held.said("test").labels, LABELS[~FAILED])
    np.testing.assert_array_equal(held.said("validation").scores, VALIDATION)
    assert held.said("validation").video_ids[:2] == ["w0000", "w0001"]
    np.testing.assert_array_equal(held.said("test").video_scores, LEDGER.scores[~FAILED])
    assert denials(held, LEDGER) == []


def test_a_fold_of_101_classes_at_20_clips_takes_less_than_40_megabytes(tmp_path: Path) -> None:
    rng, videos, classes = np.random.default_rng(0), 3_783, 101
    labels = np.arange(classes) == rng.integers(0, classes, videos)[:, None]
    said = {}
    for split, count, clips in (("test", videos, 20), ("validation", 1_400, 4)):
        logits = 1.5 * rng.normal(size=(count, 1, classes)) + 0.7 * rng.normal(size=(count, clips, classes))
        odds = np.exp(logits + 2 * labels[:count, None] * rng.gamma(3, 1, (count, 1, 1)))
        videos_of = [f"v_Class{row % 101:03d}_g{row % 25:02d}_c{row:05d}" for row in range(count)]
        said[split] = Said(videos_of, labels[:count], (odds / odds.sum(2, keepdims=True)).astype(np.float32))
    names = tuple(f"Class{number}" for number in range(classes))
    held = ClipScores.of(names, {"test": said["test"], "validation": said["validation"]})
    held.write(tmp_path / FILE_NAME)
    assert (tmp_path / FILE_NAME).stat().st_size < 40e6


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_a_test_with_fewer_clips_has_the_first_of_them(count: int) -> None:
    found = first_clips(LEDGER, CLIPS, count)
    protocol = Protocol(clips_per_video=count)
    expected = ledger_of_clips(PROBABILITIES[:, :count], LABELS, failed=FAILED, protocol=protocol)
    assert found.info == expected.info
    assert found.table.drop_columns("scores").equals(expected.table.drop_columns("scores"))
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-7)


def changed(**columns: Any) -> ClipScores:
    """With other values in some columns."""
    held = {name: columns.get(name, CLIPS.table[name].to_pylist()) for name in SCHEMA.names}
    return ClipScores(CLIPS.class_names, pa.table(held, schema=SCHEMA))


def scores_with(row: int, change: Any) -> list[Any]:
    held: list[Any] = CLIPS.table["scores"].to_pylist()
    held[row] = change(held[row])
    return held


def turned(scores: list[float]) -> list[float]:
    """The first clip with its scores at other classes."""
    return [*scores[1:5], scores[0], *scores[5:]]


IDS, SPLITS_HELD = CLIPS.table["video_id"].to_pylist(), CLIPS.table["split"].to_pylist()
DENIED = {
    "mean of the scores of its clips is not": changed(scores=scores_with(0, turned)),
    "ranks in its ledger": make_clips(np.roll(PROBABILITIES, 1, 1), LEDGER),  # of which the means are the same
    "other videos": changed(video_id=["other", *IDS[1:]]),
    "other labels": changed(labels=[[0, 1, 2, 3], *CLIPS.table["labels"].to_pylist()[1:]]),
    "other classes": dataclasses.replace(CLIPS, class_names=CLIPS.class_names[::-1]),
    "scores of 5 clips a video": make_clips(PROBABILITIES[:, :5], LEDGER),
}


@pytest.mark.parametrize("reason", DENIED)
def test_a_ledger_denies_scores_of_other_clips(reason: str, tmp_path: Path) -> None:
    assert any(reason in line for line in denials(DENIED[reason], LEDGER))
    DENIED[reason].write(tmp_path / FILE_NAME)
    with pytest.raises(UserError, match="does not belong to"):
        clips_beside(tmp_path / "ledger.parquet", LEDGER)


BROKEN = {
    "no probabilities": changed(scores=scores_with(0, lambda held: [2.0, *held[1:]])),
    "no probabilities that": changed(scores=scores_with(3, lambda held: [float("nan"), *held[1:]])),
    "other numbers of clips": changed(scores=scores_with(0, lambda held: held[:-5])),
    "not one score a class": changed(scores=scores_with(0, lambda held: held[:-1])),
    "in it twice": changed(video_id=[IDS[1], *IDS[1:]]),
    "neither test nor validation": changed(split=["train", *SPLITS_HELD[1:]]),
    "a label is not from 0 to 4": changed(labels=[[5], *CLIPS.table["labels"].to_pylist()[1:]]),
    "lacks something of its scores": changed(scores=scores_with(0, lambda held: [None, *held[1:]])),
    "two of one name": dataclasses.replace(CLIPS, class_names=("a", "a", "b", "c", "d")),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_what_contradicts_itself_is_refused(reason: str, tmp_path: Path) -> None:
    BROKEN[reason].write(tmp_path / FILE_NAME)
    with pytest.raises(UserError, match=reason):
        ClipScores.read(tmp_path / FILE_NAME)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    CLIPS.write(path)
    whole = path.read_bytes()
    for content in (b"", b"PAR1", whole[: len(whole) // 2], whole[:-20] + b"\x00" * 20):
        path.write_bytes(content)
        with pytest.raises(UserError, match="holds no scores of clips, or is damaged"):
            ClipScores.read(path)
    LEDGER.write(path)
    with pytest.raises(UserError, match="holds no scores of clips, or is damaged"):
        ClipScores.read(path)
    about = json.dumps({"format": 2, "class_names": CLIPS.class_names})
    parquet.write_table(CLIPS.table.replace_schema_metadata({METADATA: about}), path)
    with pytest.raises(UserError, match="of another format"):
        ClipScores.read(path)


def test_a_small_file_of_a_billion_numbers_is_refused_before_it_is_read(tmp_path: Path) -> None:
    row = pa.ListArray.from_arrays(pa.array([0, 2_000_000], pa.int32()), pa.array(np.full(2_000_000, 0.5, np.float32)))
    chunk = pa.table({"video_id": ["v"], "split": ["test"], "labels": [[0]], "scores": row}, schema=SCHEMA)
    about = json.dumps({"format": 1, "class_names": ["a", "b"]})
    with parquet.ParquetWriter(tmp_path / FILE_NAME, SCHEMA.with_metadata({METADATA: about})) as writer:
        for _ in range(50):
            writer.write_table(chunk)
    with pytest.raises(UserError, match="MB in memory"):
        ClipScores.read(tmp_path / FILE_NAME)


def test_older_tests_have_none(tmp_path: Path) -> None:
    LEDGER.write(tmp_path / "ledger.parquet")
    assert clips_beside(tmp_path / "ledger.parquet", Ledger.read(tmp_path)) is None
