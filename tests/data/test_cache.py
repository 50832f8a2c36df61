import gc
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.clip import ClipBatch
from benchmark.data import dataset
from benchmark.data.cache import FrameCache, video_key
from benchmark.data.dataset import ClipReader, Sample
from benchmark.data.decode import DecodeError
from benchmark.data.index import Video
from benchmark.errors import UserError
from benchmark.protocol import Protocol
from tests.data.test_datamodule import SmallVideos, attached
from tests.generators.encoded import encode
from tests.generators.indexes import small_index

fcntl = pytest.importorskip("fcntl", reason="the cache needs a POSIX system")

SIDE = 8
PROTOCOL = Protocol(frame_side=40)
OFFSETS = tuple(range(3, 13))


def picture(video: int, number: int) -> np.ndarray:
    """A frame that says which one it is."""
    return np.random.default_rng([video, number]).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def pictures(video: int, numbers: np.ndarray) -> np.ndarray:
    return np.stack([picture(video, int(number)) for number in numbers])


def small_cache(path: Path, frames: int = 1000) -> FrameCache:
    return FrameCache(path, SIDE, frames * SIDE * SIDE * 3)


def reader(path: Path, offsets: tuple[int, ...] = OFFSETS) -> ClipReader:
    return ClipReader(PROTOCOL, offsets, cache=FrameCache(path, 40, 10**8))


def same(one: Sample, other: Sample) -> bool:
    plain = (one.row, one.labels, list(one.starts), one.padded) == (
        other.row,
        other.labels,
        list(other.starts),
        other.padded,
    )
    return plain and one.frames.dtype == other.frames.dtype and np.array_equal(one.frames, other.frames)


