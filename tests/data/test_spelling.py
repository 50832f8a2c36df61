"""Names that only a computer tells apart."""

import unicodedata
from pathlib import Path

import pytest

from benchmark.data.folder import read_folder_index
from benchmark.data.spelling import found_otherwise, require_distinct, says_nothing, shown, sound
from benchmark.errors import UserError
from tests.generators.videos import touch

NFC, NFD = unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")

TWINS = [
    ("Run", "run"),
    (NFC, NFD),
    ("STRASSE", "straße"),
    ("hand stand", "hand  stand"),
    ("hand stand", "hand\u00a0stand"),
    ("run", "run\u200b"),
    ("run", " run"),
    ("7", "07"),
    ("7", "7.0"),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_twins_are_refused_with_both_names(one: str, other: str) -> None:
    with pytest.raises(UserError, match=r"^the classes .* and .* differ only in capitals, spaces") as refused:
        require_distinct(["jump", one, other], "classes")
    assert shown([one, other]) in str(refused.value)


@pytest.mark.parametrize(
    "names", [["run", "runs"], ["7", "70"], ["0", "10"], ["Café", "Cafe"], ["a_b", "a b"], ["1.5", "15"]]
)
def test_others_are_not(names: list[str]) -> None:
    require_distinct(names, "classes")
    assert sound(names[0]) != sound(names[1])


def test_names_that_look_the_same_are_shown_by_their_signs() -> None:
    assert shown([NFC, NFD]) == r"'Caf\xe9' and 'Cafe\u0301'"
    assert shown(["Run", "run"]) == "'Run' and 'run'"
    assert shown(["Café", "café"]) == "'Café' and 'café'"


@pytest.mark.parametrize(("one", "other"), TWINS[:4])
@pytest.mark.parametrize("places", ["{}/a.mp4 {}/b.mp4", "train/{}/a.mp4 test/{}/b.mp4"])
def test_class_folders_are_no_twins(tmp_path: Path, one: str, other: str, places: str) -> None:
    first, second = places.split()
    for name in (first.format(one), second.format(other)):
        touch(tmp_path / name)
    if len({path.parent for path in tmp_path.rglob("*.mp4")}) < 2:
        pytest.skip("this file system has one folder for both")
    with pytest.raises(UserError, match=r"the classes .* differ only in"):
        read_folder_index(tmp_path)


@pytest.mark.parametrize(("one", "other"), [twin for twin in TWINS if twin[1] != " run"])
def test_labels_and_source_groups_of_tables_are_no_twins(tmp_path: Path, one: str, other: str) -> None:
    for name in "ab":
        touch(tmp_path / f"{name}.mp4")
    table = tmp_path / "table.csv"
    for what, header, rows in (
        ("classes", "path,label", [f"a.mp4,{one}", f"b.mp4,{other}"]),
        ("classes", "path,label", [f"a.mp4,{one}|{other}", "b.mp4,x"]),
        ("source groups", "path,label,group", [f"a.mp4,x,{one}", f"b.mp4,y,{other}"]),
    ):
        table.write_text("\n".join([header, *rows]), "utf-8")
        with pytest.raises(UserError, match=f"^the {what} .* differ only in"):
            read_folder_index(tmp_path, annotations=table)


def test_files_that_a_table_spells_otherwise_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Day 1/a.mp4", f"{NFC}.mp4", "c.mp4"):
        touch(tmp_path / name)
    missing = ["day 1/A.mp4", f"{NFD}.mp4", "Day 1\\a.MP4", "gone.mp4"]
    found = found_otherwise(tmp_path, missing)
    assert {name: path for name, path in found.items() if name != missing[0]} == {
        missing[1]: f"{NFC}.mp4",
        missing[2]: "Day 1/a.mp4",
    }
    assert found_otherwise(tmp_path, []) == {}
    (tmp_path / "Gone.mp4").symlink_to(tmp_path / "nowhere")
    assert found_otherwise(tmp_path, ["Gone.mp4", "gone.mp4"]) == {}
    table = tmp_path / "table.csv"
    table.write_text(f"path,label\n{NFD}.mp4,x\ngone.mp4,x\nc.mp4,y\n", "utf-8")
    index = read_folder_index(tmp_path, annotations=table)
    assert "1 video counts as missing, but is there." in caplog.text
    assert r"'Cafe\u0301.mp4' is 'Caf\xe9.mp4'" in caplog.text
    assert index.missing() == [f"{NFD}.mp4", "gone.mp4"]
    table.write_text("path,label\nC.mp4,x\n", "utf-8")
    with pytest.raises(UserError, match=r"none of the 1 file.*'C\.mp4' is 'c\.mp4'"):
        read_folder_index(tmp_path, annotations=table)


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "NULL", "null", "N/A", "NA", "", " ", "<NA>"])
def test_words_for_nothing_are_no_label_path_or_group(tmp_path: Path, word: str) -> None:
    assert says_nothing(word)
    for name in ("a.mp4", "b.mp4"):
        touch(tmp_path / name)
    table = tmp_path / "table.csv"
    table.write_text(f"path,label\na.mp4,x\nb.mp4,{word}\n", "utf-8")
    with pytest.raises(UserError, match=r"row 2 of .* has (the label|no label)"):
        read_folder_index(tmp_path, annotations=table)
    table.write_text(f"path,label\na.mp4,x\n{word},x\n", "utf-8")
    with pytest.raises(UserError, match=r"row 2 of .* has the path"):
        read_folder_index(tmp_path, annotations=table)
    table.write_text(f"path,label,group\na.mp4,x,{word}\nb.mp4,x,g\n", "utf-8")
    assert read_folder_index(tmp_path, annotations=table).table["source_group"].to_pylist() == [None, "g"]


def test_names_that_hold_such_a_word_are_names() -> None:
    assert not any(map(says_nothing, ["nano", "nothing", "none.mp4", "0", "null hypothesis"]))
