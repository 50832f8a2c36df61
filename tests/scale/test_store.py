import errno
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.data.sampling import ClipPlan
from benchmark.errors import UserError
from benchmark.protocol import Protocol
from benchmark.scale.ranges import Range, ShortError
from benchmark.scale.shards import Layout, unpacked_index
from benchmark.scale.sports1m_shards import Sports1MShards
from benchmark.scale.store import Store
from tests.generators.object_store import ObjectStore, object_store
from tests.generators.sports1m_set import ids, write_lists, write_videos
from tests.scale.jobs import prepare
from tests.scale.test_streaming import TAKEN, require_equal, shards

needs_s3 = pytest.mark.extra("s3fs")


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    (tmp_path / "remote" / "bucket").mkdir(parents=True)
    with object_store(tmp_path / "remote") as store:
        store.use(monkeypatch)
        yield store


def folder(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "local"))


def bucket(tmp_path: Path) -> Store:
    return Store("s3://bucket/some/place")


@pytest.mark.parametrize("make", [folder, pytest.param(bucket, marks=needs_s3)])
def test_files_of_a_store(make: Callable[[Path], Store], remote: ObjectStore, tmp_path: Path) -> None:
    store = make(tmp_path)
    assert store.names("") == set()
    store.write("a/one", b"0123456789")
    (tmp_path / "file").write_bytes(b"abc" * 1000)
    store.write("two", tmp_path / "file")
    assert store.names("a") == {"one"}
    assert "two" in store.names("")
    assert store.read("two") == b"abc" * 1000
    assert store.read_ranges([Range("a/one", 2, 5), Range("two", 0, 4), Range("a/one", 9, 10)]) == [
        b"234",
        b"abca",
        b"9",
    ]
    assert store.read_ranges([]) == []
    store.write("two", b"new")
    assert store.read("two") == b"new"
    with pytest.raises(FileNotFoundError):
        store.read("three")
    with pytest.raises(FileNotFoundError):
        store.read_ranges([Range("a/one", 0, 1), Range("three", 0, 4)])
    with pytest.raises(ShortError):
        store.read_ranges([Range("a/one", 5, 20)])


def test_a_store_over_http_is_for_reading(remote: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "remote" / "one").write_bytes(b"0123456789")
    store = Store(remote.address, patience_s=0.1)
    assert store.read_ranges([Range("one", 2, 5), Range("one", 0, 1)]) == [b"234", b"0"]
    with pytest.raises(FileNotFoundError):
        store.read("two")
    with pytest.raises(UserError, match="for reading alone"):
        store.write("two", b"")


@needs_s3
def test_a_store_that_fails_for_a_while_is_waited_for_and_then_given_up(remote: ObjectStore) -> None:
    store = Store("s3://bucket", patience_s=60)
    store.write("one", b"0123456789")
    remote.fails_until = time.monotonic() + 2
    assert store.read_ranges([Range("one", 0, 3)]) == [b"012"]
    remote.fails_until = time.monotonic() + 3600
    with pytest.raises(UserError, match=r"the store s3://bucket failed for 1 s \(.*\); try again when it answers"):
        Store("s3://bucket", patience_s=1).read("one")
    remote.fails_until = 0.0


