"""The whole job: videos fetched, shards made of them, and at last the tables by which a reader finds each clip.

What is done is known by the store, what became of each video by the manifest; both are right after a kill at any
moment, so the same command goes on.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmark.data.sports1m_lists import id_hashes
from benchmark.errors import UserError
from benchmark.scale.catalogue import is_whole, read_sidecar, write_catalogue
from benchmark.scale.engines import Engine
from benchmark.scale.fetching import Fetcher, Outcome, Stopped
from benchmark.scale.job import ShardJob, ShardResult, WantedVideo
from benchmark.scale.manifest import Entry, Manifest, State
from benchmark.scale.settings import StoreSettings
from benchmark.scale.store import Store

_SAY_EVERY_S = 30.0
_LOOKS_AT_ONCE = 16  # at finished shards when a job goes on: a store far away answers each in its time
_SHARD_ORDER = 20141  # seed of the hash that deals videos into shards; apart from all others


def dealt(listed: pa.Table, seed: int = _SHARD_ORDER) -> pa.Table:
    """The listed videos in the order of the shards, by a hash of their names, so that each shard has all classes.

    Args:
        listed: Columns of an index.
        seed: Of the hash.

    Returns:
        The same, with the place of each in the lists as `place`.
    """
    ids = listed["video_id"].combine_chunks()
    names = ids.to_numpy(zero_copy_only=False).astype("S11")
    order = np.lexsort((names, id_hashes(ids, seed)))
    return listed.take(pa.array(order)).append_column("place", pa.array(order, pa.int64()))


@dataclasses.dataclass
class Preparing:
    """A job that can be interrupted at any moment.

    Args:
        listed: The wanted videos, from `dealt`.
        settings: What the store is made of.
        store: Where the shards go.
        manifest: What became of each video.
        fetcher: Gives the videos.
        engine: Makes the shards.
        fetching: Videos fetched at the same time.
        gives_up: Whether a video that could not be fetched in several tries counts as dead.
        say: Told how far it is.
    """

    listed: pa.Table
    settings: StoreSettings
    store: Store
    manifest: Manifest
    fetcher: Fetcher
    engine: Engine
    fetching: int = 4
    gives_up: bool = False
    say: Callable[[str], None] = print

    def run(self) -> int:
        """Do what is left to do.

        Returns:
            Videos that are not settled, since they could not be fetched for now; the catalogue is then not written.

        Raises:
            UserError: If the store or the manifest is of another job.
        """
        self.settings.write(self.store)
        per_shard = self.settings.videos_per_shard
        names = self.listed["video_id"].to_pylist()
        self.manifest.want((name, row // per_shard) for row, name in enumerate(names))
        self._take_up()
        left = self.manifest.unfinished()
        self._splits = self.listed["split"].cast(pa.string()).to_pylist() if left else []
        with ThreadPoolExecutor(self.fetching, "fetch") as threads:
            try:
                self._work(collections.deque(left), threads)
            finally:
                self.fetcher.pace.stop()
        unsettled = self.manifest.counts()["wanted"]
        if not unsettled:
            write_catalogue(self.store, self.settings, self.listed, self.manifest)
        return unsettled

    def _take_up(self) -> None:
        """Learn from the store which shards are there that the manifest does not know of, and which are lost."""
        sizes = self.store.sizes("shards")
        finished = self.manifest.finished()
        with ThreadPoolExecutor(_LOOKS_AT_ONCE, "look") as threads:
            there = list(threads.map(lambda number: is_whole(self.store, number, sizes), finished))
        for number, is_there in zip(finished, there, strict=True):
            if not is_there:
                self.say(f"shard {number} is not in the store as it was made; it is made again")
                self.manifest.reopen(number)
        for number in self.manifest.unfinished():
            if is_whole(self.store, number, sizes):
                table = read_sidecar(self.store, number).select(["video_id", "state", "failure"])
                failed = {name: (state, why) for name, state, why in zip(*table.to_pydict().values(), strict=True)}
                entries = self.manifest.shard(number)
                if any(entry.state in ("wanted", "fetched") and entry.video_id not in failed for entry in entries):
                    continue  # of a shard that another manifest made with fewer videos: it is made again
                self.manifest.finish(number, _outcomes(entries, failed))

    def _work(self, left: "collections.deque[int]", threads: ThreadPoolExecutor) -> None:
        fetches: dict[Future[Any], int] = {}
        shards: dict[Future[Any], int] = {}
        lacking: dict[int, int] = {}  # by shard: videos that are still being fetched
        begun, self._clips, self._bytes = time.monotonic(), 0, 0
        said, total = begun, len(left)
        # So many shards at a time that no process waits for a fetch, and that fetched files fill no disk.
        ahead = self.engine.slots + 2
        while left or fetches or shards:
            while left and len(lacking) + len(shards) < ahead:
                number = left.popleft()
                wanted = [entry for entry in self.manifest.shard(number) if not self._is_settled(entry)]
                lacking[number] = len(wanted)
                fetches |= {threads.submit(self.fetcher.fetch, entry.video_id): number for entry in wanted}
                if not wanted:
                    self._begin(number, lacking, shards)
            done, _ = concurrent.futures.wait(
                {*fetches, *shards}, timeout=_SAY_EVERY_S, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done & fetches.keys():
                number = fetches.pop(future)
                with contextlib.suppress(Stopped):
                    self._note(future.result())
                lacking[number] -= 1
                if not lacking[number]:
                    self._begin(number, lacking, shards)
            for future in done & shards.keys():
                del shards[future]
                self._finish(future.result())
            if time.monotonic() - said > _SAY_EVERY_S or not (left or fetches or shards):
                said = time.monotonic()
                self._say_how_far(total - len(left) - len(lacking) - len(shards), total, said - begun)

    def _is_settled(self, entry: Entry) -> bool:
        if entry.state == "fetched":
            return entry.path is not None and Path(entry.path).is_file()
        return entry.state != "wanted"

    def _note(self, outcome: Outcome) -> None:
        state, reason = outcome.state, outcome.reason
        if state == "wanted" and self.gives_up:
            state = "dead"
        fetched = outcome.fetched
        self.manifest.settle(
            outcome.video_id,
            state,
            reason,
            path=None if fetched is None else fetched.path,
            seconds=None if fetched is None else fetched.seconds,
        )

    def _begin(self, number: int, lacking: dict[int, int], shards: dict[Future[Any], int]) -> None:
        """Make a shard, if all its videos are settled."""
        del lacking[number]
        entries = self.manifest.shard(number)
        if any(entry.state == "wanted" for entry in entries):
            return
        videos = tuple(
            WantedVideo(
                entry.video_id, entry.path or "", self.settings.clips_of(self._splits[entry.row - 1]), entry.seconds
            )
            for entry in entries
            if entry.state == "fetched"
        )
        job = ShardJob(self.store, number, self.settings.form, self.settings.protocol, videos)
        shards[self.engine.submit(job)] = number

    def _finish(self, result: ShardResult) -> None:
        files = [Path(entry.path) for entry in self.manifest.shard(result.number) if entry.path is not None]
        self.manifest.finish(result.number, result.outcomes)
        for file in files:
            if file.is_relative_to(self.fetcher.into.absolute()):
                file.unlink(missing_ok=True)
        self._clips += result.clips
        self._bytes += result.size

    def _say_how_far(self, done: int, total: int, seconds: float) -> None:
        counts = ", ".join(f"{count:,} {state}" for state, count in self.manifest.counts().items() if count)
        self.say(
            f"{done:,} of {total:,} shards in {seconds:.0f} s: {self._clips:,} clips, {self._bytes / 1e9:.2f} GB; "
            f"videos: {counts}"
        )


def _outcomes(entries: list[Entry], failed: dict[str, tuple[State | None, str | None]]) -> list[Any]:
    """Of videos that a finished shard holds, whatever the manifest knows of them."""
    states = []
    for entry in entries:
        if entry.video_id in failed:
            state, reason = failed[entry.video_id]
            # Older sidecars have no state.
            states.append((entry.video_id, "fetched" if reason is None else state or "undecodable", reason or ""))
    return states


def probe(fetcher: Fetcher, names: list[str], threads: int) -> dict[str, Outcome]:
    """What became of each of some videos, asked for and not fetched; those that could not be settled stay `wanted`."""
    with ThreadPoolExecutor(threads, "probe") as pool:
        try:
            return {outcome.video_id: outcome for outcome in pool.map(fetcher.probe, names)}
        finally:
            fetcher.pace.stop()


def require_ids(listed: pa.Table) -> None:
    """Refuse lists without a video.

    Raises:
        UserError: If there is none.
    """
    if not len(listed):
        raise UserError("no video is wanted; raise --videos")
