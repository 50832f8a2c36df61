"""Groups of classes that a user gives as a table."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmark.data.class_groups import read_class_groups
from benchmark.errors import UserError
from tests.data.test_datamodule import SmallVideos
from tests.generators.indexes import small_index

NAMES = ("diving", "surfing", "archery")


def table(folder: Path, *rows: str) -> Path:
    (folder / "groups.csv").write_text("\n".join(["class,group", *rows, ""]), "utf-8")
    return folder / "groups.csv"


def test_each_class_has_the_group_of_its_row(tmp_path: Path) -> None:
    file = table(tmp_path, "archery,target", " surfing ,water", 'diving,"water"')
    assert read_class_groups(file, NAMES) == ("water", "water", "target")
    parquet.write_table(
        pa.table({"group": ["a", "b", "a"], "class": [*NAMES], "note": [1, 2, 3]}), tmp_path / "g.parquet"
    )
    assert read_class_groups(tmp_path / "g.parquet", NAMES) == ("a", "b", "a")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("archery,target", "surfng,water"), "row 2 .*'surfng', which the data do not have; did you mean surfing?"),
        (("archery,target", "zzz,water"), "row 2 .*'zzz', which the data do not have; remove the row"),
        (("archery,target", "archery,water"), "row 2 .*'archery' a second time"),
        (("archery,nan",), "row 1 .*the group 'nan'"),
        (("archery,a/b",), "row 1 .*the group 'a/b'"),
        (("archery,target", "diving,a|b"), "row 2 .*the group 'a|b'; change it: a group is a name of up to 196 signs"),
        (('archery,"a ""b"""',), "row 1 .*the group 'a \"b\"'"),
        (("archery,<b>",), "row 1 .*the group '<b>'"),
        (("archery,a\\b",), r"row 1 .*the group 'a\\\\b'"),
        (("archery,a`b",), "row 1 .*the group 'a`b'"),
        ((f"archery,{'a' * 197}",), "row 1 .*the group 'a"),
        (("archery,target",), "no row for 2 classes: diving, surfing; add them"),
        (("archery",), "row 1 .*1 cell where the header has 2"),
    ],
)
def test_what_is_not_clear_is_refused_with_its_row(tmp_path: Path, rows: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_class_groups(table(tmp_path, *rows), NAMES)


def test_names_that_look_the_same_are_shown_apart(tmp_path: Path) -> None:
    composed, parted = "Caf\u00e9", "Cafe\u0301"
    said = r"row 1 .*written otherwise: 'Caf\\xe9' and 'Cafe\\u0301' differ"
    with pytest.raises(UserError, match=said):
        read_class_groups(table(tmp_path, f"{composed},x"), (parted,))
    with pytest.raises(UserError, match=r"row 1 .*written otherwise: 'Archery' and 'archery' differ"):
        read_class_groups(table(tmp_path, "Archery,x"), NAMES)


def test_groups_that_differ_only_in_capitals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the groups of .*groups\.csv 'Water' and 'water' differ only in capitals"):
        read_class_groups(table(tmp_path, "archery,target", "diving,Water", "surfing,water"), NAMES)


def test_a_column_that_comes_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.csv").write_text("class,group,group\ndiving,a,b\n", "utf-8")
    with pytest.raises(UserError, match="has several columns named group; rename all but one"):
        read_class_groups(tmp_path / "twice.csv", ("diving",))


def test_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("label,kind\na,b\n", "utf-8")
    with pytest.raises(UserError, match=r"has the columns label, kind; data\.class_groups needs class and group"):
        read_class_groups(tmp_path / "other.csv", NAMES)
    with pytest.raises(UserError, match="cannot be read"):
        read_class_groups(tmp_path / "gone.csv", NAMES)


def test_a_data_module_takes_them_in_place_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    videos = small_index(tmp_path / "videos")
    file = table(
        tmp_path, *(f"{name},{'even' if number % 2 == 0 else 'odd'}" for number, name in enumerate(videos.class_names))
    )
    data = SmallVideos(videos, class_groups=file)
    classes = range(len(videos.class_names))
    assert data.groups == {"even": [*classes[::2]], "odd": [*classes[1::2]]}
    assert data.index.table is videos.table
