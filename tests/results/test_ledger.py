import contextlib
import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.identity import Identity
from benchmark.protocol import Protocol
from benchmark.results.clip_starts import impossible_clips
from benchmark.results.ledger import FILE_NAME, SCHEMA, Ledger
from benchmark.results.summary import summarise
from tests.generators.ledgers import REASON, make_ledger

METADATA = b"clipbench.ledger"


def rewrite(path: Path, ledger: Ledger, change: Callable[[list[dict[str, Any]]], None], **info: Any) -> None:
    """Write a ledger whose rows, or whose metadata, were changed by hand."""
    rows = ledger.table.to_pylist()
    change(rows)
    table = pa.Table.from_pylist(rows, SCHEMA)
    metadata = {**json.loads(ledger.info.to_json()), **info}
    parquet.write_table(table.replace_schema_metadata({METADATA: json.dumps(metadata)}), path)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        Ledger.read(path)
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable()
    return message


def first_scored(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["status"] == "scored")


def first_failed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["status"] == "failed")


@pytest.mark.parametrize("failed", [0.0, 0.3, 1.0])
def test_what_is_written_is_read(tmp_path: Path, failed: float) -> None:
    ledger = make_ledger(failed=failed, unlabelled=0.1, chosen=tuple("ABCDEF"))
    sha256 = ledger.write(tmp_path / "run" / FILE_NAME)
    assert sha256 == file_hash(tmp_path / "run" / FILE_NAME)
    for path in (tmp_path / "run", tmp_path / "run" / FILE_NAME):
        held = Ledger.read(path)
        assert held.info == ledger.info
        assert held.table.equals(ledger.table)
        np.testing.assert_array_equal(held.scores, ledger.scores)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("failed", [0.0, 0.3, 1.0])
def test_scores_in_lists_of_a_fixed_size_are_read_where_pyarrow_reads_them(tmp_path: Path, failed: float) -> None:
    path, ledger = tmp_path / FILE_NAME, make_ledger(failed=failed)
    place = SCHEMA.get_field_index("scores")
    fixed = SCHEMA.set(place, pa.field("scores", pa.list_(pa.float32(), len(ledger.info.class_names))))
    table = ledger.table.cast(fixed).replace_schema_metadata({METADATA: ledger.info.to_json()})
    try:
        parquet.write_table(table, path)
        can = parquet.read_table(path)["scores"].equals(table["scores"])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # up to pyarrow 25, of a null among them
        can = False
    assert can or failed
    if can:
        held = Ledger.read(path)
        assert held.table.equals(ledger.table)
        np.testing.assert_array_equal(held.scores, ledger.scores)


def test_where_pyarrow_cannot_read_a_ledger_of_before_the_version_that_can_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ledger = tmp_path / FILE_NAME, make_ledger(failed=0)
    place = SCHEMA.get_field_index("scores")
    fixed = SCHEMA.set(place, pa.field("scores", pa.list_(pa.float32(), len(ledger.info.class_names))))
    table = ledger.table.cast(fixed).replace_schema_metadata({METADATA: ledger.info.to_json()})
    parquet.write_table(table, path)

    def read(file: parquet.ParquetFile) -> pa.Table:
        raise pa.ArrowInvalid("Expected all lists to be of size=3 but index 2 had size=0")

    monkeypatch.setattr(parquet.ParquetFile, "read", read)
    assert "index 2 had size=0; if videos failed in it, pyarrow 26 can read it" in refusal(path)


def test_a_file_is_written_in_types_that_every_pyarrow_reads(tmp_path: Path) -> None:
    ledger = make_ledger(failed=0.3)
    ledger.write(tmp_path / FILE_NAME)
    with parquet.ParquetFile(tmp_path / FILE_NAME) as file:
        assert not [field for field in file.schema_arrow if pa.types.is_fixed_size_list(field.type)]
        assert file.read()["scores"].to_pylist() == ledger.table["scores"].to_pylist()


