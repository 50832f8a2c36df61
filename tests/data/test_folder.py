import hashlib
import logging
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from benchmark.data.decode import open_video
from benchmark.data.folder import VideoFolder, read_folder_index
from benchmark.data.found import leaves_root
from benchmark.data.index import VideoIndex
from benchmark.data.splits import hashed_split
from benchmark.errors import DatasetNotFoundError, UserError
from tests.generators.videos import touch, write_video


def rows(index: VideoIndex) -> dict[str, tuple[list[str], str]]:
    """Class names and split of each video."""
    return {
        row["video_id"]: ([index.class_names[label] for label in row["labels"]], row["split"])
        for row in index.table.to_pylist()
    }


def annotate(root: Path, text: str) -> Path:
    for path in ("a.mp4", "b.mp4", "sub/c.avi"):
        touch(root / path)
    file = root / "annotations.csv"
    file.write_text(text, "utf-8")
    return file


def test_class_folders_are_split_by_a_hash_of_the_path(tmp_path: Path) -> None:
    names = [f"class {label}/video {number}.mp4" for label in "abc" for number in range(40)]
    for name in names:
        touch(tmp_path / name)
    index = read_folder_index(tmp_path, split_seed=4)
    assert index.class_names == ("class a", "class b", "class c")
    found = rows(index)
    assert set(found) == set(names)
    for name, (labels, split) in found.items():
        assert labels == [name.split("/")[0]]
        fraction = int(hashlib.sha256(f"4/{name}".encode()).hexdigest()[:16], 16) / 2**64
        assert split == ("train" if fraction < 0.7 else "validation" if fraction < 0.8 else "test")
    assert index.identity.dataset == tmp_path.name
    assert rows(read_folder_index(tmp_path, split_seed=5)) != found


def test_a_video_keeps_its_split_when_others_come_and_go(tmp_path: Path) -> None:
    for number in range(30):
        touch(tmp_path / "a" / f"{number}.mp4")
    before = rows(read_folder_index(tmp_path))
    for number in range(0, 30, 3):
        (tmp_path / "a" / f"{number}.mp4").unlink()
    touch(tmp_path / "0 new" / "first.mp4")
    after = rows(read_folder_index(tmp_path))
    assert len(after) == 21
    assert all(before[name] == found for name, found in after.items() if name != "0 new/first.mp4")


def test_the_shares_are_70_10_20() -> None:
    counts = Counter(hashed_split(f"video {number}", 0) for number in range(10_000))
    # Standard deviations of 46, 30 and 40.
    assert abs(counts["train"] - 7000) < 5 * 46
    assert abs(counts["validation"] - 1000) < 5 * 30
    assert abs(counts["test"] - 2000) < 5 * 40


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_folders_named_after_splits_are_the_splits(
    tmp_path: Path, validation: str, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path / "train" / "run" / "1.mp4")
    touch(tmp_path / "train" / "walk" / "deep" / "2.AVI")
    touch(tmp_path / "train" / "walk" / "notes.txt")
    touch(tmp_path / "train" / "walk" / ".hidden.mp4")
    touch(tmp_path / "train" / "loose.mp4")
    touch(tmp_path / validation / "run" / "1.mp4")
    touch(tmp_path / "test" / "jump" / "3.webm")
    touch(tmp_path / "predict" / "4.mp4")
    touch(tmp_path / "other" / "5.mp4")
    with caplog.at_level(logging.WARNING):
        index = read_folder_index(tmp_path)
    assert rows(index) == {
        "train/run/1.mp4": (["run"], "train"),
        "train/walk/deep/2.AVI": (["walk"], "train"),
        f"{validation}/run/1.mp4": (["run"], "validation"),
        "test/jump/3.webm": (["jump"], "test"),
        "predict/4.mp4": ([], "predict"),
    }
    assert index.class_names == ("jump", "run", "walk")
    assert "left out: other" in caplog.text
    assert "1 video directly in" in caplog.text


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "locomotive.mp4")
    touch(tmp_path / "bus" / "1.mp4")
    assert read_folder_index(tmp_path).class_names == ("bus", "train")


