from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.folder import read_folder_index
from benchmark.data.found import FoundVideo
from benchmark.data.splits import SHARES, hashed_split, split_by_hash
from benchmark.errors import UserError
from tests.generators.scenes import write_scene
from tests.generators.videos import touch


def videos(label: str, count: int, group: int | None = None) -> list[FoundVideo]:
    """So many of a class; in groups of so many each."""
    return [
        FoundVideo(f"{label}/{number}.mp4", (label,), None, None if group is None else f"{label}/{number // group}")
        for number in range(count)
    ]


def test_without_groups_or_pairs_the_hash_of_the_path_decides() -> None:
    found = [*videos("a", 60), *videos("b", 60)]
    splits, joined = split_by_hash(found, (), 3)
    assert splits == [hashed_split(video.path, 3) for video in found]
    assert joined == 0


def test_what_shows_the_same_is_on_one_side_and_nothing_else_moves() -> None:
    found = videos("a", 200)
    before, _ = split_by_hash(found, (), 0)
    pairs = [(n, n + 100) for n in range(0, 100, 10)]
    after, joined = split_by_hash(found, pairs, 0)
    assert joined == 10
    assert all(after[one] == after[other] for one, other in pairs)
    paired = {row for pair in pairs for row in pair}
    assert [after[row] for row in range(200) if row not in paired] == [
        before[row] for row in range(200) if row not in paired
    ]
    chained, _ = split_by_hash(found, [(n, n + 1) for n in range(199)], 0)
    assert len(set(chained)) == 1


def test_groups_of_each_class_are_shared_out_by_videos() -> None:
    found = [*videos("a", 125, 5), *videos("b", 75, 3), *videos("c", 9, 3)]
    splits, _ = split_by_hash(found, (), 0)
    sides: dict[str | None, set[str]] = {}
    for video, split in zip(found, splits, strict=True):
        sides.setdefault(video.source_group, set()).add(split)
    assert all(len(held) == 1 for held in sides.values())
    counts = Counter((video.labels[0], split) for video, split in zip(found, splits, strict=True))
    for label, total, unit in (("a", 125, 5), ("b", 75, 3)):
        for split, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
            assert abs(counts[label, split] - share * total) <= unit
    assert {split for label, split in counts if label == "c"} == {"train", "validation", "test"}
    assert split_by_hash(found, (), 1)[0] != splits


def test_a_pair_joins_whole_groups() -> None:
    found = videos("a", 40, 4)
    splits, joined = split_by_hash(found, [(0, 39), (1, 38)], 0)
    assert joined == 1
    assert len(set(splits[:4] + splits[36:])) == 1


