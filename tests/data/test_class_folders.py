"""Layouts of folders: splits above or below classes, links, and what is wrong with a set."""

import os
from pathlib import Path

import pytest

from benchmark.data.folder import read_folder_index
from benchmark.errors import UserError
from tests.generators.videos import touch


def held(root: Path) -> dict[str, tuple[str, list[str]]]:
    """Split and class names of each video of a folder."""
    index = read_folder_index(root)
    rows = index.table.to_pylist()
    return {row["video_id"]: (row["split"], [index.class_names[n] for n in row["labels"]]) for row in rows}


def fill(root: Path, names: str) -> Path:
    for number, name in enumerate(names.split()):
        touch(root / name).write_bytes(bytes([number]))
    return root


def test_splits_may_lie_below_all_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, "clap/train/a.mp4 clap/Test/b.mp4 jump/train/c.mp4 jump/val/d.mp4 jump/predict/e.mp4")
    assert held(tmp_path) == {
        "clap/train/a.mp4": ("train", ["clap"]),
        "clap/Test/b.mp4": ("test", ["clap"]),
        "jump/train/c.mp4": ("train", ["jump"]),
        "jump/val/d.mp4": ("validation", ["jump"]),
        "jump/predict/e.mp4": ("predict", []),
    }
    assert "is split below its class folders: CLASS/SPLIT/video.mp4" in caplog.text


@pytest.mark.parametrize(
    "names",
    [
        "clap/train/a.mp4 clap/test/b.mp4 jump/c.mp4",
        "clap/train/a.mp4 clap/test/b.mp4 jump/c.mp4 jump/train/d.mp4",
        "clap/train/a.mp4 clap/test/b.mp4 jump/train/c.mp4 jump/monday/d.mp4",
        "one/train/clap/a.mp4 one/test/clap/b.mp4 two/train/jump/c.mp4 two/test/jump/d.mp4",
    ],
)
def test_a_layout_that_is_not_clear_is_refused_with_the_one_wanted(tmp_path: Path, names: str) -> None:
    with pytest.raises(UserError, match=r"holds splits below .*expected SPLIT/CLASS/video\.mp4, or CLASS/SPLIT/video"):
        held(fill(tmp_path, names))


def test_a_root_that_is_one_folder_too_high_is_refused_with_the_right_one(tmp_path: Path) -> None:
    fill(tmp_path, "data/train/clap/a.mp4 data/test/clap/b.mp4")
    with pytest.raises(UserError, match=r"holds one folder, data, .*change data\.root to .*/data$"):
        held(tmp_path)


def test_a_folder_below_a_class_may_have_any_other_name(tmp_path: Path) -> None:
    fill(tmp_path, "clap/monday/a.mp4 clap/b.mp4 vehicles/train/c.mp4 vehicles/bus/d.mp4")
    assert {labels[0] for _, labels in held(tmp_path).values()} == {"clap", "vehicles"}


@pytest.mark.parametrize("folders", ["val", "val/clap"])
def test_a_split_without_a_video_is_named(tmp_path: Path, folders: str, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, "train/clap/a.mp4 train/jump/b.mp4 test/clap/c.mp4")
    (tmp_path / folders).mkdir(parents=True)
    assert {split for split, _ in held(tmp_path).values()} == {"train", "test"}
    assert f"{tmp_path / 'val'} holds no video, so that the split validation is empty" in caplog.text


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_under_several_names_is_counted_and_named(
    tmp_path: Path, link: object, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, "train/clap/a.mp4 train/jump/b.mp4 test/clap/c.mp4 test/jump/d.mp4")
    for name, other in (
        ("train/clap/a.mp4", "test/clap/again.mp4"),
        ("train/jump/b.mp4", "train/clap/also.mp4"),
        ("test/clap/c.mp4", "test/clap/twice.mp4"),
    ):
        link(tmp_path / name, tmp_path / other)  # type: ignore[operator]
    assert len(held(tmp_path)) == 7
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "1 file is held in several splits by links; keep one name of each: test/clap/again.mp4 = train/clap/a.mp4",
        "1 file is held under several labels by links; keep one name of each: train/clap/also.mp4 = train/jump/b.mp4",
        "1 file is held twice by links; keep one name of each: test/clap/c.mp4 = test/clap/twice.mp4",
    ]


def test_a_linked_folder_is_seen_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, "train/clap/a.mp4 train/jump/b.mp4")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    held(tmp_path)
    assert "2 files are held in several splits by links" in caplog.text


def test_equal_files_that_are_no_links_are_not_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("train/clap/a.mp4", "train/jump/b.mp4", "test/clap/a.mp4"):
        touch(tmp_path / name)
    held(tmp_path)
    assert not caplog.records


def test_a_single_class_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held(fill(tmp_path / "two", "train/clap/a.mp4 test/clap/b.mp4"))
    assert "all videos are of one class, clap" in caplog.text
    caplog.clear()
    held(fill(tmp_path / "three", "test/clap/a.mp4 test/jump/b.mp4"))  # a set to test on
    assert not caplog.records


@pytest.mark.parametrize(("sign", "name"), [("\t", "tabs"), (";", "semicolons"), (" ", "spaces")])
def test_a_table_parted_by_other_signs_is_refused_with_them(tmp_path: Path, sign: str, name: str) -> None:
    touch(tmp_path / "a.mp4")
    table = tmp_path / "table.csv"
    table.write_text(f"path{sign}label\na.mp4{sign}run\n", "utf-8")
    with pytest.raises(UserError, match=f"Its cells seem to be parted by {name}; save it with commas"):
        read_folder_index(tmp_path, annotations=table)


def test_line_ends_marks_and_spaces_around_cells_do_not_matter(tmp_path: Path) -> None:
    for name in "ab":
        touch(tmp_path / f"{name}.mp4")
    table = tmp_path / "table.csv"
    found = []
    for text in (
        "path,label\na.mp4,run\nb.mp4,jump\n",
        "\ufeffpath,label\r\na.mp4,run\r\nb.mp4,jump\r\n",
        "path,label\ra.mp4,run\rb.mp4,jump",
        "path,label\na.mp4 , run\n\n\tb.mp4,jump\t\n",
    ):
        table.write_bytes(text.encode())
        found.append(read_folder_index(tmp_path, annotations=table).fingerprint)
    assert len(set(found)) == 1


def test_a_control_character_is_no_part_of_a_label(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    table = tmp_path / "table.csv"
    table.write_bytes(b"path,label\na.mp4,ru\x00n\n")
    with pytest.raises(UserError, match=r"row 1 of .* has the label 'ru\\x00n', in which is a control character"):
        read_folder_index(tmp_path, annotations=table)
