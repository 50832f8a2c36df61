import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.data.decode import open_video
from benchmark.data.sports1m import (
    Sports1M,
    describe_shares,
    find_videos,
    read_sports1m_index,
)
from benchmark.data.sports1m_lists import find_list, id_hashes, read_class_names, read_list
from benchmark.errors import DatasetNotFoundError, UserError
from tests.generators.videos import touch, write_video

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "sports1m"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"no Sports-1M lists at {REAL}")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
CLASSES = 487

Line = tuple[str, list[int]]


def random_lines(count: int, seed: int) -> list[Line]:
    """Distinct ids; 4.5% of the lines have two labels, a few three."""
    rng = np.random.default_rng(seed)
    ids = {"".join(LETTERS[letter] for letter in row) for row in rng.integers(0, 64, (count, 11))}
    several = rng.random(len(ids))
    labels = rng.integers(0, CLASSES, (len(ids), 3)).tolist()
    return [
        (name, row[: 3 if chance < 0.005 else 2 if chance < 0.045 else 1])
        for name, row, chance in zip(sorted(ids), labels, several, strict=True)
    ]


def write_list(path: Path, lines: Sequence[Line], *, address: str = "https://www.youtube.com/watch?v=") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{address}{name} {','.join(map(str, labels))}\n" for name, labels in lines), "utf-8")
    return path