def test_the_folder_keeps_copies_and_groups_on_one_side_and_says_so(tmp_path: Path) -> None:
    for label in ("Run", "Jump"):
        for number in range(8):
            write_scene(tmp_path / label / f"v_{label}_g{number // 2:02d}_c{number % 2}.avi", 100 * len(label) + number)
    copy = tmp_path / "Run/v_Run_g00_c0.avi"
    (tmp_path / "Run/v_Run_g03_c9.avi").write_bytes(copy.read_bytes())
    index = read_folder_index(tmp_path, source_group=r"_(g\d+)_")
    held = index.table.to_pylist()
    assert {row["source_group"] for row in held} == {f"{c}/g{n:02d}" for c in ("Run", "Jump") for n in range(4)}
    sides: dict[str, set[str]] = {}
    for row in held:
        sides.setdefault(row["source_group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in sides.values())
    assert sides["Run/g00"] == sides["Run/g03"]
    assert "8 source groups each on one side, near-duplicates kept together (1 joined)" in index.summary()
    plain = read_folder_index(tmp_path)
    assert "without source groups (data.source_group), near-duplicates kept together (1 joined)" in plain.summary()
    (one,) = {
        row["split"] for row in plain.table.to_pylist() if row["video_id"].endswith(("Run_g00_c0.avi", "_c9.avi"))
    }
    assert one in {"train", "validation", "test"}


def test_a_column_of_the_table_may_be_the_source_group(tmp_path: Path) -> None:
    lines = [f"{n}.mp4,x,tape {n % 3},{'train' if n < 2 else 'test'}" for n in range(6)]
    touch(tmp_path / "0.mp4")
    (tmp_path / "table.csv").write_text("\n".join(["path,label,Reel,split", *lines]), "utf-8")
    index = read_folder_index(tmp_path, annotations=tmp_path / "table.csv", source_group="Reel")
    assert index.table["source_group"].to_pylist() == [f"tape {n % 3}" for n in range(6)]
    assert index.split_by == ""
    index = read_folder_index(tmp_path, annotations=tmp_path / "table.csv", source_group=r"^(\d)")
    assert index.table["source_group"].to_pylist() == [f"x/{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("pattern", "message"), [("_(g", "is neither a column of"), ("_(h\\d+)_", "is in none of 1 path")]
)
def test_a_pattern_that_finds_nothing_is_refused(tmp_path: Path, pattern: str, message: str) -> None:
    touch(tmp_path / "a/v_a_g01_c01.mp4")
    with pytest.raises(UserError, match=message):
        read_folder_index(tmp_path, source_group=pattern)


def test_what_joins_most_videos_is_trained_on() -> None:
    found = videos("a", 20)
    for seed in range(20):
        splits, joined = split_by_hash(found, [(0, other) for other in range(1, 18)], seed)
        assert joined == 17
        assert splits[:18] == ["train"] * 18
        assert set(splits) == {"train", "validation", "test"}


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_three_is_in_every_split_of_few_videos_and_of_large_groups(seed: int) -> None:
    nine = [*videos("a", 3), *videos("b", 3), *videos("c", 3)]
    splits, _ = split_by_hash(nine, (), seed)
    for first in (0, 3, 6):
        assert sorted(splits[first : first + 3]) == ["test", "train", "validation"]
    people = [
        FoundVideo(f"{label}/{person}_{number}.mp4", (label,), None, f"person {person}")
        for label in "abc"
        for person in range(8)
        for number in range(10)
    ]
    counts = Counter(zip((video.labels for video in people), split_by_hash(people, (), seed)[0], strict=True))
    for label in "abc":
        assert {split: counts[(label,), split] for split in SHARES} == {"train": 60, "validation": 10, "test": 10}
    # Three scenes of 12, 5 and 3 videos that look the same: the largest is trained on.
    scenes = [(0, n) for n in range(1, 12)] + [(12, n) for n in range(13, 17)] + [(17, 18), (18, 19)]
    splits, _ = split_by_hash(videos("a", 20), scenes, seed)
    assert splits == ["train"] * 12 + ["validation"] * 5 + ["test"] * 3


def test_where_each_class_was_in_every_split_it_stays_as_it_was() -> None:
    """Against the rule from before small data sets and large groups were shared out: none of these may move."""
    rng = np.random.default_rng(0)
    for seed in range(100):
        found = [*videos("a", int(rng.integers(10, 40))), *videos("b", int(rng.integers(10, 40)))]
        large = len(found) // 10 + 1
        pairs = [(0, other) for other in range(1, large + 1)]
        splits, _ = split_by_hash(found, pairs, seed)
        expected = [hashed_split(video.path, seed) for video in found]
        expected[: large + 1] = ["train"] * (large + 1)
        for label in "ab":
            rows = [row for row, video in enumerate(found) if video.labels == (label,)]
            if {expected[row] for row in rows} == {"train", "validation", "test"}:
                assert [splits[row] for row in rows] == [expected[row] for row in rows]


def test_a_split_that_stays_empty_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        write_scene(tmp_path / "Run" / f"{number}.avi", number)
    read_folder_index(tmp_path)
    assert "no video is in the" not in caplog.text
    (tmp_path / "Run/2.avi").unlink()
    read_folder_index(tmp_path)
    assert "no video is in the validation or test split: no class has three videos" in caplog.text
    assert "change data.source_group, or say which split" in caplog.text