def test_arrays_hold_what_the_rows_say() -> None:
    ledger = make_ledger(3, videos=50, unlabelled=0.1)
    # Several chunks, as a file of several row groups gives them.
    ledger = dataclasses.replace(
        ledger, table=pa.concat_tables([ledger.table[:7], ledger.table[7:7], ledger.table[7:]])
    )
    scored = 0
    for place, row in enumerate(ledger.table.to_pylist()):
        assert np.flatnonzero(ledger.labels[place]).tolist() == sorted(set(row["labels"]))
        assert ledger.video_ids[place] == row["video_id"]
        assert ledger.scored[place] == (row["status"] == "scored")
        if row["status"] == "scored":
            assert ledger.scores[place].tolist() == row["scores"]
            assert ledger.clip_ranks[scored].tolist() == row["clip_ranks"]
            scored += 1
        else:
            assert np.isnan(ledger.scores[place]).all()
            assert ledger.failures()[row["video_id"]] == REASON
    assert 0 < scored == len(ledger.clip_ranks) < len(ledger)


def test_an_empty_part_has_arrays_too() -> None:
    part = make_ledger(classes=5, clips=3).select(np.zeros(0, np.int64))
    assert (part.scores.shape, part.labels.shape, part.clip_ranks.shape) == ((0, 5), (0, 5), (0, 3))
    assert len(part.clusters()) == len(part.scored) == 0


def test_clusters_follow_source_groups_and_not_the_order_of_rows() -> None:
    ledger = make_ledger(videos=30, videos_per_source=4)
    sources = ledger.table["source_group"].to_pylist()
    clusters = ledger.clusters()
    for one in range(30):
        for other in range(30):
            assert (clusters[one] == clusters[other]) == (sources[one] == sources[other])
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_array_equal(ledger.select(order).clusters(), clusters[order])
    alone = make_ledger(videos=30, videos_per_source=0)
    assert sorted(alone.clusters()) == list(range(30))


def test_a_video_without_source_is_a_cluster_of_its_own_even_if_it_is_named_like_one() -> None:
    table = make_ledger(videos=4, failed=0).table
    table = table.set_column(0, table.schema.field(0), pa.array(["g", "h", "i", "j"]))
    table = table.set_column(2, table.schema.field(2), pa.array(["h", None, "h", None]))
    clusters = dataclasses.replace(make_ledger(), table=table).clusters()
    assert clusters[0] == clusters[2]
    assert len(set(clusters.tolist())) == 3


def test_board_is_what_must_agree() -> None:
    info = make_ledger().info
    assert info.board == (Identity("Made", 1), info.protocol.hash)
    assert dataclasses.replace(info, protocol=Protocol(clips_per_video=2)).board != info.board
    assert info.groups() == {"Group 0": [0, 2, 4], "Group 1": [1, 3, 5]}


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no ledger .*give the ledger\.parquet"):
        Ledger.read(tmp_path)
    with pytest.raises(UserError, match="there is no ledger"):
        Ledger.read(tmp_path / "nothing.parquet")