def test_a_source_group_without_a_split_goes_to_one_side_whole(tmp_path: Path) -> None:
    lines = "".join(f"{group}-{number}.mp4,x,tape {group}\n" for group in range(40) for number in range(4))
    touch(tmp_path / "0-0.mp4")
    file = annotate(tmp_path, f"path,label,group\n{lines}")
    sides: dict[str, set[str]] = {}
    for row in read_folder_index(tmp_path, annotations=file).table.to_pylist():
        sides.setdefault(row["source_group"], set()).add(row["split"])
    assert len(sides) == 40
    assert all(len(splits) == 1 for splits in sides.values())
    assert set().union(*sides.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.mp4,x\n", r"has the columns file, label; needed are path and labels"),
        ("path,class\na.mp4,x\n", r"has the columns path, class; needed are path and labels"),
        ("", r"has the columns none"),
        ("path,label\na.mp4,x\n../b.mp4,x\n", r"row 2 of .*'\.\./b\.mp4'.*under data\.root"),
        ("path,label\nsub/../../b.mp4,x\n", r"row 1 of"),
        ("path,label\n/etc/passwd,x\n", r"row 1 of .*'/etc/passwd'"),
        ("path,label\nC:\\videos\\a.mp4,x\n", r"row 1 of"),
        ("path,label\n,x\n", r"row 1 of .*path ''"),
        ("path,label\na.mp4,x\n./a.mp4,y\n", r"row 2 of .*repeats the path 'a\.mp4'.*\|"),
        ("path,label\na.mp4,\n", r"row 1 of .*no label"),
        ("path,label\na.mp4\n", r"row 1 of .*has 1 cell where the header has 2"),
        ("path,label,split\na.mp4,x,practice\n", r"row 1 of .*'practice'; allowed are train, validation"),
        ("path,label,split\na.mp4,x,train\nb.mp4,x,\n", r"row 2 of .*split ''"),
    ],
)
def test_faulty_annotations_are_refused_with_row_and_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_folder_index(tmp_path, annotations=annotate(tmp_path, text))


def test_files_that_are_no_annotations_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    (tmp_path / "bad.parquet").write_bytes(b"not a parquet file")
    (tmp_path / "bad.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    for name in ("bad.parquet", "bad.csv"):
        with pytest.raises(UserError, match=rf"{re.escape(name)} cannot be read"):
            read_folder_index(tmp_path, annotations=tmp_path / name)
    with pytest.raises(DatasetNotFoundError, match=r"absent\.csv, which is not a file"):
        read_folder_index(tmp_path, annotations=tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        ("a/b.mp4", False),
        ("a/..b.mp4", False),
        ("a/../b.mp4", True),
        ("..", True),
        ("a\\..\\b", True),
        ("/a", True),
        ("\\\\host\\a", True),
        ("c:a", True),
    ],
)
def test_paths_that_leave_the_root(path: str, leaves: bool) -> None:
    assert leaves_root(path) is leaves


def test_nothing_found_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="absent, which is not a folder"):
        read_folder_index(tmp_path / "absent")
    touch(tmp_path / "loose.mp4")
    with pytest.raises(DatasetNotFoundError, match=r"root/CLASS/video\.mp4.*data\.annotations"):
        read_folder_index(tmp_path)
    (tmp_path / "annotations.csv").write_text("path,label\ngone.mp4,x\n", "utf-8")
    with pytest.raises(DatasetNotFoundError, match=r"none of the 1 file.*data\.root"):
        read_folder_index(tmp_path, annotations=tmp_path / "annotations.csv")


