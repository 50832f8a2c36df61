from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmark.data.folder import read_folder_index
from benchmark.errors import UserError
from tests.data.test_folder import annotate, rows
from tests.generators.videos import touch


def test_annotations_give_labels_splits_and_source_groups(tmp_path: Path) -> None:
    file = annotate(
        tmp_path,
        "split,extra,labels,path,source_group\n"
        "train,1,run | jump,a.mp4,tape 1\n"
        "val,2,run,./b.mp4,\n"
        "predict,3,,sub/c.avi,tape 2\n"
        'test,4,"walk|walk",gone/007.mp4,tape 1\n',
    )
    index = read_folder_index(tmp_path, annotations=file, name="tapes")
    assert index.class_names == ("jump", "run", "walk")
    assert rows(index) == {
        "a.mp4": (["run", "jump"], "train"),
        "b.mp4": (["run"], "validation"),
        "sub/c.avi": ([], "predict"),
        "gone/007.mp4": (["walk"], "test"),
    }
    assert index.table["source_group"].to_pylist() == ["tape 1", None, "tape 2", "tape 1"]
    assert index.missing() == ["gone/007.mp4"]
    assert index.identity.dataset == "tapes"


def test_parquet_annotations_take_lists_strings_and_numbers(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "b.mp4")
    file = tmp_path / "annotations.parquet"
    parquet.write_table(pa.table({"path": ["a.mp4", "b.mp4"], "labels": [["x", "y|z"], ["x"]]}), file)
    assert {name: labels for name, (labels, _) in rows(read_folder_index(tmp_path, annotations=file)).items()} == {
        "a.mp4": ["x", "y|z"],
        "b.mp4": ["x"],
    }
    parquet.write_table(pa.table({"path": ["a.mp4", "b.mp4"], "label": ["x|y", "z"], "group": [1, 2]}), file)
    index = read_folder_index(tmp_path, annotations=file)
    assert [labels for labels, _ in rows(index).values()] == [["x", "y"], ["z"]]
    assert index.table["source_group"].to_pylist() == ["1", "2"]
    parquet.write_table(pa.table({"path": ["a.mp4", "b.mp4"], "label": [7, 5]}), file)
    assert [labels for labels, _ in rows(read_folder_index(tmp_path, annotations=file)).values()] == [["7"], ["5"]]


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([["clap", None], ["jump"], ["jump"]], None, "row 1 of .* has the label None"),
        ([float("nan")] * 3, None, "row 1 of .* has no label"),
        ([1.0, 2.5, 3.0], None, "row 1 of .* has the label 1.0"),
        ([True, False, True], None, "row 1 of .* has the label True"),
    ],
)
def test_nothing_is_no_label(tmp_path: Path, labels: list[object], groups: list[object] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_folder_index(tmp_path, annotations=table(tmp_path, labels=labels, source_group=groups))


def test_a_group_of_nan_is_no_group(tmp_path: Path) -> None:
    file = table(tmp_path, labels=["clap", "jump", "jump"], source_group=[float("nan"), None, 3.0])
    assert read_folder_index(tmp_path, annotations=file).table["source_group"].to_pylist() == [None, None, "3.0"]


def table(root: Path, **columns: list[object] | None) -> Path:
    paths = ["a.mp4", "b.mp4", "c.mp4"]
    for path in paths:
        touch(root / path)
    held = {name: values for name, values in columns.items() if values is not None}
    parquet.write_table(pa.table({"path": paths, **held}), root / "table.parquet")
    return root / "table.parquet"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,labels\na.mp4,clap, loud\n", r"row 1 of .* has 3 cells where the header has 2 \(a.mp4, clap,  loud\)"),
        ("path,labels,split\na.mp4,clap\n", "row 1 of .* has 2 cells where the header has 3"),
        ("path,labels,labels\na.mp4,clap,jump\n", "several columns named labels"),
        ("path,labels,Split\na.mp4,clap,test\n", "has a column named 'Split'; rename it to split"),
        ("path,labels,splits\na.mp4,clap,test\n", "has a column named 'splits'; rename it to split"),
        ("path,label,labels\na.mp4,clap,jump\n", "has the columns labels and label, which mean the same"),
        ('path,labels\na.mp4,"clap"loud\n', "cannot be read as CSV"),
    ],
)
def test_rows_that_do_not_fit_the_header_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_folder_index(tmp_path, annotations=annotate(tmp_path, text))


def test_a_comma_within_quotes_belongs_to_the_label(tmp_path: Path) -> None:
    file = annotate(tmp_path, 'path,labels,split\na.mp4,"clap, loud|jump",Training\n')
    assert rows(read_folder_index(tmp_path, annotations=file)) == {"a.mp4": (["clap, loud", "jump"], "train")}
