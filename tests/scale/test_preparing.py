import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from benchmark.commands.prepare import main
from benchmark.data.decode import open_video
from benchmark.data.preprocess import square_rgb
from benchmark.errors import UserError
from benchmark.protocol import Protocol
from benchmark.scale.engines import ProcessEngine
from benchmark.scale.job import ShardJob, ShardResult, make_shard
from benchmark.scale.manifest import Manifest
from benchmark.scale.sources import HttpSource
from benchmark.scale.store import Store
from tests.generators.sports1m_set import ids, write_lists, write_videos
from tests.generators.video_site import video_site
from tests.scale.jobs import InlineEngine, prepare

NAMES = ids(14)
BROKEN, DEAD = NAMES[2], NAMES[12:]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    return write_lists(tmp_path / "lists", NAMES, tests=5)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """All but two of the listed videos, one of them no video at all."""
    folder = write_videos(tmp_path / "videos", NAMES[:12])
    (folder / f"{BROKEN}.mp4").write_bytes(b"not a video" * 100)
    return folder


def content(store: Path) -> dict[str, str]:
    """What is in a store."""
    files = [file for file in sorted(store.rglob("*")) if file.is_file()]
    return {str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def rows(store: Path) -> dict[str, dict[str, Any]]:
    return {row["video_id"]: row for row in pq.read_table(store / "videos.parquet").to_pylist()}


def test_every_listed_video_is_in_the_catalogue_with_what_became_of_it(
    lists: Path, videos: Path, tmp_path: Path
) -> None:
    assert prepare(lists, videos, Store(str(tmp_path / "store")), tmp_path / "work") == 0
    held = rows(tmp_path / "store")
    assert sorted(held) == sorted(NAMES)
    assert {name for name in NAMES if held[name]["state"] == "dead"} == {*DEAD}
    assert held[BROKEN]["state"] == "undecodable"
    assert held[BROKEN]["reason"]
    assert all(held[name]["reason"] == "not in the folder" for name in DEAD)
    for name in {*NAMES[:12]} - {BROKEN}:
        assert held[name]["state"] == "fetched"
        with open_video(videos / f"{name}.mp4") as video:
            assert held[name]["frames"] == video.frames
        shard = (tmp_path / "store" / "shards" / f"{held[name]['shard']:06d}.shard").stat().st_size
        assert 0 <= held[name]["offset"] < held[name]["index_offset"] < held[name]["end"] <= shard
    assert not list((tmp_path / "store").rglob("*.new"))


def test_the_second_run_makes_nothing(lists: Path, videos: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    prepare(lists, videos, store, tmp_path / "work")
    before = content(tmp_path / "store")
    engine = InlineEngine()
    assert prepare(lists, videos, store, tmp_path / "work", engine=engine) == 0
    assert engine.made == []
    assert content(tmp_path / "store") == before


class KilledError(BaseException):
    """In place of a kill."""


def test_a_job_killed_after_any_shard_goes_on_and_leaves_the_same(lists: Path, videos: Path, tmp_path: Path) -> None:
    prepare(lists, videos, Store(str(tmp_path / "whole")), tmp_path / "work0")
    undisturbed = content(tmp_path / "whole")
    made = list[int]()

    def once(job: ShardJob) -> ShardResult:
        if made and made[-1] != job.number and len(made) % 2:
            made.append(job.number)
            raise KilledError
        result = make_shard(job)
        made.append(job.number)
        if len(made) % 3 == 0:  # the shard is there, and the manifest does not know it yet
            raise KilledError
        return result

    store = Store(str(tmp_path / "store"))
    for _ in range(10):
        try:
            prepare(lists, videos, store, tmp_path / "work", engine=InlineEngine(once))
        except KilledError:
            continue
        break
    assert len(made) > 5
    assert content(tmp_path / "store") == undisturbed


def test_a_lost_manifest_costs_work_and_changes_nothing(lists: Path, videos: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    prepare(lists, videos, store, tmp_path / "work")
    before = content(tmp_path / "store")
    assert prepare(lists, videos, store, tmp_path / "other") == 0
    assert content(tmp_path / "store") == before


def test_a_site_with_every_fault_leaves_what_a_folder_leaves(lists: Path, videos: Path, tmp_path: Path) -> None:
    prepare(lists, videos, Store(str(tmp_path / "folder")), tmp_path / "work0")
    with video_site(videos) as site:
        site.passing = {NAMES[0]: ["truncated"], NAMES[4]: [500], NAMES[6]: ["broken"]}
        site.busy = ["1"]
        prepare(lists, HttpSource(site.address), Store(str(tmp_path / "site")), tmp_path / "work")
    for name in ("shards", "contents.parquet"):
        same = {k: v for k, v in content(tmp_path / "folder").items() if k.startswith(name)}
        assert same == {k: v for k, v in content(tmp_path / "site").items() if k.startswith(name)} != {}
    assert not any((tmp_path / "work" / "videos").iterdir())  # copies are gone once they are prepared


def test_what_cannot_be_fetched_for_now_is_neither_dead_nor_prepared(lists: Path, videos: Path, tmp_path: Path) -> None:
    store, work = Store(str(tmp_path / "store")), tmp_path / "work"
    with video_site(videos) as site:
        site.statuses = {NAMES[7]: 500}
        source = HttpSource(site.address)
        assert prepare(lists, source, store, work) == 1
        assert "videos.parquet" not in store.names("")
        with Manifest(work / "manifest.sqlite") as manifest:
            (left,) = (entry for entry in manifest.entries() if entry.state == "wanted")
            assert left.video_id == NAMES[7]
            assert left.reason == "HTTP 500 (tried 2 times)"
            assert len(manifest.unfinished()) == 1
        asked = site.asked.total()
        assert prepare(lists, source, store, work, gives_up=True) == 0
        assert site.asked.total() == asked + 2  # for that one alone
    assert rows(tmp_path / "store")[NAMES[7]]["state"] == "dead"


def test_a_video_that_lasts_otherwise_than_its_source_says(lists: Path, videos: Path, tmp_path: Path) -> None:
    with video_site(videos) as site:
        site.seconds = {NAMES[0]: 1.6, NAMES[1]: 200.0}  # 40 frames at 25 a second
        prepare(lists, HttpSource(site.address), Store(str(tmp_path / "store")), tmp_path / "work")
    held = rows(tmp_path / "store")
    assert held[NAMES[0]]["state"] == "fetched"
    assert held[NAMES[1]]["state"] == "wrong duration"
    assert held[NAMES[1]]["reason"] == "it lasts 1.6 s and not 200.0 s, as its source says"


def test_a_store_of_another_job_is_refused(lists: Path, videos: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    prepare(lists, videos, store, tmp_path / "work")
    with pytest.raises(UserError, match="form is exact there and compact here"):
        prepare(lists, videos, store, tmp_path / "other", form="compact")


def killed_once(job: ShardJob) -> ShardResult:
    """As where memory runs out: the first process that makes shard 1 is killed."""
    marker = Path(job.store.url).parent / "was killed"
    if job.number == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return make_shard(job)


def test_a_killed_worker_costs_a_try(lists: Path, videos: Path, tmp_path: Path) -> None:
    prepare(lists, videos, Store(str(tmp_path / "whole")), tmp_path / "work0")
    before = {*threading.enumerate()}
    engine = ProcessEngine(2, killed_once)
    try:
        assert prepare(lists, videos, Store(str(tmp_path / "store")), tmp_path / "work", engine=engine) == 0
    finally:
        engine.close()
    assert (tmp_path / "was killed").exists()
    assert content(tmp_path / "store") == content(tmp_path / "whole")
    # Python waits at its end for those of pools, and some of the broken one would never end.
    assert not [thread for thread in threading.enumerate() if thread not in before and "Executor" in repr(thread)]


def test_the_command_killed_at_any_moment_goes_on(lists: Path, videos: Path, tmp_path: Path) -> None:
    prepare(lists, videos, Store(str(tmp_path / "whole")), tmp_path / "work0", per_shard=3)
    words = [
        *("--lists", lists, "--source", videos, "--store", tmp_path / "store", "--work", tmp_path / "work"),
        *("--videos_per_shard", 3, "--train_clips", 6, "--validation_clips", 3, "--test_clips", 4, "--workers", 1),
    ]
    command = [sys.executable, "-m", "benchmark", "prepare", "sports1m", *map(str, words)]
    draw = random.Random(5)
    for _ in range(2):
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while time.monotonic() < end and started.poll() is None and not list(tmp_path.glob("store/shards/*.parquet")):
            time.sleep(0.05)
        time.sleep(draw.random() * 0.2)
        started.kill()
        started.wait()
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert "11 fetched" in done.stdout or "the store is complete" in done.stdout
    one, other = content(tmp_path / "store"), content(tmp_path / "whole")
    del one["store.json"], other["store.json"]  # whose digest of the lists the test does not make
    assert one == other


@pytest.mark.extra("ray")
@pytest.mark.own_process
def test_tasks_of_ray_leave_what_processes_leave(lists: Path, videos: Path, tmp_path: Path) -> None:
    from benchmark.scale.engines import RayEngine

    prepare(lists, videos, Store(str(tmp_path / "whole")), tmp_path / "work0")
    engine = RayEngine("local")
    try:
        assert prepare(lists, videos, Store(str(tmp_path / "store")), tmp_path / "work", engine=engine) == 0
    finally:
        engine.close()
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_a_probe_tells_the_share_that_is_alive(lists: Path, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with video_site(videos) as site:
        site.statuses = {NAMES[0]: 403}
        words = ["sports1m", "--lists", str(lists), "--source", site.address, "--per_second", "0", "--probe"]
        assert main([*words, "14"]) == 0
        first, *others = capsys.readouterr().out.splitlines()
        assert others == ["  dead: 2 (14.3%)", "  private: 1 (7.1%)"]
        said = re.fullmatch(r"alive: 78.6% \(95% interval ([\d.]+)% to ([\d.]+)%\) of 14 videos drawn from 14", first)
        assert said is not None
        wilson = stats.binomtest(11, 14).proportion_ci(method="wilson")
        assert [float(end) / 100 for end in said.groups()] == pytest.approx([wilson.low, wilson.high], abs=0.01)
        assert max(site.asked.values()) == 1
        with pytest.raises(UserError, match="--probe is 15; it must be from 1 to 14"):
            main([*words, "15"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "needs --root"),
        (["--store", "s", "--lists", "."], "each need --lists and --source"),
        (["--store", "s", "--lists", "LISTS", "--source", "none"], "--source is none, not a folder"),
        (["--store", "s", "--lists", "none", "--source", "."], "--lists"),
        (["--store", "no-such://s", "--lists", "LISTS", "--source", "."], "the store no-such://s cannot be used"),
        (["--store", "s", "--lists", "LISTS", "--source", ".", "--videos", "0"], "--videos is 0"),
        (["--store", "s", "--lists", "LISTS", "--source", ".", "--tries", "0"], "tries 0"),
        (["--store", "s", "--lists", "LISTS", "--source", "http://[bad/x"], "no web address"),
        *(
            (["--store", "s", "--lists", "LISTS", "--source", ".", f"--{name}", value], f"{name} .*{said}")
            for name, value, said in (
                ("per_second", ".inf", "inf"),
                ("per_second", ".nan", "nan"),
                ("timeout_seconds", ".inf", "inf"),
                ("timeout_seconds", "1e20", "86,400 at most"),
                ("longest_minutes", ".nan", "nan"),
                ("longest_minutes", "0", "above 0"),
                ("longest_minutes", "-1", "above 0"),
            )
        ),
    ],
)
def test_mistakes_are_one_message(words: list[str], said: str, lists: Path, tmp_path: Path) -> None:
    given = [str(lists) if word == "LISTS" else word for word in words]
    with pytest.raises(UserError, match=said):
        main(["sports1m", "--work", str(tmp_path / "work"), *given])


def test_a_command_that_is_refused_binds_work_to_nothing(
    lists: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    words = ["sports1m", "--lists", str(lists), "--workers", "1", "--videos_per_shard", "16", "--work", "work"]
    refused = {
        "none": "none, not a folder",
        "empty": "holds none of the 14 wanted videos",
        "http://[bad/x": "no web address",
    }
    for source, said in refused.items():
        with pytest.raises(UserError, match=said):
            main([*words, "--store", "first", "--source", source])
    assert not (tmp_path / "first").exists()
    small = ["--train_clips", "2", "--validation_clips", "1", "--test_clips", "1"]
    assert main([*words, *small, "--store", "second", "--source", str(videos)]) == 0
    again = [*words, *small, "--source", str(tmp_path / "videos"), "--store"]
    assert main([*again, "./second"]) == 0
    assert main([*again, str(tmp_path / "second")]) == 0
    with pytest.raises(UserError, match=r"store was .*second and is .*third"):
        main([*again, "third"])
    assert not (tmp_path / "third").exists()
    for file in videos.iterdir():  # a store that is complete needs its videos no more
        file.unlink()
    assert main([*again, "second"]) == 0
    assert "the store is complete" in capsys.readouterr().out


def test_a_store_without_a_video_says_so_and_another_folder_of_work_asks_again(
    lists: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sports1m", "--lists", str(lists), "--workers", "1", "--store", str(tmp_path / "store")]
    words += ["--train_clips", "2", "--validation_clips", "1", "--test_clips", "1", "--work"]
    with video_site(tmp_path) as site:  # none is where it is looked for
        code = main([*words, str(tmp_path / "first"), "--source", site.address, "--per_second", "0"])
    said = capsys.readouterr().out
    assert code == 1
    assert "none can be used to train or to test, so" in said
    assert "the store is complete" not in said
    assert main([*words, str(tmp_path / "second"), "--source", str(videos)]) == 0
    assert sum(row["state"] == "fetched" for row in rows(tmp_path / "store").values()) == 11


def test_frames_in_the_store_are_those_of_the_files(lists: Path, videos: Path, tmp_path: Path) -> None:
    from benchmark.data.sampling import ClipPlan
    from benchmark.scale.pictures import unpacked
    from benchmark.scale.shards import Layout, unpacked_index

    prepare(lists, videos, Store(str(tmp_path / "store")), tmp_path / "work")
    protocol = Protocol()
    held = rows(tmp_path / "store")[NAMES[0]]
    layout = Layout.of(ClipPlan(protocol, NAMES[0], held["frames"]), 4, "exact")
    # A second way to the same numbers.
    starts = [ClipPlan(protocol, NAMES[0], held["frames"]).start(clip) for clip in range(4)]
    assert layout.numbers.tolist() == sorted({start + k for start in starts for k in range(16)})
    shard = (tmp_path / "store" / "shards" / f"{held['shard']:06d}.shard").read_bytes()
    places = held["offset"] + unpacked_index(shard[held["index_offset"] : held["end"]], len(layout.sizes))
    with open_video(videos / f"{NAMES[0]}.mp4") as video:
        for place, (_, picture) in enumerate(video.read(layout.numbers.tolist())):
            (stored,) = unpacked(shard[places[place] : places[place + 1]], 200, [0])
            assert np.array_equal(stored, square_rgb(picture, 200))
