import gc
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.data import cache_file, workers
from benchmark.data.cache import FrameCache, video_key
from benchmark.data.cache_claim import remove_unused
from benchmark.data.cache_file import open_cache
from benchmark.errors import UserError
from tests.data.test_datamodule import SmallVideos, attached
from tests.generators.indexes import small_index
from tests.generators.videos import touch

pytest.importorskip("fcntl", reason="the cache needs a POSIX system")

SIDE = 8


def opened(folder: Path, mode: Any = "disk", owner: str = "run", **changed: Any) -> FrameCache:
    settings: dict[str, Any] = {"videos": folder, "decoder": "pyav", "side": SIDE, "capacity_bytes": 10**5} | changed
    return open_cache(mode, folder / "cache", owner=owner, **settings)


def test_a_disk_cache_is_shared_by_runs_that_see_the_same_frames(tmp_path: Path) -> None:
    first = opened(tmp_path)
    assert opened(tmp_path, owner="another run").path == first.path
    for changed in ({"side": 9}, {"videos": tmp_path / "others"}, {"capacity_bytes": 10**6}):
        assert opened(tmp_path, **changed).path != first.path


def test_other_code_or_another_decoder_has_a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "another")
    cache_file._made_by.cache_clear()
    assert opened(tmp_path).path != first.path
    monkeypatch.undo()
    cache_file._made_by.cache_clear()
    assert opened(tmp_path).path == first.path
    monkeypatch.setattr("inspect.getsource", lambda module: f"another {module.__name__}")
    cache_file._made_by.cache_clear()
    assert opened(tmp_path).path != first.path
    monkeypatch.undo()
    cache_file._made_by.cache_clear()
    monkeypatch.setattr("importlib.metadata.version", lambda name: name)
    assert opened(tmp_path, decoder="torchcodec").path != opened(tmp_path, decoder="pyav").path
    cache_file._made_by.cache_clear()


def test_a_cache_of_another_size_gives_way_unless_it_is_used(tmp_path: Path) -> None:
    small, others = opened(tmp_path), opened(tmp_path, videos=tmp_path / "others")
    large = opened(tmp_path, capacity_bytes=10**6)
    assert small.path.exists()
    name = small.path
    del small
    gc.collect()
    opened(tmp_path, capacity_bytes=10**7)
    assert not name.exists()
    assert large.path.exists()
    assert others.path.exists()


def test_a_cache_of_an_earlier_start_of_the_machine_goes(tmp_path: Path) -> None:
    path = opened(tmp_path).path
    machine, boot, name = path.name.removeprefix("frames-").split("-", 2)
    earlier = path.with_name(f"frames-{machine}-{'0' * len(boot)}-{name}")
    elsewhere = path.with_name(f"frames-{'0' * len(machine)}-{boot}-{name}")
    earlier.mkdir()
    elsewhere.write_bytes(b"x")
    opened(tmp_path)
    assert not earlier.exists()
    assert elsewhere.exists()  # another machine's, in a folder that both see
    assert path.exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no memory file system here")
def test_a_memory_cache_of_a_killed_run_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "_MEMORY", tmp_path)
    one = opened(tmp_path, "memory", "one")
    two = opened(tmp_path, "memory", "two")
    assert one.path.exists()  # in use
    assert one.path != two.path
    assert opened(tmp_path, "memory", "one").path == one.path  # another process of the run
    assert not remove_unused(one.path)
    left = one.path
    del one  # as the system does for a killed process; the second opening of it was dropped above
    gc.collect()
    opened(tmp_path, "memory", "three")
    assert not left.exists()
    assert two.path.exists()


def test_workers_do_not_count_on_memory_that_the_cache_will_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "_MEMORY", tmp_path)
    monkeypatch.setattr(workers, "_SHARED_MEMORY", tmp_path)
    space = os.statvfs(tmp_path)

    def look(_path: Path) -> os.statvfs_result:
        values = list(space)
        values[1:5] = 1, 8 * 10**9, 8 * 10**9, 8 * 10**9  # f_frsize, f_blocks, f_bfree, f_bavail: all is free
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", look)
    (tmp_path / "videos").mkdir()
    videos = small_index(tmp_path / "videos")
    many: dict[str, Any] = {"batch_size": 2000, "num_workers": 14}  # 1.2 GB of batches, and the cache leaves 1 GB

    def begin(**cached: Any) -> None:
        data = attached(SmallVideos(videos, **many, **cached))
        data.trainer.default_root_dir = str(tmp_path)  # type: ignore[union-attr, misc]
        data.train_dataloader()

    begin()
    begin(cache="memory", cache_gb=4.0)
    with pytest.raises(UserError, match=r"beside data\.cache=memory, 1000 MB left"):
        begin(cache="memory", cache_gb=8.0)


def test_a_folder_that_is_not_utf8_has_a_cache_and_others_keep_their_names(tmp_path: Path) -> None:
    video = tmp_path / os.fsdecode(b"caf\xe9") / "a.mp4"
    touch(video)
    stat = video.stat()
    named = os.fsencode(video) + f"\0{stat.st_size}\0{stat.st_mtime_ns}".encode()
    assert video_key(video) == int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "little") | 1
    folders = (video.parent, tmp_path)
    assert len({opened(tmp_path, videos=folder).path for folder in folders}) == 2
    assert cache_file._digest("a", 1) == hashlib.blake2b(b"a\0001", digest_size=6).hexdigest()
