"""Jobs on a small set, whose shards are made in this process."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.sports1m_lists import listed_videos
from benchmark.scale.engines import Engine
from benchmark.scale.fetching import Fetcher, Pace
from benchmark.scale.job import ShardJob, ShardResult, make_shard
from benchmark.scale.manifest import Manifest
from benchmark.scale.pictures import Format
from benchmark.scale.preparing import Preparing, dealt
from benchmark.scale.settings import StoreSettings
from benchmark.scale.sources import FolderSource, Source
from benchmark.scale.store import Store

CLIPS = ClipsPerVideo(train=6, train_epoch=1, validation=3, test=4)


class InlineEngine:
    """Makes each shard at once."""

    slots = 1

    def __init__(self, make: Callable[[ShardJob], ShardResult] = make_shard) -> None:
        self.made = list[int]()
        self._make = make

    def submit(self, job: ShardJob) -> "Future[ShardResult]":
        done: Future[ShardResult] = Future()
        done.set_result(self._make(job))
        self.made.append(job.number)
        return done

    def close(self) -> None: ...


def settings(lists: Path, form: Format = "exact", per_shard: int = 4) -> StoreSettings:
    class_names, table = listed_videos(lists)
    return StoreSettings(form, CLIPS, 2014, per_shard, class_names, "digest of the lists", len(table))


def prepare(
    lists: Path,
    source: Source | Path,
    store: Store,
    work: Path,
    *,
    form: Format = "exact",
    per_shard: int = 4,
    engine: Engine | None = None,
    gives_up: bool = False,
    tries: int = 2,
) -> int:
    """Do a job, or go on with it; the number of videos that could not be fetched."""
    pace = Pace(say=lambda text: None)
    found = FolderSource(source) if isinstance(source, Path) else source
    fetcher = Fetcher(found, (work / "videos").absolute(), pace, tries, jitter=lambda: -0.45)
    with Manifest(work / "manifest.sqlite") as manifest:
        return Preparing(
            dealt(listed_videos(lists)[1]),
            settings(lists, form, per_shard),
            store,
            manifest,
            fetcher,
            engine or InlineEngine(),
            gives_up=gives_up,
            say=lambda text: None,
        ).run()
