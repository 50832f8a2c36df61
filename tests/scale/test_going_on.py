"""Jobs that go on where shards, files or machines were lost in between."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmark.errors import UserError
from benchmark.scale.job import SIDECAR, ShardJob, ShardResult, make_shard
from benchmark.scale.sources import HttpSource
from benchmark.scale.store import Store
from tests.generators.sports1m_set import ids, write_lists, write_videos
from tests.generators.video_site import video_site
from tests.scale.jobs import InlineEngine, prepare
from tests.scale.test_preparing import KilledError, content, rows

NAMES = ids(10)
BROKEN = NAMES[2]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    return write_lists(tmp_path / "lists", NAMES, tests=4)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = write_videos(tmp_path / "videos", NAMES)
    (folder / f"{BROKEN}.mp4").write_bytes(b"not a video" * 100)
    return folder


def shard_of(store: Path, name: str) -> str:
    return f"{rows(store)[name]['shard']:06d}"


def test_a_shard_that_was_lost_is_made_again(lists: Path, videos: Path, tmp_path: Path) -> None:
    folder, work = tmp_path / "store", tmp_path / "work"
    prepare(lists, videos, Store(str(folder)), work)
    before, broken = content(folder), shard_of(folder, BROKEN)
    for name, damage in (
        (f"{broken}.parquet", Path.unlink),
        (f"{broken}.shard", Path.unlink),
        (f"{broken}.shard", lambda file: file.write_bytes(file.read_bytes()[:-1])),
        (f"{broken}.parquet", lambda file: file.write_bytes(b"PAR1")),
    ):
        damage(folder / "shards" / name)
        engine = InlineEngine()
        assert prepare(lists, videos, Store(str(folder)), work, engine=engine) == 0
        assert engine.made == [int(broken)]
        assert content(folder) == before
    # Another manifest takes up no shard whose file is not there.
    (folder / "shards" / f"{broken}.shard").unlink()
    engine = InlineEngine()
    assert prepare(lists, videos, Store(str(folder)), tmp_path / "other", engine=engine) == 0
    assert engine.made == [int(broken)]
    assert content(folder) == before


def test_a_shard_without_a_video_has_no_file_and_is_whole(lists: Path, videos: Path, tmp_path: Path) -> None:
    for file in videos.iterdir():
        file.write_bytes(b"not a video" * 100)
    store, work = Store(str(tmp_path / "store")), tmp_path / "work"
    prepare(lists, videos, store, work)
    engine = InlineEngine()
    assert prepare(lists, videos, store, work, engine=engine) == 0
    assert engine.made == []


def test_a_fetched_file_that_is_gone_says_nothing_of_the_video(lists: Path, videos: Path, tmp_path: Path) -> None:
    prepare(lists, videos, Store(str(tmp_path / "whole")), tmp_path / "work0")
    seen, away = list[int](), tmp_path / "away"

    def unseen(job: ShardJob) -> ShardResult:
        """The second shard is made where the folder is not mounted."""
        seen.append(job.number)
        if len(seen) == 2:
            videos.rename(away)
        return make_shard(job)

    store = Store(str(tmp_path / "store"))
    with pytest.raises(UserError, match=r"was fetched and cannot be read now .*--work.*again to go on"):
        prepare(lists, videos, store, tmp_path / "work", engine=InlineEngine(unseen))
    away.rename(videos)
    assert prepare(lists, videos, store, tmp_path / "work") == 0
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_a_file_that_goes_while_it_is_decoded(lists: Path, videos: Path, tmp_path: Path) -> None:
    """As where a mount drops between the first look at a file and the last."""

    def drops(job: ShardJob) -> ShardResult:
        with pytest.MonkeyPatch.context() as patch:
            from benchmark.scale import job as making

            digest, looked = making._digest, set[str]()

            def gone_after(path: str) -> int:
                found = digest(path)
                if path not in looked:
                    looked.add(path)
                    Path(path).unlink()
                return found

            patch.setattr(making, "_digest", gone_after)
            return make_shard(job)

    with pytest.raises(UserError, match="was fetched and cannot be read now"):
        prepare(lists, videos, Store(str(tmp_path / "store")), tmp_path / "work", engine=InlineEngine(drops))
    assert Store(str(tmp_path / "store")).names("shards") == set()


def test_a_kill_between_store_and_manifest_changes_no_state(lists: Path, videos: Path, tmp_path: Path) -> None:
    def killed(job: ShardJob) -> ShardResult:
        make_shard(job)
        raise KilledError

    with video_site(videos) as site:
        site.seconds = {NAMES[1]: 200.0}
        source = HttpSource(site.address)
        prepare(lists, source, Store(str(tmp_path / "whole")), tmp_path / "work0")
        store = Store(str(tmp_path / "store"))
        for _ in range(3):
            with pytest.raises(KilledError):
                prepare(lists, source, store, tmp_path / "work", engine=InlineEngine(killed))
        assert prepare(lists, source, store, tmp_path / "work") == 0
    assert rows(tmp_path / "store")[NAMES[1]]["state"] == "wrong duration"
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_shards_of_before_are_taken_up(lists: Path, videos: Path, tmp_path: Path) -> None:
    """Their sidecars do not say to what state a failure came."""
    folder = tmp_path / "store"
    prepare(lists, videos, Store(str(folder)), tmp_path / "work")
    before = rows(folder)
    for file in folder.glob("shards/*.parquet"):
        table = pq.read_table(file)
        assert table.schema.names == SIDECAR.names
        pq.write_table(table.drop_columns(["state"]), file)
    for work in ("work", "other"):
        engine = InlineEngine()
        assert prepare(lists, videos, Store(str(folder)), tmp_path / work, engine=engine) == 0
        assert engine.made == []
        assert rows(folder) == before
    assert before[BROKEN]["state"] == "undecodable"
