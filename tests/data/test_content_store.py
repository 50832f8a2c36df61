import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from benchmark.content import shared
from benchmark.data import content_store
from benchmark.data.content_store import RECORD, contents_of, contents_of_files
from benchmark.data.fingerprint import fingerprint_of
from benchmark.data.folder import read_folder_index
from tests.generators.scenes import write_scene
from tests.generators.videos import touch


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A store of the test's own."""
    folder = tmp_path_factory.mktemp("store")
    monkeypatch.setattr(content_store, "store_folder", lambda: folder)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    read: list[str] = []
    fingerprint = fingerprint_of

    def noted(path: Path) -> np.ndarray | None:
        read.append(path.name)
        return fingerprint(path)

    monkeypatch.setattr(content_store, "fingerprint_of", noted)
    return read


def test_a_video_is_read_once_until_it_changes(tmp_path: Path, calls: list[str]) -> None:
    for name, seed in (("a.avi", 1), ("b.avi", 2), ("c.avi", 1)):
        write_scene(tmp_path / name, seed)
    first = contents_of_files(tmp_path, ["a.avi", "b.avi", "c.avi"])
    assert sorted(calls) == ["a.avi", "b.avi", "c.avi"]
    again = contents_of_files(tmp_path, ["c.avi", "a.avi"])
    assert len(calls) == 3
    assert again.digests.tolist() == first.digests[[2, 0]].tolist()
    assert again.prints.tolist() == first.prints[[2, 0]].tolist()
    pairs = shared(first)
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.same_bytes.tolist()) == ([0], [2], [True])
    write_scene(tmp_path / "b.avi", 3)
    os.utime(tmp_path / "b.avi", ns=(1, 1))
    assert contents_of_files(tmp_path, ["b.avi"]).digests != first.digests[1]
    assert calls[3:] == ["b.avi"]


def test_files_that_are_absent_empty_or_broken_are_known_as_far_as_they_can_be(tmp_path: Path) -> None:
    touch(tmp_path / "empty.avi")
    (tmp_path / "broken.avi").write_bytes(b"no video")
    found = contents_of_files(tmp_path, ["absent.avi", "empty.avi", "broken.avi"])
    assert (found.digests != 0).tolist() == [False, False, True]
    assert not found.has_print.any()


def test_a_torn_record_is_written_over(tmp_path: Path, calls: list[str]) -> None:
    names = ["a.avi", "b.avi"]
    for seed, name in enumerate(names):
        write_scene(tmp_path / name, seed)
    whole = contents_of_files(tmp_path, names)
    (file,) = (path for path in content_store.store_folder().iterdir() if path.suffix != ".lock")
    held = file.read_bytes()
    assert len(held) == 2 * RECORD.itemsize == 176
    file.write_bytes(held[:-5])
    assert contents_of_files(tmp_path, names).prints.tolist() == whole.prints.tolist()
    assert len(file.read_bytes()) == 176
    assert len(calls) == 3


def test_a_lone_known_video_may_have_any_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scene(tmp_path / "a.avi", 1)
    monkeypatch.setattr(content_store, "video_key", lambda path: 2**64 - 1)
    first = contents_of_files(tmp_path, ["a.avi"])
    assert contents_of_files(tmp_path, ["a.avi"]).digests.tolist() == first.digests.tolist() != [0]


def test_of_many_videos_only_what_is_known_is_given(tmp_path: Path, calls: list[str]) -> None:
    for number in range(4):
        write_scene(tmp_path / "x" / f"{number}.avi", number)
    index = read_folder_index(tmp_path, name="made")
    calls.clear()
    for file in content_store.store_folder().iterdir():
        file.unlink()
    assert contents_of(index, most=3).digests.tolist() == [0, 0, 0, 0]
    assert calls == []
    contents_of_files(tmp_path, ["x/2.avi"])
    assert (contents_of(index, most=3).digests != 0).tolist() == [False, False, True, False]
    assert calls == ["2.avi"]
    assert (contents_of(index, most=None).digests != 0).all()


def test_where_the_cache_folder_takes_no_files_videos_are_still_read_once(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be", "utf-8")
    monkeypatch.setattr(content_store, "store_folder", lambda: tmp_path / "cache")
    write_scene(tmp_path / "videos/a.mp4", 1)
    write_scene(tmp_path / "videos/b.mp4", 2)
    first = contents_of_files(tmp_path / "videos", ["a.mp4", "b.mp4"])
    read = len(calls)
    again = contents_of_files(tmp_path / "videos", ["b.mp4", "a.mp4"])
    assert read == len(calls) == 2
    assert np.array_equal(first.prints, again.prints[::-1])


def test_a_lock_that_nobody_gives_back_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    monkeypatch.setattr(content_store, "_PATIENCE", 0.1)
    write_scene(tmp_path / "a.avi", 1)
    first = contents_of_files(tmp_path, ["a.avi"])
    (lock,) = content_store.store_folder().glob("*.lock")
    write_scene(tmp_path / "b.avi", 2)
    with FileLock(lock):
        both = contents_of_files(tmp_path, ["a.avi", "b.avi"])
        assert contents_of_files(tmp_path, ["b.avi"]).digests == both.digests[1:]
    assert both.digests[0] == first.digests[0]
    assert calls == ["a.avi", "b.avi"]


def test_the_folder_may_have_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"caf\xe9")
    write_scene(root / "x/a.avi", 1)
    write_scene(tmp_path / "plain/x/a.avi", 1)
    one, other = (contents_of_files(folder, ["x/a.avi"]) for folder in (root, tmp_path / "plain"))
    assert one.prints.tolist() == other.prints.tolist()