def write_classes(folder: Path, count: int = CLASSES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.txt").write_text("".join(f"sport {number}\n" for number in range(count)), "utf-8")


def plain_hash(video_id: str, seed: int) -> int:
    """SplitMix64's finaliser over the two halves of an id, in Python's own integers."""
    state = seed
    for half in (video_id[:8], video_id[8:]):
        state ^= int.from_bytes(half.encode(), "little")
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return state


def plain_rows(
    train: Sequence[Line], test: Sequence[Line], seed: int, share: float
) -> dict[str, tuple[list[int], str]]:
    rows: dict[str, tuple[list[int], str]] = {}
    for name, labels in test:
        rows.setdefault(name, (labels, "test"))
    for name, labels in train:
        rows.setdefault(name, (labels, "validation" if plain_hash(name, seed) / 2**64 < share else "train"))
    return rows


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A training list of addresses and a test list of bare ids."""
    folder = tmp_path / "lists"
    write_classes(folder)
    write_list(folder / "train_partition.txt", random_lines(3000, seed=1))
    write_list(folder / "test_videos.txt", random_lines(800, seed=2), address="")
    return folder


def test_the_index_equals_what_a_plain_reader_finds(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.sports1m_lists._BLOCK_BYTES", 2**14)  # many blocks of a small file
    (tmp_path / "videos").mkdir()
    for seed, share in ((0, 1 / 8), (7, 0.4), (0, 0)):
        index = read_sports1m_index(tmp_path / "videos", lists=lists, split_seed=seed, validation_share=share)
        expected = plain_rows(random_lines(3000, seed=1), random_lines(800, seed=2), seed, share)
        found = {row["video_id"]: (row["labels"], row["split"]) for row in index.table.to_pylist()}
        assert found == expected
        assert len(index) == len(expected) == index.official_videos == 3800
    assert index.class_names == tuple(f"sport {number}" for number in range(CLASSES))
    assert (str(index.identity), index.class_groups) == ("Sports-1M", None)
    assert len(index.missing()) == 3800
    assert index.table["source_group"].null_count == 3800


def test_hashes_equal_a_plain_reference_and_spread_evenly() -> None:
    names = [name for name, _ in random_lines(20_000, seed=5)]
    hashes = id_hashes(pa.array(names), 11)
    assert hashes[:200].tolist() == [plain_hash(name, 11) for name in names[:200]]
    assert id_hashes(pa.array(names).slice(50, 20), 11).tolist() == hashes[50:70].tolist()
    assert id_hashes(pa.array([], pa.string()), 11).tolist() == []
    counts = np.bincount((hashes >> np.uint64(60)).astype(int), minlength=16)
    # 1250 expected in each of 16 bins, standard deviation 34.
    assert np.abs(counts - 1250).max() < 5 * 34


@needs_real_data
def test_the_real_test_list() -> None:
    classes = read_class_names(REAL)
    assert (len(classes), classes[0], classes[-1]) == (487, "boomerang", "model aircraft")
    table = read_list(find_list("test", REAL), len(classes))
    with (REAL / "test_videos.txt").open(encoding="utf-8") as lines:
        expected = [line.split() for line in lines]
    assert table["video_id"].to_pylist() == [row[0] for row in expected]
    assert table["labels"].to_pylist() == [[int(label) for label in row[1].split(",")] for row in expected]
    several = sum("," in row[1] for row in expected)
    assert (len(table), round(100 * several / len(table), 2)) == (188_714, 4.08)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://www.youtube.com/watch?v=",
        "http://www.youtube.com/watch?v=",
        "http://youtube.com/watch?v=",
        "https://youtu.be/",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_addresses_and_ids_and_both_line_ends_are_read(tmp_path: Path, address: str, end: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(f"{address}-_a0Z345678 0{end}{end}{address}bbbbbbbbbbb 5,486,0".encode())
    table = read_list(path, CLASSES)
    assert table.to_pydict() == {"video_id": ["-_a0Z345678", "bbbbbbbbbbb"], "labels": [[0], [5, 486, 0]]}


@pytest.mark.parametrize(
    "line",
    [
        "https://www.youtube.com/watch?v=short 5",
        "https://example.org/watch?v=abcdefghijk 5",
        "abcdefghijkl 5",
        "abcdefghijk 487",
        "abcdefghijk -1",
        "abcdefghijk 5,",
        "abcdefghijk five",
        "abcdefghijk 5 6",
        "abcdefghijk",
        "abcdefghijk 99999999999999999999",
        "../../../etc 5",
        '"abcdefghijk" 5',
        "\u00e9bcdefghijk 5",
    ],
)
def test_a_malformed_line_is_named_with_file_number_and_content(tmp_path: Path, line: str) -> None:
    path = write_list(tmp_path / "list.txt", random_lines(40, seed=3))
    text = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*text[:20], "", line, *text[20:]]), "utf-8")
    with pytest.raises(UserError, match=rf"line 22 of {re.escape(str(path))} is {re.escape(repr(line))}.*0 to 486"):
        read_list(path, CLASSES)


def test_bytes_that_are_not_text_and_an_empty_list_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"abcdefghijk 5\n\xff\xfe\x00bcdefghijk 5\n")
    with pytest.raises(UserError, match="line 2 of"):
        read_list(path, CLASSES)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        read_list(path, CLASSES)


def test_of_repeated_ids_the_test_list_then_the_first_line_counts(
    lists: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "videos").mkdir()
    train, test = random_lines(3000, seed=1), random_lines(800, seed=2)
    train[100:100] = [(train[5][0], [1]), (test[3][0], [2]), (test[4][0], [3]), (train[5][0], [4])]
    test.append((test[0][0], [5]))
    write_list(lists / "train_partition.txt", train)
    write_list(lists / "test_videos.txt", test)
    with caplog.at_level(logging.INFO):
        index = read_sports1m_index(tmp_path / "videos", lists=lists)
    found = {row["video_id"]: (row["labels"], row["split"]) for row in index.table.to_pylist()}
    assert found == plain_rows(train, test, 0, 1 / 8)
    assert len(index) == index.official_videos == 3800
    assert "5 later lines" in caplog.text


def test_different_ids_with_the_same_hash_are_all_kept(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "benchmark.data.sports1m_lists.id_hashes", lambda ids, seed: np.arange(len(ids), dtype=np.uint64) // 4
    )
    index = read_sports1m_index(lists, lists=lists)
    assert len(set(index.table["video_id"].to_pylist())) == len(index) == 3800


def test_the_true_shares_stand_beside_the_papers(lists: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    index = read_sports1m_index(tmp_path / "videos", lists=lists)
    counts = Counter(index.table["split"].to_pylist())
    assert 0.09 < counts["validation"] / 3000 < 0.16
    line = describe_shares(index)
    for split in ("train", "validation", "test"):
        assert f"{counts[split]:,} {split} ({100 * counts[split] / 3800:.1f}%)" in line
    assert "70% train, 10% validation, 20% test" in line
    shown = Sports1M(tmp_path / "videos", lists=lists).summary()  # what each run prints
    assert shown.startswith(f"{line}\nSports-1M: 0 videos (none)")


def test_videos_are_found_flat_and_in_two_letter_folders(lists: Path, tmp_path: Path) -> None:
    root = tmp_path / "videos"
    names = [name for name, _ in random_lines(3000, seed=1)]
    touch(root / f"{names[0]}.mp4")
    touch(root / names[1][:2] / f"{names[1]}.webm")
    touch(root / f"{names[2]}.MKV")
    touch(root / f"{names[3]}.txt")
    touch(root / "zz" / f"{names[4]}.mp4")  # not the first two letters of its id
    touch(root / f"{names[5]}.mov")
    touch(root / names[5][:2] / f"{names[5]}.avi")
    touch(root / f"{names[6]}.avi")
    touch(root / f"{names[6]}.mp4")
    touch(root / f"{names[7]}x.mp4")
    touch(root / f"{names[8].swapcase()}.mp4")  # ids differ in case
    index = read_sports1m_index(root, lists=lists)
    held = {row["video_id"]: row["path"] for row in index.table.to_pylist() if row["path"] is not None}
    assert held == {
        names[0]: f"{names[0]}.mp4",
        names[1]: f"{names[1][:2]}/{names[1]}.webm",
        names[2]: f"{names[2]}.MKV",
        names[5]: f"{names[5][:2]}/{names[5]}.avi",
        names[6]: f"{names[6]}.mp4",
    }
    assert len(index.missing()) == 3795
    assert len(find_videos(root)) == 7


def test_the_data_module_offers_100_training_clips_and_its_videos_can_be_decoded(lists: Path, tmp_path: Path) -> None:
    name = random_lines(800, seed=2)[17][0]
    write_video(tmp_path / "videos" / name[:2] / f"{name}.mp4", frames=6)
    data = Sports1M(tmp_path / "videos", lists=lists)
    assert data.clips_per_video.train == 100
    assert data.num_classes == CLASSES
    (row,) = data.index.rows("test")
    with open_video(data.index.video(row).path) as video:
        assert video.frames == 6


def test_both_pairs_of_list_names_and_the_official_package_are_accepted(tmp_path: Path) -> None:
    for number, (train, test) in enumerate(
        [("train_partition.txt", "test_partition.txt"), ("train_videos.txt", "test_videos.txt")]
    ):
        root = tmp_path / f"package{number}"
        write_classes(root)
        write_list(root / "original" / train, random_lines(50, seed=1))
        write_list(root / "original" / test, random_lines(20, seed=2))
        assert len(read_sports1m_index(root)) == 70
        assert len(read_sports1m_index(root, lists=root / "original")) == 70


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_missing_list_is_named_in_both_ways(tmp_path: Path, name: str) -> None:
    write_classes(tmp_path)
    other = "test" if name == "train" else "train"
    write_list(tmp_path / f"{other}_partition.txt", random_lines(5, seed=1))
    with pytest.raises(DatasetNotFoundError, match=rf"{name}_partition\.txt nor {name}_videos\.txt.*data\.lists"):
        read_sports1m_index(tmp_path)


def test_missing_class_names_and_folders_are_named(lists: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"absent, not a folder"):
        read_sports1m_index(tmp_path / "absent", lists=lists)
    (lists / "labels.txt").write_bytes(b"Jud\xf4\n" * CLASSES)
    with pytest.raises(UserError, match=r"labels\.txt is not in UTF-8"):
        read_sports1m_index(tmp_path, lists=lists)
    (lists / "labels.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"labels\.txt"):
        read_sports1m_index(tmp_path, lists=lists)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_shares_out_of_range_are_refused(lists: Path, share: float) -> None:
    with pytest.raises(UserError, match="validation_share"):
        read_sports1m_index(lists, validation_share=share)


def test_lines_around_class_names_are_none(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfrun \r\n\tjump\r\n\r\n")
    assert read_class_names(tmp_path) == ("run", "jump")
    (tmp_path / "labels.txt").write_text("run\n\njump\n", "utf-8")
    with pytest.raises(UserError, match=r"line 2 of .*labels\.txt names no class; remove the line"):
        read_class_names(tmp_path)