def test_frames_come_back_as_they_went_in(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c")
    rng = np.random.default_rng(0)
    truth: set[tuple[int, int]] = set()
    for _ in range(60):
        video, numbers = int(rng.integers(1, 6)), np.unique(rng.integers(0, 60, 12))
        slots = held.find(video, numbers)
        assert [(video, int(number)) in truth for number in numbers] == (slots >= 0).tolist()
        if (slots >= 0).any():
            np.testing.assert_array_equal(held.read(slots[slots >= 0]), pictures(video, numbers[slots >= 0]))
        held.add(video, 60 + video, numbers, pictures(video, numbers))
        truth |= {(video, int(number)) for number in numbers}
    assert held.used_bytes == len(truth) * SIDE * SIDE * 3  # what was there already is not kept twice
    assert [held.length(video) for video in range(1, 8)] == [61, 62, 63, 64, 65, None, None]


def test_what_is_read_cannot_be_written_to(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c")
    held.add(1, 5, np.arange(5), pictures(1, np.arange(5)))
    with pytest.raises(ValueError, match="read-only"):
        held.read(held.find(1, np.arange(5)))[:] = 0


def test_frames_whose_hashes_are_equal_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FrameCache, "_hashes", lambda _self, _video, numbers: np.full(len(numbers), 7, np.uint64))
    held = small_cache(tmp_path / "c", frames=40)
    for video in (1, 2, 3):
        held.add(video, 10, np.arange(10), pictures(video, np.arange(10)))
    for video in (3, 1, 2):
        slots = held.find(video, np.array([9, 0, 4, 11]))
        assert (slots[:3] >= 0).all()
        assert slots[3] == -1
        np.testing.assert_array_equal(held.read(slots[:3]), pictures(video, np.array([9, 0, 4])))


def test_a_full_cache_keeps_what_it_has(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c", frames=7)
    for first in (0, 5, 10):
        numbers = np.arange(first, first + 5)
        held.add(1, 99, numbers, pictures(1, numbers))
    slots = held.find(1, np.arange(15))
    assert (slots >= 0).tolist() == [True] * 7 + [False] * 8
    np.testing.assert_array_equal(held.read(slots[:7]), pictures(1, np.arange(7)))
    assert held.used_bytes == held.capacity_bytes
    assert "is full; raise data.cache_gb" in held.summary()
    blocks = (tmp_path / "c").stat().st_blocks * 512
    assert blocks < held.capacity_bytes + 100_000  # counters and tables beside the frames


def test_one_who_uses_a_cache_keeps_no_writer_out_where_both_kinds_of_lock_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS, BSD and network file systems `flock` keeps `lockf` out, as Linux's locks of an open file do."""

    def of_the_open_file(descriptor: int, operation: int) -> None:
        kind = fcntl.F_RDLCK if operation & fcntl.LOCK_SH else fcntl.F_WRLCK
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, 0, 0, 0, 0))

    if not hasattr(fcntl, "F_OFD_SETLK"):
        pytest.skip("no locks of an open file here")
    monkeypatch.setattr(fcntl, "flock", of_the_open_file)
    first, second = small_cache(tmp_path / "c"), small_cache(tmp_path / "c")
    with pytest.raises(BlockingIOError):  # or this would show nothing
        fcntl.lockf(first._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for video, held in enumerate((first, second), start=1):
        held.add(video, 9, np.arange(3), pictures(video, np.arange(3)))
        assert (held.find(video, np.arange(3)) >= 0).all()


def test_some_space_is_left_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = small_cache(tmp_path / "c")
    frame_bytes = SIDE * SIDE * 3
    space, free = os.fstatvfs(held._file), 10**9 + 5 * frame_bytes  # room for five frames beside what is left alone

    def look(_file: int) -> os.statvfs_result:
        values = list(space)
        values[1:5] = 1, 10**12, 10**12, free  # f_frsize, f_blocks, f_bfree, f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", look)
    held.add(1, 9, np.arange(5), pictures(1, np.arange(5)))
    assert "no more" not in held.summary()
    free -= 1
    held.add(2, 9, np.arange(5), pictures(2, np.arange(5)))
    assert (held.find(1, np.arange(5)) >= 0).all()
    assert (held.find(2, np.arange(5)) < 0).all()
    assert f"it kept no more, since what is free in {tmp_path} is left for others" in held.summary()


def test_a_cache_that_is_no_longer_used_holds_no_file_open(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c")
    file = held._file
    assert os.path.samestat(os.fstat(file), (tmp_path / "c").stat())
    del held
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
    assert not [link for link in Path("/proc/self/fd").glob("*") if os.path.realpath(link) == str(tmp_path / "c")]


def test_a_full_disk_ends_the_filling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = small_cache(tmp_path / "c")
    held.add(1, 9, np.arange(3), pictures(1, np.arange(3)))

    def no_room(_file: int, _start: int, _count: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    held.add(1, 9, np.arange(9), pictures(1, np.arange(9)))
    assert (held.find(1, np.arange(9)) >= 0).tolist() == [True] * 3 + [False] * 6
    with pytest.raises(UserError, match=r"cannot use .*No space left.*change data.cache_dir"):
        small_cache(tmp_path / "other")


def test_a_clip_from_the_cache_is_the_decoded_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = small_index(tmp_path)
    plain, cached = ClipReader(PROTOCOL, OFFSETS), reader(tmp_path / "c")
    jobs = [(row, [clip]) for row in (0, 1, 3, 5) for clip in range(6)] + [(0, [3, 0, 3]), (3, list(range(20)))]
    expected = [plain.read(index.video(row), clips) for row, clips in jobs]
    for (row, clips), sample in zip(jobs, expected, strict=True):
        assert same(cached.read(index.video(row), clips), sample)

    def refuse(*_: object) -> None:
        raise AssertionError("the file was opened again")

    monkeypatch.setattr(dataset, "open_video", refuse)
    for (row, clips), sample in zip(jobs, expected, strict=True):
        assert same(cached.read(index.video(row), clips), sample)
    assert same(reader(tmp_path / "c").read(index.video(0), [2]), expected[2])  # another process would see it too


def test_a_changed_file_is_another_video(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4", frames=30)
    video, cached = Video(0, "v", path, (0,)), reader(tmp_path / "c")
    before = cached.read(video, [0, 1])
    encode(path, frames=50)
    after = cached.read(video, [0, 1])
    assert same(after, ClipReader(PROTOCOL, OFFSETS).read(video, [0, 1]))
    assert not same(before, after)
    key = video_key(path)
    os.utime(path, ns=(1, 1))
    assert video_key(path) != key


def test_a_vanished_or_broken_file_says_why(tmp_path: Path) -> None:
    cached = reader(tmp_path / "c")
    with pytest.raises(DecodeError, match="does not exist"):
        cached.read(Video(0, "v", tmp_path / "none.mp4", ()), [0])
    (tmp_path / "bad.mp4").write_bytes(b"not a video" * 100)
    for _ in range(2):
        with pytest.raises(DecodeError, match="pyav cannot read it"):
            cached.read(Video(0, "v", tmp_path / "bad.mp4", ()), [0])


WRITER = """
import sys
from pathlib import Path
import numpy as np
from tests.data.test_cache import pictures, small_cache
held, rng = small_cache(Path(sys.argv[1]), 3000), np.random.default_rng(int(sys.argv[2]))
while True:
    video, numbers = int(rng.integers(1, 30)), np.unique(rng.integers(0, 100, 10))
    slots = held.find(video, numbers)
    found = slots >= 0
    assert not found.any() or np.array_equal(held.read(slots[found]), pictures(video, numbers[found]))
    held.add(video, 100, numbers, pictures(video, numbers))
    print(held.used_bytes, flush=True)
"""


def test_processes_that_are_killed_at_any_moment_leave_nothing_wrong(tmp_path: Path) -> None:
    path, root = tmp_path / "c", Path(__file__).resolve().parents[2]
    for turn in range(2):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), str(turn * 2 + number)],
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
            for number in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline(), writer.stderr.read().decode() if writer.stderr else ""
        time.sleep(0.2 * (turn + 1))
        for writer in writers:
            writer.kill()
            _, said = writer.communicate()
            assert writer.returncode, said.decode()
    held, kept = small_cache(path, 3000), 0
    for video in range(1, 30):
        slots = held.find(video, np.arange(100))
        kept += (slots >= 0).sum()
        if (slots >= 0).any():
            np.testing.assert_array_equal(held.read(slots[slots >= 0]), pictures(video, np.flatnonzero(slots >= 0)))
            assert held.length(video) in (100, None)
    assert kept > 100
    held.add(99, 5, np.arange(5), pictures(99, np.arange(5)))  # no lock was left behind
    assert (held.find(99, np.arange(5)) >= 0).all() or held.used_bytes == held.capacity_bytes


def batches(data: SmallVideos, epochs: int) -> list[ClipBatch]:
    found = []
    loaders = [data.train_dataloader(), data.val_dataloader()]
    for epoch in range(epochs):
        loaders[0].batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        found += [batch for loader in loaders for batch in loader]
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_give_the_same_bytes_with_a_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    (tmp_path / "videos").mkdir()
    videos = small_index(tmp_path / "videos")
    made = []
    for settings in ({}, {"cache": "disk", "cache_dir": tmp_path / "cache", "cache_gb": 0.05}):
        data = SmallVideos(videos, num_workers=workers, **settings)
        attached(data).trainer.default_root_dir = str(tmp_path)  # type: ignore[union-attr, misc]
        made.append(batches(data, 3))
        data.teardown("fit")
    said = capsys.readouterr().out
    assert "of 0.05 GB" in said
    assert said.count("frame cache") == 1
    for plain, cached in zip(*made, strict=True):
        assert torch.equal(plain.frames, cached.frames)
        assert torch.equal(plain.starts, cached.starts)
        assert torch.equal(plain.padded, cached.padded)
        assert [failure.reason for failure in plain.failures] == [failure.reason for failure in cached.failures]


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan")])
def test_refused_sizes(tmp_path: Path, size: float) -> None:
    with pytest.raises(UserError, match=f"data.cache_gb is {size}"):
        SmallVideos(small_index(tmp_path), cache_gb=size)


def test_a_cache_that_holds_no_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no frame of 8x8"):
        FrameCache(tmp_path / "c", SIDE, 100)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(UserError, match=r"cannot use .*change data.cache_dir"):
        small_cache(tmp_path / "file/c")
