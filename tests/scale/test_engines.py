"""Shards made on a Ray cluster that loses a machine, a process or its store: those of an undisturbed job."""

import hashlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.scale.engines import RayEngine
from benchmark.scale.job import ShardJob, ShardResult, make_shard
from benchmark.scale.store import Store
from tests.generators.object_store import object_store
from tests.generators.ray_cluster import RayCluster, ray_cluster
from tests.generators.sports1m_set import ids, write_lists, write_videos
from tests.scale.jobs import prepare

pytestmark = [pytest.mark.extra("ray"), pytest.mark.own_process, pytest.mark.timeout(600)]

NAMES = ids(14)  # four shards
_SECONDS = 240.0  # after which a test fails that waits for a machine to be gone


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    write_videos(tmp_path / "videos", NAMES)
    return write_lists(tmp_path / "lists", NAMES, tests=5)


@pytest.fixture
def nodes() -> Iterator[RayCluster]:
    """A cluster of two nodes that do work, and one that only keeps it together."""
    with ray_cluster(head_cpus=0, workers=2) as made:
        yield made


def content(folder: Path) -> dict[str, str]:
    """What is in a store."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def undisturbed(lists: Path, tmp_path: Path) -> dict[str, str]:
    prepare(lists, tmp_path / "videos", Store(str(tmp_path / "whole")), tmp_path / "work0")
    return content(tmp_path / "whole")


def noted(job: ShardJob, folder: Path) -> ShardResult:
    """Make a shard and note that it was made."""
    result = make_shard(job)
    (folder / f"made {job.number} {os.getpid()} {time.time_ns()}").touch()
    return result


def made(tmp_path: Path) -> Counter[int]:
    """How often each shard was."""
    return Counter(int(file.name.split()[1]) for file in tmp_path.glob("made *"))


def held_up_once(job: ShardJob) -> ShardResult:
    """The first try of shard 1 lasts until its machine is gone, at which it has not written anything yet."""
    import ray

    folder = Path(job.store.url).parent
    if job.number == 1 and not list(folder.glob("held up *")):
        (folder / f"held up {ray.get_runtime_context().get_node_id()}").touch()
        time.sleep(_SECONDS)
    return noted(job, folder)


def test_a_machine_lost_in_the_middle_costs_a_try(lists: Path, nodes: RayCluster, tmp_path: Path) -> None:
    wanted = undisturbed(lists, tmp_path)
    lost = list[str]()

    def lose() -> None:
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end and not (marks := list(tmp_path.glob("held up *"))):
            time.sleep(0.1)
        node = marks[0].name.split()[-1]
        nodes.lose(node)
        lost.append(node)

    thread = threading.Thread(target=lose)
    thread.start()
    engine = RayEngine(nodes.address, held_up_once)
    try:
        assert engine.slots == 2
        assert (
            prepare(lists, tmp_path / "videos", Store(str(tmp_path / "store")), tmp_path / "work", engine=engine) == 0
        )
    finally:
        engine.close()
        thread.join()
    assert len(lost) == 1
    assert content(tmp_path / "store") == wanted
    # What the lost machine had finished is not asked for again, but for a shard whose news went down with it.
    assert {*made(tmp_path)} == {0, 1, 2, 3}
    assert made(tmp_path)[1] == 1


def killed_once(job: ShardJob) -> ShardResult:
    """As where memory runs out, the process that makes shard 2 is killed the first time."""
    folder = Path(job.store.url).parent
    if job.number == 2 and not (folder / "was killed").exists():
        (folder / "was killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(job, folder)


def always_killed(job: ShardJob) -> ShardResult:
    with (Path(job.store.url).parent / "tries").open("a", encoding="utf-8") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.heavy
def test_a_killed_task_is_made_again_and_not_for_ever(lists: Path, tmp_path: Path) -> None:
    wanted = undisturbed(lists, tmp_path)
    engine = RayEngine("local", killed_once)
    try:
        assert (
            prepare(lists, tmp_path / "videos", Store(str(tmp_path / "store")), tmp_path / "work", engine=engine) == 0
        )
    finally:
        engine.close()
    assert (tmp_path / "was killed").exists()
    assert content(tmp_path / "store") == wanted
    assert made(tmp_path) == dict.fromkeys(range(4), 1)  # nothing twice
    engine = RayEngine("local", always_killed)
    try:
        with pytest.raises(UserError, match=r"the process that made shard \d was killed 3 times"):
            prepare(lists, tmp_path / "videos", Store(str(tmp_path / "other")), tmp_path / "work2", engine=engine)
    finally:
        engine.close()


@pytest.mark.heavy  # it lasts longer than a minute
@pytest.mark.extra("s3fs")
def test_a_store_that_fails_for_a_minute_is_waited_for(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    wanted = undisturbed(lists, tmp_path)
    (tmp_path / "remote" / "bucket").mkdir(parents=True)
    with object_store(tmp_path / "remote") as remote:
        remote.use(monkeypatch)
        first = remote.folder / "bucket/store/shards/000000.shard"

        def fail() -> None:
            while not first.exists() and not is_over.wait(0.01):
                pass
            remote.fails_until = time.monotonic() + 60

        is_over = threading.Event()
        thread = threading.Thread(target=fail)
        thread.start()
        engine = RayEngine("local", make_shard)
        try:
            assert (
                prepare(lists, tmp_path / "videos", Store("s3://bucket/store"), tmp_path / "work", engine=engine) == 0
            )
        finally:
            engine.close()
            is_over.set()
            thread.join()
        assert remote.refused
        assert time.monotonic() > remote.fails_until
    assert content(tmp_path / "remote" / "bucket" / "store") == wanted
