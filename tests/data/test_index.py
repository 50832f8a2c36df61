import dataclasses
import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmark.data.index import SCHEMA, Split, Video, VideoIndex, require_classes
from benchmark.errors import UserError
from benchmark.identity import Identity

SPLITS: list[Split] = ["train", "test", "train", "validation", "train"]


def index(**changes: Any) -> VideoIndex:
    columns: dict[str, Any] = {
        "video_id": ["a", "b", "c", "d", "e"],
        "path": ["A/a.avi", "B/b.avi", None, "d.avi", "e.avi"],
        "labels": [[0], [1], [0], [0, 1], []],
        "split": SPLITS,
        "source_group": ["g1", "g2", None, "g1", "g3"],
    }
    settings: dict[str, Any] = {"identity": Identity("Any"), "root": Path("/videos"), "class_names": ["A", "B"]}
    return VideoIndex.from_columns(**settings | columns | changes)


def test_columns_have_the_schema() -> None:
    assert index().table.schema.equals(SCHEMA)
    assert len(index()) == 5


def test_workers_that_are_not_forked_share_the_table() -> None:
    rows = 1_000_000
    names = [f"folder/video_{row:07}.mp4" for row in range(rows)]
    splits = (SPLITS * (rows // len(SPLITS) + 1))[:rows]
    large = index(video_id=names, path=names, labels=[[0]] * rows, split=splits, source_group=None)
    plain = pickle.dumps(large)
    assert len(plain) < 1.01 * large.table.nbytes  # columns, not a million objects
    shared = bytes(ForkingPickler.dumps(large))  # as a loader hands it to its workers
    assert len(shared) < 5000
    for found in (pickle.loads(plain), ForkingPickler.loads(shared)):
        assert found.table.equals(large.table)
        assert found.fingerprint == large.fingerprint
        assert (found.identity, found.root, found.class_names) == (large.identity, large.root, large.class_names)
    part = dataclasses.replace(large, table=large.table.slice(500_000, 10))
    assert len(pickle.dumps(part)) < 5000
    assert pickle.loads(pickle.dumps(part)).table.equals(part.table)


def test_a_video() -> None:
    assert index().video(3) == Video(3, "d", Path("/videos/d.avi"), (0, 1))
    assert index().video(4).labels == ()


def test_a_missing_video_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match=r"row 2 \(c\) has no file"):
        index().video(2)


@pytest.mark.parametrize(("split", "rows"), [("train", [0, 4]), ("test", [1]), ("validation", [3]), ("predict", [])])
def test_rows_of_a_split_leave_out_missing_videos(split: Split, rows: list[int]) -> None:
    found = index().rows(split)
    assert found.tolist() == rows
    assert found.dtype == np.int64


def test_missing_videos() -> None:
    assert index().missing() == ["c"]
    assert index().missing("train") == ["c"]
    assert index().missing("test") == []


def test_an_empty_index() -> None:
    empty = index(**{name: [] for name in SCHEMA.names})
    assert len(empty) == 0
    assert empty.rows("train").tolist() == []
    assert "0 videos (none) of 2 classes; 0 missing" in empty.summary()
    assert len(empty.fingerprint) == 16


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        index(video_id=["a"])


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="an index has the columns"):
        VideoIndex(Identity("Any"), Path(), pa.table({"video_id": ["a"]}), ("A",))


def test_a_split_may_be_stored_in_chunks() -> None:
    one = index()
    chunked = VideoIndex(one.identity, one.root, pa.concat_tables([one.table[:2], one.table[2:]]), one.class_names)
    assert chunked.rows("train").tolist() == [0, 4]
    assert chunked.video(3) == one.video(3)
    assert chunked.fingerprint == one.fingerprint


def test_the_fingerprint_stays_what_it_is() -> None:
    """Pinned: records of the same data must keep agreeing."""
    assert index().fingerprint == "86aab98939c013b8"


def test_the_fingerprint_does_not_depend_on_place_and_order() -> None:
    order = [4, 2, 0, 3, 1]
    one = index()
    columns = {name: [one.table[name].to_pylist()[row] for row in order] for name in SCHEMA.names}
    assert index(**columns).fingerprint == one.fingerprint
    assert index(root=Path("/elsewhere")).fingerprint == one.fingerprint
    assert index(path=["x.mp4", "y.mp4", None, "z.mp4", "w.mp4"]).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"identity": Identity("Any", fold=2)},
        {"identity": Identity("Other")},
        {"identity": Identity("Any", classes=("A",))},
        {"labels": [[1], [1], [0], [0, 1], []]},
        {"split": ["test", *SPLITS[1:]]},
        {"video_id": ["a2", "b", "c", "d", "e"]},
        {"path": [None, "B/b.avi", None, "d.avi", "e.avi"]},
    ],
)
def test_the_fingerprint_depends_on_what_is_trained_and_tested(change: dict[str, Any]) -> None:
    assert index(**change).fingerprint != index().fingerprint


def test_the_summary_says_what_is_there() -> None:
    line = index(identity=Identity("UCF-101", 1, ("A", "B")), official_videos=8).summary()
    assert line == (
        "UCF-101 fold 1, 2 chosen classes: 4 videos (2 train, 1 validation, 1 test) of 2 classes; 1 missing; "
        "50.0% of the official 8 videos held"
    )
    assert "official" not in index().summary()


def test_groups_of_classes() -> None:
    grouped = index(class_names=["A", "B", "C"], class_groups=["Sports", "Music", "Sports"])
    assert grouped.groups() == {"Sports": [0, 2], "Music": [1]}
    assert index().groups() == {}


def test_chosen_classes_keep_the_datasets_order() -> None:
    assert require_classes(None, ["A", "B"]) == ("A", "B")
    assert require_classes(["C", "A", "C"], ["A", "B", "C"]) == ("A", "C")


@pytest.mark.parametrize(("chosen", "named"), [(["A", "Z", "Y"], r"\['Y', 'Z'\]"), ([], "no class")])
def test_unknown_classes_are_refused(chosen: list[str], named: str) -> None:
    with pytest.raises(UserError, match=f"{named}; allowed are A, B. Change data.classes"):
        require_classes(chosen, ["A", "B"])