def test_a_folder_that_fails_for_a_while_is_waited_for_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file system of other machines does, at the moment when a file takes its name."""
    faults = [OSError(errno.EIO, "no answer"), OSError(errno.ESTALE, "stale handle")]
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if faults:
            raise faults.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    store = Store(str(tmp_path / "store"), patience_s=60)
    store.write("a/one", b"0123456789")
    assert not faults
    assert store.names("a") == {"one"}
    faults += [OSError(errno.EIO, "no answer")] * 1000
    with pytest.raises(UserError, match=r"failed for 1 s \(OSError: .*no answer\); try again when it answers"):
        Store(str(tmp_path / "store"), patience_s=1).write("two", b"0")
    assert store.names("") == {"a"}


def test_a_copy_to_another_file_system_does_not_go_through_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_system(*names: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    (tmp_path / "file").write_bytes(b"abc" * 1000)
    monkeypatch.setattr("os.link", other_system)
    with monkeypatch.context() as patch:
        patch.delattr(Path, "read_bytes")
        Store(str(tmp_path / "store"), patience_s=0).write("one", tmp_path / "file")
    assert (tmp_path / "store" / "one").read_bytes() == b"abc" * 1000


@pytest.mark.parametrize("make", [folder, pytest.param(bucket, marks=needs_s3)])
def test_sizes_of_files(make: Callable[[Path], Store], remote: ObjectStore, tmp_path: Path) -> None:
    store = make(tmp_path)
    assert store.sizes("a") == {}
    store.write("a/one", b"0123456789")
    store.write("a/two", b"")
    assert store.sizes("a") == {"one": 10, "two": 0}


@needs_s3
@pytest.mark.parametrize(("name", "value"), [("AWS_PROFILE", "nosuch"), ("AWS_ENDPOINT_URL", "garbage")])
def test_an_environment_that_means_nothing_is_one_message(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=rf"the store s3://bucket/{name} cannot be used: .*{value}.*; correct the env"):
        Store(f"s3://bucket/{name}")


def test_a_store_that_cannot_be_made_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As below /proc."""

    def fails(self: Path, *given: object, **options: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "mkdir", fails)
    with pytest.raises(UserError, match=r"cannot be made .*; give a folder that can be made"):
        Store(str(tmp_path / "store")).write("one", b"0")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_waiting_for_what_a_user_has_to_change_is_left_out(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(UserError, match=rf"the store {place} cannot be used: .*; name another folder"):
            Store(str(place)).write("one", b"0")

    def fails(self: Path, target: Path) -> Path:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(UserError, match=f"cannot be used: {os.strerror(number)}; name another folder or make room"):
        Store(str(tmp_path / "store")).write("one", b"0")


@needs_s3
def test_keys_that_are_missing_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be used: Unable to locate credentials; set AWS_ACCESS_KEY_ID"):
        Store("s3://of-nobody/store").write("one", b"0")


@needs_s3
def test_a_bucket_that_is_not_there_is_one_message(remote: ObjectStore) -> None:
    store = Store("s3://other/place")
    assert store.names("shards") == set()
    with pytest.raises(FileNotFoundError):
        store.read("settings.json")
    with pytest.raises(UserError, match=r"the store s3://other/place is not there .*a bucket that is there"):
        store.write("settings.json", b"0")


@needs_s3
def test_a_job_into_s3_and_training_from_it_are_those_of_a_folder(remote: ObjectStore, tmp_path: Path) -> None:
    names = ids(10)
    write_lists(tmp_path / "lists", names, tests=3)
    write_videos(tmp_path / "videos", names)
    prepare(tmp_path / "lists", tmp_path / "videos", Store(str(tmp_path / "exact")), tmp_path / "work0")
    prepare(tmp_path / "lists", tmp_path / "videos", Store("s3://bucket/exact"), tmp_path / "work1")
    for file in (tmp_path / "exact").rglob("*"):
        if file.is_file():
            there = tmp_path / "remote" / "bucket" / "exact" / file.relative_to(tmp_path / "exact")
            assert there.read_bytes() == file.read_bytes()
    near = shards(tmp_path)
    for workers in (0, 2):  # forked after this process has used its own connections
        far = Sports1MShards("s3://bucket/exact", clips_per_video=TAKEN, batch_size=5, num_workers=workers)
        far.serve(near.needs)
        for loader in ("train_dataloader", "test_dataloader"):
            assert require_equal(iter(getattr(far, loader)()), iter(getattr(near, loader)()))


@needs_s3
def test_no_more_is_fetched_than_frames_and_indexes(remote: ObjectStore, tmp_path: Path) -> None:
    names = ids(10)
    write_lists(tmp_path / "lists", names, tests=3)
    write_videos(tmp_path / "videos", names)
    prepare(tmp_path / "lists", tmp_path / "videos", Store("s3://bucket/exact"), tmp_path / "work")
    data = Sports1MShards("s3://bucket/exact", clips_per_video=TAKEN, batch_size=4, num_workers=0)
    loader = data.train_dataloader()  # all 16 frames of a clip
    _ = data.catalogue
    before = remote.bytes_given
    clips = defaultdict[int, list[int]](list)
    for batch in loader:
        for row, clip in zip(batch.rows.tolist(), batch.clips.tolist(), strict=True):
            clips[row].append(clip)
    given, rows = remote.bytes_given - before, [*clips]
    # What the store has to give at least: all frames of each clip, and what says where those are.
    least = 0
    for row in rows:
        shard, offset, index, end, frames, kept = data.places.numbers[row].tolist()
        block = (tmp_path / "remote/bucket/exact/shards" / f"{shard:06d}.shard").read_bytes()
        plan = ClipPlan(Protocol(), data.index.video(row).video_id, frames)
        layout = Layout.of(plan, kept, "exact")
        places = offset + unpacked_index(block[index:end], len(layout.sizes))
        least += end - index
        for clip in clips[row]:
            first = int(np.searchsorted(layout.numbers, plan.start(clip)))
            least += int(places[first + 16] - places[first])
    assert given == least


@needs_s3
@pytest.mark.parametrize("ahead", [False, True])
def test_the_next_batch_is_fetched_before_it_is_asked_for(ahead: bool, remote: ObjectStore, tmp_path: Path) -> None:
    names = ids(10)
    write_lists(tmp_path / "lists", names, tests=3)
    write_videos(tmp_path / "videos", names)
    prepare(tmp_path / "lists", tmp_path / "videos", Store("s3://bucket/exact"), tmp_path / "work")
    data = Sports1MShards("s3://bucket/exact", clips_per_video=TAKEN, batch_size=4, num_workers=0)
    _ = data.catalogue
    loader: Any = data.train_dataloader()
    if not ahead:
        loader.batch_sampler.workers = None
    fetched = [key for batch in list(loader.batch_sampler)[: 1 + ahead] for key in batch]
    wanted = len(fetched) + len({row for _, row, _ in fetched})  # the frames of each clip, the index of each video
    before = remote.requests
    _ = next(iter(loader))
    end = time.monotonic() + 20
    while remote.requests < before + wanted and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.2)  # in which more would come
    assert remote.requests - before == wanted


def test_a_library_that_is_not_there_is_named() -> None:
    code = """
import sys
sys.modules["s3fs"] = None
from benchmark.errors import UserError
from benchmark.scale.store import Store
try:
    Store("s3://bucket")
except UserError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert "the store s3://bucket needs s3fs" in said
    assert "pip install 'clipbench[scale]'" in said