def test_the_data_module_reads_the_folder_and_its_videos_can_be_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "train" / "run" / "1.mp4", frames=4)
    write_video(tmp_path / "test" / "walk" / "2.avi", frames=6)
    data = VideoFolder(tmp_path, name="mine")
    assert (data.num_classes, data.class_names, data.groups) == (2, ("run", "walk"), {})
    for split, frames in (("train", 4), ("test", 6)):
        (row,) = data.index.rows(split)  # type: ignore[arg-type]
        with open_video(data.index.video(row).path) as video:
            assert video.frames == frames
    assert str(data.index.identity) == "mine"


@pytest.mark.parametrize(
    ("train", "other", "split"),
    [
        ("Train", "Test", "test"),
        ("training", "testing", "test"),
        ("train_256", "val_256", "validation"),
        ("train_set", "test set", "test"),
    ],
)
def test_splits_go_by_the_names_that_people_give_them(tmp_path: Path, train: str, other: str, split: str) -> None:
    for folder in (train, other):
        for label in ("clap", "jump"):
            touch(tmp_path / folder / label / f"{folder}.mp4")
    assert rows(read_folder_index(tmp_path)) == {
        f"{folder}/{label}/{folder}.mp4": ([label], meant)
        for folder, meant in ((train, "train"), (other, split))
        for label in ("clap", "jump")
    }


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/a", "Training/a"], r"2 folders for the split train: Training, train\."),
        (["training/day 1", "running/day 1"], r"holds training, which is the name of a split .* beside running"),
        (["train", "test"], r"holds the splits test, train and no class folders"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_refused(tmp_path: Path, folders: list[str], message: str) -> None:
    for folder in folders:
        touch(tmp_path / folder / "a.mp4")
    with pytest.raises(UserError, match=message):
        read_folder_index(tmp_path)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for name in ("a/1.mp4", "b/1.TS", "b/2.MTS", "b/3.gif", "c/notes.txt", "a/2.xyz", "a/3.xyz"):
        touch(root / name)
    (root / "empty").mkdir()
    touch(elsewhere / "day 2.mp4")
    (root / "a/linked").symlink_to(elsewhere)
    (root / "a/around").symlink_to(root / "a")
    (root / "b/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    index = read_folder_index(root)
    assert sorted(rows(index)) == ["a/1.mp4", "a/linked/day 2.mp4", "b/1.TS", "b/2.MTS", "b/3.gif", "b/gone.mp4"]
    assert index.missing() == ["b/gone.mp4"]
    said = caplog.text
    assert "without a video become no classes: c, empty" in said
    assert "2 files in" in said
    assert "2 .xyz" in said


def test_names_that_are_not_utf8_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "a/good.mp4")
    (tmp_path / "a/good.mp4").rename(os.fsdecode(bytes(tmp_path / "a") + b"/caf\xe9.mp4"))
    touch(tmp_path / "a/good.mp4")
    assert sorted(rows(read_folder_index(tmp_path))) == ["a/good.mp4"]
    assert r"1 video in" in caplog.text
    assert r"caf\udce9.mp4" in caplog.text
    (tmp_path / "a").rename(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    with pytest.raises(UserError, match=r"caf\\udce9' has a name that is not UTF-8 or holds control"):
        read_folder_index(tmp_path)


@pytest.mark.parametrize("sign", ["\x1b]0;owned\x07", "\n", "\r", "\x9b31m"])
def test_names_that_a_terminal_would_obey_are_left_out_or_refused(
    tmp_path: Path, sign: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a/good.mp4", f"a/x{sign}.mp4", "b/good.mp4"):
        touch(tmp_path / name)
    (tmp_path / "c").mkdir()
    (tmp_path / f"c/x.{sign}").touch()
    assert sorted(rows(read_folder_index(tmp_path))) == ["a/good.mp4", "b/good.mp4"]
    assert "1 video in" in caplog.text
    assert all(record.getMessage().isprintable() for record in caplog.records)
    (tmp_path / "b").rename(tmp_path / f"b{sign}")
    with pytest.raises(UserError, match="or holds control characters; rename it"):
        read_folder_index(tmp_path)