class Harmful:
    """Would leave a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    for content in (b"", b"PAR1", b"PAR1" * 10, b'{"a": 1}', pickle.dumps(Harmful(tmp_path / "harm")), b"\0" * 5000):
        path.write_bytes(content)
        assert "is no ledger, or is damaged" in refusal(path)
    assert not (tmp_path / "harm").exists()


def test_a_truncated_or_garbled_file_is_refused_or_equal(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    ledger = make_ledger(videos=60)
    ledger.write(path)
    whole = path.read_bytes()
    for end in (10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert "is no ledger, or is damaged" in refusal(path)
    rng = np.random.default_rng(0)
    for _ in range(100):
        garbled = bytearray(whole)
        garbled[rng.integers(0, len(whole))] ^= int(rng.integers(1, 256))
        path.write_bytes(garbled)
        with contextlib.suppress(UserError):  # no other error may come out
            Ledger.read(path)


def test_metadata_must_be_there_and_right(tmp_path: Path) -> None:
    path, ledger = tmp_path / FILE_NAME, make_ledger()
    parquet.write_table(ledger.table, path)
    assert "without the metadata clipbench.ledger" in refusal(path)
    info = json.loads(ledger.info.to_json())
    wrong: dict[str, tuple[Any, str]] = {
        "text": ("abc", "metadata are wrong"),
        "list": ([1], "metadata are wrong"),
        "format": ({**info, "format": 2}, "another format version"),
        "lacking": ({k: v for k, v in info.items() if k != "fold"}, "fold: Field required"),
        "fold": ({**info, "fold": "1"}, "fold: Input should be a valid integer"),
        "held": ({**info, "held_videos": 40.5}, "held_videos"),
        "names": ({**info, "class_names": ["A", 2]}, "class_names.1"),
        "clips": ({**info, "protocol": {**info["protocol"], "clips_per_video": 0}}, "clips_per_video is 0"),
        "views": ({**info, "protocol": {**info["protocol"], "views": ["inside_out"]}}, "protocol.views.0"),
        "protocol": ({**info, "protocol": "the usual one"}, "protocol"),
    }
    for value, message in wrong.values():
        parquet.write_table(ledger.table.replace_schema_metadata({METADATA: json.dumps(value)}), path)
        assert message in refusal(path)
    for raw in (b"\xff\xfe", b"{", b'{"format": 1', b"NaN", b"[" * 100_000):
        parquet.write_table(ledger.table.replace_schema_metadata({METADATA: raw}), path)
        assert "metadata are wrong" in refusal(path)


def test_info_must_fit_the_rows(tmp_path: Path) -> None:
    path, ledger = tmp_path / FILE_NAME, make_ledger(classes=3)
    for info, message in (
        ({"class_groups": ["one"]}, "3 classes and 1 group of classes"),
        ({"class_names": ["A", "A", "B"]}, "same name"),
        ({"classes": ["A", "B", "C"]}, "class subset is not its classes"),
        ({"held_videos": 39}, "40 videos, but only 39 were held"),
        ({"official_videos": 39}, "official list has only 39"),
        ({"protocol": {**json.loads(ledger.info.to_json())["protocol"], "clips_per_video": 5}}, "protocol's 5"),
    ):
        rewrite(path, ledger, lambda rows: None, **info)
        assert message in refusal(path)
    rewrite(path, ledger, lambda rows: None, class_names=["A", "B"], class_groups=None)
    assert "a video does not have 2 scores" in refusal(path)
    rewrite(path, ledger, lambda rows: first_scored(rows).update(scores=[0.5, 0.5]))
    assert "a video does not have 3 scores" in refusal(path)


def test_other_columns_and_types_are_refused(tmp_path: Path) -> None:
    path, ledger = tmp_path / FILE_NAME, make_ledger(classes=3)
    table = ledger.table.replace_schema_metadata({METADATA: ledger.info.to_json()})
    doubles = pa.array(table["scores"].to_pylist(), pa.list_(pa.float64()))
    pairs = pa.array([[0.5, 0.5]] * len(table), pa.list_(pa.float32(), 2))
    for changed in (
        table.drop_columns("reason"),
        table.append_column("extra\x1b[31m", pa.nulls(len(table))),
        table.set_column(5, "scores", doubles),
        table.set_column(5, "scores", pairs),
        table.set_column(0, "video_id", pa.array(range(len(table)))),
        table.set_column(1, "labels", pa.array(["0"] * len(table))),
        table.select(table.schema.names[::-1]),
    ):
        parquet.write_table(changed, path)
        assert "its column" in refusal(path)


def scores_of(values: list[float]) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: first_scored(rows).update(scores=values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1].update(video_id=rows[0]["video_id"]), "a video is in it twice"),
        (lambda rows: rows[0].update(status="perfect"), "neither scored nor failed"),
        (lambda rows: first_scored(rows).update(scores=None), "scores that its status does not allow"),
        (lambda rows: first_scored(rows).update(reason="why not"), "reason that its status does not allow"),
        (lambda rows: first_scored(rows).update(clip_starts=None), "clip_starts that its status"),
        (lambda rows: first_failed(rows).update(scores=[0.5, 0.5, 0.0]), "scores that its status does not allow"),
        (lambda rows: first_failed(rows).update(reason=None), "reason that its status does not allow"),
        (lambda rows: rows[0].update(labels=[3]), "a label is not from 0 to 2"),
        (lambda rows: rows[0].update(labels=[-1]), "a label is not from 0 to 2"),
        (lambda rows: rows[0].update(labels=[0, None]), "a null is among the labels"),
        (scores_of([0.5, float("nan"), 0.5]), "no probabilities"),
        (scores_of([float("inf"), 0.0, 0.0]), "no probabilities"),
        (scores_of([1.5, -0.5, 0.0]), "no probabilities"),
        (scores_of([0.5, 0.6, 0.5]), "no probabilities"),
        (lambda rows: first_scored(rows).update(scores=[0.5, None, 0.5]), "a null is among the scores"),
        (lambda rows: first_scored(rows).update(clip_ranks=[1, 1]), "another number of clip_ranks"),
        (lambda rows: first_scored(rows).update(clip_ranks=[]), "another number of clip_ranks"),
        (lambda rows: first_scored(rows).update(clip_starts=[0]), "another number of clip_starts"),
        (lambda rows: first_scored(rows).update(clip_starts=[0, -1, 0, 0]), "starts before its video"),
        (lambda rows: first_scored(rows).update(clip_starts=[0, None, 0, 0]), "a null is among the clip_starts"),
        (lambda rows: first_scored(rows).update(clip_ranks=[1, None, 1, 1]), "a null is among the clip_ranks"),
        (lambda rows: first_scored(rows).update(clip_ranks=[0, 1, 1, 1]), "rank cannot be"),
        (lambda rows: first_scored(rows).update(clip_ranks=[4, 1, 1, 1]), "rank cannot be"),
        (lambda rows: first_scored(rows).update(labels=[], clip_ranks=[1, 1, 1, 1]), "rank cannot be"),
        (lambda rows: first_scored(rows).update(labels=[0, 1, 2], clip_ranks=[2, 1, 1, 1]), "rank cannot be"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], message: str) -> None:
    rewrite(tmp_path / FILE_NAME, make_ledger(classes=3, several=0), change)
    assert message in refusal(tmp_path / FILE_NAME)


def without_clips(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["status"] == "scored":
            row["clip_starts"], row["clip_ranks"] = [], []


def test_a_ledger_of_whole_videos_has_no_scores_of_clips(tmp_path: Path) -> None:
    ledger = make_ledger()
    rewrite(tmp_path / FILE_NAME, ledger, without_clips)
    whole = Ledger.read(tmp_path)
    assert whole.clips_per_video == 0
    assert whole.clip_ranks.shape == (int(ledger.scored.sum()), 0)
    assert not impossible_clips(whole)
    clips, videos = summarise(ledger)[0], summarise(whole)[0]
    assert videos["clip_hit1"].value is videos["clip_hit5"].value is None
    assert {name: value for name, value in videos.items() if not name.startswith("clip")} == {
        name: value for name, value in clips.items() if not name.startswith("clip")
    }


@pytest.mark.parametrize("column", ["clip_starts", "clip_ranks"])
def test_some_videos_without_clips_are_refused(column: str, tmp_path: Path) -> None:
    def some(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["status"] == "scored")[column] = []

    rewrite(tmp_path / FILE_NAME, make_ledger(), some)
    assert f"another number of {column}" in refusal(tmp_path / FILE_NAME)
