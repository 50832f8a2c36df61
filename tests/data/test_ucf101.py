import math
import re
from collections import Counter
from pathlib import Path

import pytest

from benchmark.data.decode import open_video
from benchmark.data.ucf101 import (
    UCF101,
    find_lists,
    find_videos,
    read_classes,
    read_fold,
    read_ucf101_index,
    validation_groups,
)
from benchmark.errors import DatasetNotFoundError, UserError
from tests.generators.ucf101_lists import listed_line, write_lists
from tests.generators.videos import touch, write_video

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ucf101"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"no UCF-101 at {REAL}")
COMPLETE_CLASSES = ["Archery", "BasketballDunk", "HorseRace", "PlayingPiano", "PlayingViolin", "Surfing"]

TRAIN = {
    "Archery": ["g01_c01", "g01_c02", "g02_c01", "g03_c01"],
    "HandstandPushups": ["g01_c01", "g02_c01"],
    "YoYo": ["g05_c01", "g05_c02"],
}
TEST = {"Archery": ["g08_c01"], "HandstandPushups": ["g09_c01"], "YoYo": ["g10_c01"]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Lists beside the videos; every listed video is there as an .avi in its class folder."""
    write_lists(tmp_path / "ucfTrainTestlist", TRAIN, TEST)
    for part in (TRAIN, TEST):
        for name, clips in part.items():
            for clip in clips:
                touch(tmp_path / "videos" / listed_line(name, clip))
    return tmp_path / "videos"


def test_the_classes_have_the_papers_five_groups() -> None:
    assert Counter(read_classes().values()) == {
        "Human-Object Interaction": 20,
        "Body-Motion Only": 16,
        "Human-Human Interaction": 5,
        "Playing Musical Instruments": 10,
        "Sports": 50,
    }


@needs_real_data
def test_the_classes_are_the_official_ones_in_the_official_order() -> None:
    official = (REAL / "ucfTrainTestlist" / "classInd.txt").read_text("utf-8").split()
    assert list(read_classes()) == official[1::2]
    groups = [line.split("\t") for line in (REAL / "groups.tsv").read_text("utf-8").splitlines()]
    assert read_classes() == {name: group for _, name, group in groups}


@needs_real_data
@pytest.mark.parametrize(("fold", "train", "test"), [(1, 529, 202), (2, 527, 204), (3, 517, 214)])
def test_six_complete_classes_of_the_real_dataset(fold: int, train: int, test: int) -> None:
    index = read_ucf101_index(REAL / "transcoded", fold=fold, classes=COMPLETE_CLASSES)
    assert len(index.rows("train")) + len(index.rows("validation")) == train
    assert len(index.rows("test")) == test
    assert index.official_videos == train + test == 731
    assert index.missing() == []


@needs_real_data
@pytest.mark.parametrize("fold", [1, 2, 3])
def test_no_source_group_stands_on_two_sides_of_the_real_lists(fold: int) -> None:
    index = read_ucf101_index(REAL / "originals", fold=fold)
    columns = index.table.to_pydict()
    assert len(index) == index.official_videos == 13_320
    sides: dict[str, set[str]] = {}
    for video_id, split, group in zip(columns["video_id"], columns["split"], columns["source_group"], strict=True):
        # The group again, from the file name alone.
        source = re.search(r"_(g\d\d)_c\d\d$", video_id)
        assert source is not None
        assert group.endswith(f"/{source[1]}")
        sides.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in sides.values())
    validation = Counter(group.split("/")[0] for group, splits in sides.items() if splits == {"validation"})
    training = Counter(group.split("/")[0] for group, splits in sides.items() if splits == {"train"})
    assert set(validation) == set(training) == set(read_classes())
    # A sixteenth of 18 or so source groups is 1.
    assert all(count == 1 for count in validation.values())


@needs_real_data
def test_originals_and_transcoded_copies_are_the_same_videos() -> None:
    originals = find_videos(REAL / "originals")
    assert len(originals) == 150
    assert set(originals) <= set(find_videos(REAL / "transcoded"))
    assert all(path.endswith(".avi") for path in originals.values())


def test_a_fold_has_labels_splits_and_source_groups_from_the_lists(tree: Path) -> None:
    index = read_ucf101_index(tree, fold=2, classes=["YoYo", "Archery", "HandstandPushups"], validation_share=0)
    assert index.class_names == ("Archery", "HandstandPushups", "YoYo")
    assert index.class_groups == ("Sports", "Body-Motion Only", "Human-Object Interaction")
    assert index.groups() == {"Sports": [0], "Body-Motion Only": [1], "Human-Object Interaction": [2]}
    assert (index.identity.dataset, index.identity.fold, index.identity.classes) == (
        "UCF-101",
        2,
        ("Archery", "HandstandPushups", "YoYo"),
    )
    columns = index.table.to_pydict()
    assert columns["labels"] == [[0]] * 4 + [[1]] * 2 + [[2]] * 2 + [[0], [1], [2]]
    assert columns["split"] == ["train"] * 8 + ["test"] * 3
    assert columns["video_id"][4] == "v_HandStandPushups_g01_c01"
    assert columns["source_group"][4:8] == ["HandstandPushups/g01", "HandstandPushups/g02", "YoYo/g05", "YoYo/g05"]
    assert columns["path"][4] == "HandstandPushups/v_HandStandPushups_g01_c01.avi"
    assert index.official_videos == 11


def test_a_subset_is_part_of_the_identity_and_renumbers_the_labels(tree: Path) -> None:
    index = read_ucf101_index(tree, classes=["YoYo"])
    assert index.identity.classes == ("YoYo",)
    assert index.table["labels"].to_pylist() == [[0]] * 3
    assert index.official_videos == 3
    assert read_ucf101_index(tree).identity.classes is None
    assert read_ucf101_index(tree, classes=list(read_classes())).identity == read_ucf101_index(tree).identity


def test_files_are_found_flat_transcoded_in_other_case_and_in_the_archives_folder(tmp_path: Path) -> None:
    write_lists(tmp_path / "ucfTrainTestlist", TRAIN, TEST)
    touch(tmp_path / "v_Archery_g01_c01.mp4")
    touch(tmp_path / "Archery" / "v_Archery_g01_c02.MP4")
    touch(tmp_path / "HandStandPushups" / "v_HandstandPushups_g01_c01.avi")
    touch(tmp_path / "UCF-101" / "YoYo" / "v_YoYo_g05_c01.avi")
    touch(tmp_path / "YoYo" / "v_YoYo_g05_c01.mp4")
    touch(tmp_path / "YoYo" / ".v_YoYo_g05_c02.avi")
    touch(tmp_path / "YoYo" / "v_YoYo_g05_c02.txt")
    index = read_ucf101_index(tmp_path)
    rows = index.table.to_pylist()
    held = {row["video_id"]: row["path"] for row in rows if row["path"] is not None}
    assert held == {
        "v_Archery_g01_c01": "v_Archery_g01_c01.mp4",
        "v_Archery_g01_c02": "Archery/v_Archery_g01_c02.MP4",
        "v_HandStandPushups_g01_c01": "HandStandPushups/v_HandstandPushups_g01_c01.avi",
        "v_YoYo_g05_c01": "UCF-101/YoYo/v_YoYo_g05_c01.avi",
    }
    assert len(index.missing()) == 7


def test_validation_is_whole_source_groups_of_every_class_that_has_two(tree: Path) -> None:
    for seed in range(20):
        columns = read_ucf101_index(tree, split_seed=seed).table.to_pydict()
        rows = list(zip(columns["source_group"], columns["split"], strict=True))
        for name, expected in (("Archery", 1), ("HandstandPushups", 1), ("YoYo", 0)):
            held_out = {group for group, split in rows if split == "validation" and group.startswith(name)}
            kept = {group for group, split in rows if split == "train" and group.startswith(name)}
            assert len(held_out) == expected
            assert kept
            assert not held_out & kept


def test_the_validation_groups_follow_share_and_seed_and_nothing_else() -> None:
    names = [f"{name}/g{number:02d}" for name in ("A", "B", "C") for number in range(1, 19)]
    for share in (0.0, 0.01, 1 / 8, 0.5, 0.99):
        chosen = validation_groups(names, share, seed=3)
        expected = 0 if share == 0 else min(max(1, math.floor(share * 18 + 0.5)), 17)
        assert Counter(name[0] for name in chosen) == (
            {"A": expected, "B": expected, "C": expected} if expected else {}
        )
        assert validation_groups(reversed(names * 2), share, seed=3) == chosen
    distinct = {frozenset(validation_groups(names, 1 / 8, seed=seed)) for seed in range(30)}
    assert len(distinct) > 25
    times = Counter(name for seed in range(2000) for name in validation_groups(names, 1 / 9, seed=seed))
    # Each of 18 is one of the 2 held out with probability 1/9: 222 of 2000 with a standard deviation of 14.
    assert all(abs(count - 2000 / 9) < 5 * 14 for count in times.values())
    assert len(times) == len(names)


def test_the_validation_set_does_not_depend_on_the_files_held(tree: Path) -> None:
    full = read_ucf101_index(tree).table.select(["video_id", "split"])
    for file in sorted(tree.rglob("*.avi"))[::2]:
        file.unlink()
    assert read_ucf101_index(tree).table.select(["video_id", "split"]).equals(full)


def test_the_data_module_reads_the_index_and_its_videos_can_be_decoded(tmp_path: Path) -> None:
    write_lists(tmp_path / "lists", TRAIN, TEST)
    write_video(tmp_path / "videos" / "Archery" / "v_Archery_g01_c01.avi", frames=7)
    write_video(tmp_path / "videos" / "YoYo" / "v_YoYo_g10_c01.mp4", frames=9)
    data = UCF101(tmp_path / "videos", lists=tmp_path / "lists", fold=3, classes=["Archery", "YoYo"])
    assert data.num_classes == 2
    assert data.groups == {"Sports": [0], "Human-Object Interaction": [1]}
    frames = []
    for split in ("train", "validation", "test"):
        for row in data.index.rows(split):
            with open_video(data.index.video(row).path) as video:
                frames.append(video.frames)
    assert sorted(frames) == [7, 9]


def test_the_lists_are_looked_for_inside_and_beside_the_videos(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    with pytest.raises(DatasetNotFoundError, match=r"data\.lists"):
        find_lists(root)
    beside = write_lists(tmp_path / "ucfTrainTestlist", TRAIN, TEST)
    assert find_lists(root).samefile(beside)
    inside = write_lists(root / "ucfTrainTestlist", TRAIN, TEST)
    assert find_lists(root) == inside
    assert find_lists(root, tmp_path) == beside
    with pytest.raises(DatasetNotFoundError, match="elsewhere"):
        find_lists(root, tmp_path / "elsewhere")


@pytest.mark.parametrize("fold", [0, 4, -1])
def test_other_folds_are_refused(tree: Path, fold: int) -> None:
    with pytest.raises(UserError, match=rf"data\.fold is {fold}.*1, 2 and 3"):
        read_ucf101_index(tree, fold=fold)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_shares_out_of_range_are_refused(tree: Path, share: float) -> None:
    with pytest.raises(UserError, match=r"validation_share"):
        read_ucf101_index(tree, validation_share=share)


def test_an_unknown_class_is_refused_with_the_names_allowed(tree: Path) -> None:
    with pytest.raises(UserError, match=r"Archary.*Archery"):
        read_ucf101_index(tree, classes=["Archary"])


def test_a_folder_without_a_listed_video_says_where_it_looked(tree: Path) -> None:
    empty = tree.parent / "empty"
    empty.mkdir()
    with pytest.raises(DatasetNotFoundError, match=rf"{re.escape(str(empty))}.*data\.root"):
        read_ucf101_index(empty)
    with pytest.raises(DatasetNotFoundError, match="absent, which is not a folder"):
        read_ucf101_index(tree.parent / "absent")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Archery/v_Archery_g01_c01.avi 5", "line 2 of .*number 5.*official number is 3"),
        ("Archery/v_Archery_g01_c01.avi 3 3", "line 2 of .*expected"),
        ("Archary/v_Archary_g01_c01.avi 3", "line 2 of .*official classes"),
        ("../v_Archery_g01_c01.avi 3", "line 2 of .*expected"),
        ("Archery/v_Archery_g07_c01.avi 3", "line 2 of .*repeats v_Archery_g07_c01"),
    ],
)
def test_malformed_lists_name_the_line(tree: Path, line: str, message: str) -> None:
    lists = tree.parent / "ucfTrainTestlist"
    (lists / "trainlist01.txt").write_text(f"Archery/v_Archery_g07_c01.avi 3\r\n{line}\r\n", "utf-8")
    with pytest.raises(UserError, match=message):
        read_ucf101_index(tree)


def test_a_video_for_training_and_testing_is_refused(tmp_path: Path) -> None:
    lists = write_lists(tmp_path, {"Archery": ["g01_c01"]}, {"Archery": ["g01_c01"]})
    with pytest.raises(UserError, match="v_Archery_g01_c01 is in the training and the test list"):
        read_fold(lists, 1)


def test_a_missing_list_file_is_named(tree: Path) -> None:
    (tree.parent / "ucfTrainTestlist" / "testlist02.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"testlist02\.txt"):
        read_ucf101_index(tree, fold=2)


def test_a_list_file_that_is_not_text_is_named(tree: Path) -> None:
    (tree.parent / "ucfTrainTestlist/trainlist01.txt").write_bytes(b"Archery/v_Archery_g01_c01.avi 1 \xff\n")
    with pytest.raises(UserError, match=r"trainlist01\.txt is not in UTF-8"):
        read_ucf101_index(tree)
