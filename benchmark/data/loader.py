"""Which keys form a batch, in which order, on which process; and a loader that can go on in mid-epoch."""

import collections
import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import DataLoader, Sampler

from benchmark.clip import ClipBatch
from benchmark.data.sampling import epoch_order, visited_clips

Key = TypeVar("Key")


class Announcing(list[Key]):
    """The keys of a batch, and those that the same worker will be asked for next: a reader may fetch them already.

    Args:
        keys: Of the batch.
        coming: Of the next one; none if it is not known.
    """

    def __init__(self, keys: Iterable[Key] = (), coming: Iterable[Key] = ()) -> None:
        super().__init__(keys)
        self.coming = list(coming)


class Batches(Sampler[list[Key]]):
    """Batches of keys, in an order that is known beforehand."""

    workers: int | None = None
    """Loader workers that take the batches in turns, each of which is told what it will get next; None tells nobody."""

    def __iter__(self) -> Iterator[list[Key]]:
        if self.workers is None:
            yield from self.batches()
            return
        held: collections.deque[list[Key]] = collections.deque()
        for batch in self.batches():
            held.append(batch)
            if len(held) > max(1, self.workers):
                yield Announcing(held.popleft(), batch)
        yield from held

    def batches(self) -> Iterator[list[Key]]:
        """All of them."""
        raise NotImplementedError


class EpochBatches(Batches[tuple[int, int, int]]):
    """Batches of (epoch, row, clip) for training, the same number on every process.

    Args:
        rows: Rows of the training videos, (N,), ascending.
        batch_size: Clips a batch on each process.
        clips_per_video: Clips a video offers.
        clips_per_epoch: Clips of each video that an epoch visits.
        seed: Seed of order and choice.
        rank: Number of this process.
        processes: Number of processes; up to `processes - 1` clips at the end of an epoch's order are left out.
        draws: Augmentations of each clip, taken in turn before any comes again: keys are then (draw, row, clip). None
            gives each epoch its own.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        *,
        clips_per_video: int,
        clips_per_epoch: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        draws: int | None = None,
    ) -> None:
        self.rows, self.batch_size, self.seed, self.draws = rows, batch_size, seed, draws
        self.clips_per_video, self.clips_per_epoch = clips_per_video, clips_per_epoch
        self.rank, self.processes = rank, processes
        self.epoch = 0
        self._visited: tuple[int, np.ndarray, np.ndarray] | None = None
        self.first_batch: dict[int, int] = {}  # by epoch: where a resumed one goes on

    @property
    def sampler(self) -> "EpochBatches":
        """Itself: where Lightning looks for something whose epoch it may set."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.rows) * self.clips_per_epoch // self.processes / self.batch_size)

    def batches(self) -> Iterator[list[tuple[int, int, int]]]:
        """Those of the epoch that are left, (epoch or draw, row, clip) each."""
        clips, mine = self._order(self.epoch)
        first, self.first_batch = self.first_batch.get(self.epoch, 0), {}
        for batch in range(first, len(self)):
            places = mine[batch * self.batch_size : (batch + 1) * self.batch_size]
            rows, numbers = self.rows[places // self.clips_per_epoch], clips.reshape(-1)[places]
            turns = self._turns(self.epoch)[places % self.clips_per_epoch]
            yield [(int(turn), int(row), int(n)) for turn, row, n in zip(turns, rows, numbers, strict=True)]

    def visited(self, epoch: int, row: int) -> list[int]:
        """The clips of a video that come in an epoch on this process."""
        if self._visited is None or self._visited[0] != epoch:
            clips, mine = self._order(epoch)
            comes = np.zeros(clips.size, bool)
            comes[mine] = True
            self._visited = epoch, clips, comes.reshape(clips.shape)
        _, clips, comes = self._visited
        place = np.searchsorted(self.rows, row)
        found: list[int] = clips[place][comes[place]].tolist()
        return found

    def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(videos, clips) clip numbers that an epoch visits, and their places in the order of this process."""
        clips = visited_clips(self.seed, epoch, len(self.rows), self.clips_per_video, self.clips_per_epoch)
        order = epoch_order(self.seed, epoch, clips.size)
        return clips, order[: clips.size // self.processes * self.processes][self.rank :: self.processes]

    def _turns(self, epoch: int) -> np.ndarray:
        """What chooses the augmentation of each of the clips that an epoch visits in a video, (clips,) int64."""
        if self.draws is None:
            return np.full(self.clips_per_epoch, epoch)
        visits = (epoch * self.clips_per_epoch + np.arange(self.clips_per_epoch)) // self.clips_per_video
        return np.asarray(visits % self.draws)

    def keys(self, epochs: int) -> np.ndarray:
        """The distinct (row, clip, draw) of the first epochs on all processes, (N, 3) int64, ascending."""
        clips_of_video, draws = self.clips_per_video, self.draws or 1
        # After so many epochs every clip was there in every draw.
        last = min(epochs, math.ceil(clips_of_video * draws / self.clips_per_epoch))
        found = [np.empty(0, np.int64)]
        for epoch in range(last):
            clips = visited_clips(self.seed, epoch, len(self.rows), clips_of_video, self.clips_per_epoch)
            found.append((self.rows[:, None] * clips_of_video + clips) * draws + self._turns(epoch)[None])
        codes = np.unique(np.concatenate(found, axis=None))
        return np.stack([codes // draws // clips_of_video, codes // draws % clips_of_video, codes % draws], -1)


class VideoBatches(Batches[int]):
    """Batches of whole videos in index order, none twice and none left out, whatever the number of processes.

    Args:
        rows: Rows of the videos, (N,).
        videos_per_batch: Videos a batch.
        rank: Number of this process.
        processes: Number of processes.
    """

    def __init__(self, rows: np.ndarray, videos_per_batch: int, *, rank: int = 0, processes: int = 1) -> None:
        self.rows, self.videos_per_batch = rows[rank::processes], videos_per_batch

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.videos_per_batch)

    def batches(self) -> Iterator[list[int]]:
        """Rows of each."""
        for first in range(0, len(self.rows), self.videos_per_batch):
            yield self.rows[first : first + self.videos_per_batch].tolist()


class ResumableLoader(DataLoader[ClipBatch]):
    """A training loader that remembers how many batches of its epoch it handed out.

    Lightning stores `state_dict()` in every checkpoint, so a run killed in mid-epoch goes on with the next batch.
    """

    batch_sampler: EpochBatches
    _handed_out = 0

    def __iter__(self) -> Iterator[ClipBatch]:  # type: ignore[override]
        self._handed_out = self.batch_sampler.first_batch.get(self.batch_sampler.epoch, 0)
        for batch in super().__iter__():
            self._handed_out += 1
            yield batch
        self._handed_out = 0

    def state_dict(self) -> dict[str, Any]:
        """The current epoch, and its batches that were handed out; 0 after the last one.

        The epoch tells a run that was stopped within it from one whose epochs are limited to some batches.
        """
        return {"epoch": self.batch_sampler.epoch, "batches": self._handed_out % len(self)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration, if it is of the same epoch, begin after the batches that were handed out."""
        self.batch_sampler.epoch, self._handed_out = state["epoch"], state["batches"]
        self.batch_sampler.first_batch = {state["epoch"]: state["batches"]}
