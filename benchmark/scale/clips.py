"""Reads clips out of a store: of a batch, first all indexes that are not known yet, then all frames, asked for at once.

While a batch is decoded, the reader fetches the next one that it is told of, so that a distant store costs no more time
than a near one.
"""

import collections
import dataclasses
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import torch

from benchmark.clip import Failure
from benchmark.data.dataset import ClipReader, Sample
from benchmark.data.decode import DecodeError
from benchmark.data.index import Video
from benchmark.data.laps import lap
from benchmark.data.sampling import ClipPlan
from benchmark.scale.job import shard_name
from benchmark.scale.pictures import unpacked
from benchmark.scale.ranges import Range, ShortError
from benchmark.scale.settings import StoreSettings
from benchmark.scale.shards import Layout, unpacked_index
from benchmark.scale.store import Store

_INDEXES = 2048  # of videos, kept by each process: 30 kB each
_AT_ONCE = 16  # videos of which frames are asked for together
_PARTS = 4  # such parts that are fetched at the same time

_Wanted = Sequence[tuple[Video, Sequence[int]]]
_Name = tuple[tuple[int, tuple[int, ...]], ...]  # of a part: rows, and their clips

SHARD, OFFSET, INDEX, END, FRAMES, CLIPS = range(6)
"""Columns of `ShardPlaces.numbers`."""


@dataclasses.dataclass(frozen=True)
class ShardPlaces:
    """Where the clips of each row of an index are.

    Args:
        store: The store.
        settings: What it is made of.
        numbers: (N, 6) int64: shard, places in its file, frames of the video, clips that are kept.
        failures: By row, why a video could not be decoded.
    """

    store: Store
    settings: StoreSettings
    numbers: torch.Tensor
    failures: dict[int, str]


@dataclasses.dataclass
class _Known:
    """What has to be known of a video before its frames can be asked for: which are kept, and where each unit lies."""

    layout: Layout
    places: np.ndarray


@dataclasses.dataclass
class _Asked:
    """A video of a batch, and what is there of it.

    Args:
        video: The video.
        clips: Which of its clips are wanted.
        plan: Where they lie.
        key: Of the video in the frame cache.
        starts: First frame of each clip.
        numbers: (clips, T) frames they read.
        distinct: (n,) ascending, these frames.
        pictures: (n, S, S, 3) uint8, the frames; of those that are not kept anything.
        is_kept: (n,) bool, which of them the frame cache had.
        known: Where its units are, once that is known.
        units: The bytes of the units that hold the others, by their number.
        problem: Why it cannot be read.
    """

    video: Video
    clips: Sequence[int]
    plan: ClipPlan
    key: int
    starts: list[int]
    numbers: np.ndarray
    distinct: np.ndarray
    pictures: np.ndarray
    is_kept: np.ndarray
    known: _Known | None = None
    units: dict[int, bytes] = dataclasses.field(default_factory=dict)
    problem: str = ""


class _Own:
    """What a process keeps for a reader.

    Args:
        process: Its number.
    """

    def __init__(self, process: int) -> None:
        self.process = process
        self.known = collections.OrderedDict[int, Future[_Known]]()  # by row
        self.lock = threading.Lock()
        self.threads = ThreadPoolExecutor(_PARTS, "clips")
        self.coming = dict[_Name, Future[list[_Asked]]]()


