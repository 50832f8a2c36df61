import gc
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.clip import ClipBatch
from benchmark.data import cache, cache_claim, dataset
from benchmark.data.cache import FrameCache, video_key
from benchmark.data.dataset import ClipReader, Sample
from benchmark.data.decode import DecodeError
from benchmark.data.index import Video
from benchmark.errors import UserError
from benchmark.protocol import Protocol
from tests.data.test_datamodule import SmallVideos, attached
from tests.generators.encoded import encode
from tests.generators.indexes import small_index

pytest.importorskip("fcntl", reason="the cache needs a POSIX system")

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
        found, is_kept = held.read(video, numbers)
        assert [(video, int(number)) in truth for number in numbers] == is_kept.tolist()
        for number, one in zip(numbers[is_kept], found[is_kept], strict=True):
            np.testing.assert_array_equal(one, picture(video, int(number)))
        held.add(video, 60 + video, numbers, pictures(video, numbers))
        truth |= {(video, int(number)) for number in numbers}
    assert held.used_bytes == len(truth) * SIDE * SIDE * 3  # what was there already is not kept twice
    known = [held.known(video) for video in range(1, 8)]
    assert [video and video.length for video in known] == [61, 62, 63, 64, 65, None, None]


def test_what_is_read_belongs_to_the_reader(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c")
    held.add(1, 5, np.arange(5), pictures(1, np.arange(5)))
    held.read(1, np.arange(5))[0][:] = 0
    np.testing.assert_array_equal(held.read(1, np.arange(5))[0], pictures(1, np.arange(5)))


def test_a_full_cache_keeps_what_it_has(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c", frames=7)
    for first in (0, 5, 10):
        numbers = np.arange(first, first + 5)
        held.add(1, 99, numbers, pictures(1, numbers))
    found, is_kept = held.read(1, np.arange(15))
    assert is_kept.tolist() == [True] * 7 + [False] * 8
    np.testing.assert_array_equal(found[:7], pictures(1, np.arange(7)))
    assert held.used_bytes == held.capacity_bytes
    assert "is full; raise data.cache_gb" in held.summary()
    blocks = sum(file.stat().st_blocks for file in (tmp_path / "c").iterdir()) * 512
    assert blocks < held.capacity_bytes + 2_000_000  # lock table and tree beside the frames


def test_some_space_is_left_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = small_cache(tmp_path / "c")
    frame_bytes = SIDE * SIDE * 3
    space, free = os.statvfs(tmp_path), 10**9 + 5 * frame_bytes  # room for five frames beside what is left alone

    def look(_path: Path) -> os.statvfs_result:
        values = list(space)
        values[1:5] = 1, 10**12, 10**12, free  # f_frsize, f_blocks, f_bfree, f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", look)
    held.add(1, 9, np.arange(5), pictures(1, np.arange(5)))
    assert "no more" not in held.summary()
    free -= 1
    held.add(2, 9, np.arange(5), pictures(2, np.arange(5)))
    assert held.read(1, np.arange(5))[1].all()
    assert not held.read(2, np.arange(5))[1].any()
    assert f"it kept no more, since what is free in {tmp_path} is left for others" in held.summary()


def test_a_cache_that_is_no_longer_used_holds_no_file_open(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c")
    opened = [link for link in Path("/proc/self/fd").glob("*") if tmp_path in link.resolve().parents]
    assert opened or not Path("/proc/self/fd").exists()
    del held
    gc.collect()
    assert not [link for link in Path("/proc/self/fd").glob("*") if tmp_path in link.resolve().parents]


def test_a_full_disk_ends_the_filling(tmp_path: Path) -> None:
    """A file system of 1 MB, of which half is left for others."""
    small = tmp_path / "small"
    small.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a small file system here: {made.stderr.decode().strip()}")
    try:
        held, kept = small_cache(small / "c", 100_000), 0
        for video in range(1, 40):
            held.add(video, 100, np.arange(100), pictures(video, np.arange(100)))
            found, is_kept = held.read(video, np.arange(100))
            for number in np.flatnonzero(is_kept):
                np.testing.assert_array_equal(found[number], picture(video, int(number)))
            kept += int(is_kept.sum())
        assert 0 < kept < 3900
        assert "it kept no more" in held.summary()
        (small / "rest").write_bytes(b"x" * 100_000)  # there is some space for others
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_what_is_kept_is_known_without_being_counted(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c")
    held.add(7, 30, np.array([3, 5]), pictures(7, np.array([3, 5])))
    assert held.keeps(7, np.array([2, 3, 4, 5])).tolist() == [False, True, False, True]
    assert held.keeps(8, np.array([3])).tolist() == [False]
    assert held.hits_and_misses == (0, 0)


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
    found, is_kept = held.read(video, numbers)
    assert not is_kept.any() or np.array_equal(found[is_kept], pictures(video, numbers[is_kept]))
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
        found, is_kept = held.read(video, np.arange(100))
        kept += int(is_kept.sum())
        if is_kept.any():
            np.testing.assert_array_equal(found[is_kept], pictures(video, np.flatnonzero(is_kept)))
            known = held.known(video)
            assert known is not None
            assert known.length == 100
    assert kept > 100
    held.add(99, 5, np.arange(5), pictures(99, np.arange(5)))  # no lock was left behind
    assert held.read(99, np.arange(5))[1].all() or held.used_bytes == held.capacity_bytes


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


def test_a_forked_process_opens_the_store_for_itself(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c")
    held.add(1, 9, np.arange(3), pictures(1, np.arange(3)))
    for first in (2, 4, 6, 8):  # an old LMDB broke this process's reader in one time of two
        pair = [multiprocessing.get_context("fork").Process(target=_adds, args=(held, first + n)) for n in range(2)]
        for process in pair:
            process.start()
        for process in pair:
            process.join()
            assert process.exitcode == 0
        for video in (1, first, first + 1):
            found, is_kept = held.read(video, np.arange(3))
            assert is_kept.all()
            np.testing.assert_array_equal(found, pictures(video, np.arange(3)))
    assert held.hits_and_misses == (4 * (9 + 6), 4 * 6)  # theirs count, too


def _adds(held: FrameCache, video: int) -> None:
    assert held.read(1, np.arange(3))[1].all()
    assert not held.read(video, np.arange(3))[1].any()
    held.add(video, 9, np.arange(3), pictures(video, np.arange(3)))


def test_threads_of_a_forked_process_may_all_ask_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, claim = small_cache(tmp_path / "c"), cache_claim.claim
    held.add(1, 9, np.arange(3), pictures(1, np.arange(3)))

    def slow(path: Path) -> int:
        time.sleep(0.1)
        return claim(path)

    monkeypatch.setattr(cache, "claim", slow)
    process = multiprocessing.get_context("fork").Process(target=_asks_at_once, args=(held,))
    process.start()
    process.join()
    assert process.exitcode == 0


def _asks_at_once(held: FrameCache) -> None:
    with ThreadPoolExecutor(4) as threads:
        for asked in [threads.submit(held.read, 1, np.arange(3)) for _ in range(4)]:
            assert asked.result()[1].all()
