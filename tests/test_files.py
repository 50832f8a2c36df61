import hashlib
from pathlib import Path

import pytest

from benchmark.files import file_hash, whole, write_whole


@pytest.mark.parametrize("shared", [False, True])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "folder" / "file.json"
    write_whole(path, "first", shared=shared)

    def fail() -> None:
        with whole(path, shared=shared) as unfinished:
            unfinished.write_text("sec", "utf-8")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text("utf-8") == "first"
    assert [found.name for found in path.parent.iterdir()] == ["file.json"]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with whole(path) as unfinished:
        unfinished.write_text("of a process that was killed", "utf-8")
        (tmp_path / "kept").write_bytes(unfinished.read_bytes())
    (tmp_path / "kept").replace(unfinished)
    write_whole(path, "next")
    assert path.read_text("utf-8") == "next"
    assert [found.name for found in tmp_path.iterdir()] == ["file.json"]


def test_two_at_a_time_do_not_take_each_others_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with whole(path, shared=True) as first, whole(path, shared=True) as second:
        assert first != second
        first.write_text("first", "utf-8")
        second.write_text("second", "utf-8")
    assert path.read_text("utf-8") == "first"  # the inner one ends first


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    assert file_hash(tmp_path / "file") == hashlib.sha256(b"bytes").hexdigest()