@dataclasses.dataclass(frozen=True)
class ShardClipReader(ClipReader):
    """Reads clips of a store as `ClipReader` reads those of files: the same samples.

    Args:
        places: Where the clips are; always given.
    """

    places: ShardPlaces | None = None

    reads_files: ClassVar[bool] = False

    def read(self, video: Video, clips: Sequence[int], ahead: Sequence[int] = ()) -> Sample:
        """See `ClipReader.read`; a store gives later clips as fast when they are wanted."""
        (sample,) = self.read_each([(video, clips)])
        if isinstance(sample, Failure):
            raise DecodeError(sample.reason)
        return sample

    def read_each(self, wanted: _Wanted, ahead: Sequence[Sequence[int]] | None = None) -> Iterator[Sample | Failure]:
        """See `ClipReader.read_each`.

        Raises:
            UserError: If the store does not answer.
        """
        coming = self._own.coming
        parts = [coming.pop(name) if (name := _name(part)) in coming else self._begin(part) for part in _parts(wanted)]
        return (sample for fetched in parts for sample in map(self._sample, fetched.result()))

    def expect(self, wanted: _Wanted) -> None:
        """See `ClipReader.expect`."""
        own = self._own
        for fetched in own.coming.values():  # what was expected and not asked for
            fetched.cancel()
        own.coming = {_name(part): self._begin(part) for part in _parts(wanted)}

    def _begin(self, part: _Wanted) -> "Future[list[_Asked]]":
        return self._own.threads.submit(self._fetched, part)

    @property
    def _where(self) -> ShardPlaces:
        if self.places is None:
            raise ValueError("places of the clips have to be given")
        return self.places

    @property
    def _own(self) -> "_Own":
        """What this process has; one that was forked off has nothing, since threads stay where they were started."""
        held: _Own | None = self.__dict__.get("_held")
        if held is None or held.process != os.getpid():
            held = self.__dict__["_held"] = _Own(os.getpid())
        return held

    def __getstate__(self) -> dict[str, object]:
        """Another process learns for itself what it needs of the store."""
        return {name: value for name, value in self.__dict__.items() if name != "_held"}

    def _fetched(self, wanted: _Wanted) -> list[_Asked]:
        """All bytes that some videos need."""
        asked = [self._asked(video, clips) for video, clips in wanted]
        waiting = [one for one in asked if not one.problem and not one.is_kept.all()]
        self._learn(waiting)
        ranges: list[Range] = []
        owners: list[tuple[_Asked, list[int]]] = []
        for one in waiting:
            if one.known is not None:
                for units in _runs(np.unique(one.known.layout.units(one.distinct[~one.is_kept])[0])):
                    places = one.known.places
                    ranges.append(self._range(one.video.row, int(places[units[0]]), int(places[units[-1] + 1])))
                    owners.append((one, units))
        for (one, units), held in zip(owners, self._bytes(ranges), strict=True):
            if held is None or one.known is None:
                one.problem = "its frames are not in the store, which was changed since it was read"
                continue
            places = one.known.places - one.known.places[units[0]]
            one.units |= {unit: held[places[unit] : places[unit + 1]] for unit in units}
        lap("open")
        return asked

    def _asked(self, video: Video, clips: Sequence[int]) -> _Asked:
        where, side = self._where, self.protocol.frame_side
        numbers = where.numbers[video.row].tolist()
        if max(clips) >= numbers[CLIPS]:
            raise ValueError(f"clip {max(clips)} of {video.video_id} is wanted, and {numbers[CLIPS]} are kept")
        key = f"{where.settings.identity}\0{numbers}\0{video.video_id}"
        plan = ClipPlan(self.protocol, video.video_id, max(numbers[FRAMES], 1))
        starts = [plan.start(clip) for clip in clips]
        read = np.array([plan.numbers(start, self.frame_offsets) for start in starts])
        distinct = np.unique(read)
        asked = _Asked(
            video, clips, plan, int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") | 1,
            starts, read, distinct, np.empty((0, side, side, 3), np.uint8), np.zeros(len(distinct), bool),
            problem=where.failures.get(video.row, ""),
        )  # fmt: skip
        if not asked.problem and self.cache is not None:
            asked.pictures, asked.is_kept = self.cache.read(asked.key, distinct)
        elif not asked.problem:
            asked.pictures = np.empty((len(distinct), side, side, 3), np.uint8)
        return asked

    def _learn(self, asked: Sequence[_Asked]) -> None:
        """Read the indexes of those videos of which nobody does yet, and wait for the others."""
        own = self._own
        mine: list[tuple[_Asked, Future[_Known]]] = []
        with own.lock:
            for one in asked:
                if one.video.row not in own.known:
                    own.known[one.video.row] = Future()
                    mine.append((one, own.known[one.video.row]))
            coming = [own.known[one.video.row] for one in asked]
            while len(own.known) > _INDEXES:
                own.known.popitem(last=False)
        try:
            self._read_indexes(mine)
        except BaseException as error:
            for _, known in mine:
                if not known.done():
                    known.set_exception(error)
            raise
        finally:
            with own.lock:
                for one, known in mine:
                    if known.exception() is not None and own.known.get(one.video.row) is known:
                        del own.known[one.video.row]  # the next who needs it tries again
        for one, known in zip(asked, coming, strict=True):
            try:
                one.known = known.result()
            except DecodeError as error:
                one.problem = str(error)

    def _read_indexes(self, asked: "Sequence[tuple[_Asked, Future[_Known]]]") -> None:
        where = self._where
        blocks = self._bytes([
            Range(shard_name(shard), index, end)
            for shard, _, index, end, _, _ in (where.numbers[one.video.row].tolist() for one, _ in asked)
        ])  # fmt: skip
        for (one, known), block in zip(asked, blocks, strict=True):
            layout = Layout.of(one.plan, int(where.numbers[one.video.row, CLIPS]), where.settings.form)
            try:
                if block is None:
                    raise DecodeError("its index is not in the store, which was changed since it was read")
                known.set_result(_Known(layout, unpacked_index(block, len(layout.sizes))))
            except DecodeError as error:
                known.set_exception(error)

    def _range(self, row: int, first: int, end: int) -> Range:
        shard, offset = self._where.numbers[row, [SHARD, OFFSET]].tolist()
        return Range(shard_name(shard), offset + first, offset + end)

    def _bytes(self, ranges: Sequence[Range]) -> list[bytes | None]:
        """The bytes of ranges; None where a file is not there or ends too early."""
        store = self._where.store
        try:
            return [*store.read_ranges(ranges)]
        except (FileNotFoundError, ShortError):
            if len(ranges) == 1:
                return [None]
            return [part for one in ranges for part in self._bytes([one])]

    def _sample(self, asked: _Asked) -> Sample | Failure:
        video, side = asked.video, self.protocol.frame_side
        try:
            if asked.problem:
                raise DecodeError(asked.problem)
            if not asked.is_kept.all() and asked.known is not None:
                lacking = np.flatnonzero(~asked.is_kept)
                units, places = asked.known.layout.units(asked.distinct[lacking])
                for unit in dict.fromkeys(units.tolist()):
                    mine = units == unit
                    asked.pictures[lacking[mine]] = unpacked(asked.units[unit], side, places[mine].tolist())
                if self.cache is not None:
                    frames = int(self._where.numbers[video.row, FRAMES])
                    self.cache.add(asked.key, frames, asked.distinct[lacking], asked.pictures[lacking])
        except DecodeError as error:
            return Failure(video.row, video.video_id, str(error))
        lap("decode")
        frames_of_clips = asked.pictures[np.searchsorted(asked.distinct, asked.numbers)]
        return Sample(video.row, video.labels, frames_of_clips, asked.clips, asked.starts, asked.plan.is_short)


def _parts(wanted: _Wanted) -> list[_Wanted]:
    """What is fetched together."""
    return [wanted[first : first + _AT_ONCE] for first in range(0, len(wanted), _AT_ONCE)]


def _name(part: _Wanted) -> _Name:
    return tuple((video.row, tuple(clips)) for video, clips in part)


def _runs(units: np.ndarray) -> list[list[int]]:
    """Ascending numbers in runs without gaps."""
    return [run.tolist() for run in np.split(units, np.flatnonzero(np.diff(units) != 1) + 1)]
