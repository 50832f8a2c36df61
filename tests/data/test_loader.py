import pickle
from collections import Counter
from itertools import chain, islice
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from benchmark.clip import ClipBatch
from benchmark.data.loader import EpochBatches, ResumableLoader, VideoBatches

Key = tuple[int, int, int]
ROWS = np.array([3, 4, 8, 9, 20, 21, 22])


def epoch_batches(rank: int = 0, processes: int = 1, **changes: Any) -> EpochBatches:
    settings: dict[str, Any] = {"rows": ROWS, "batch_size": 4, "clips_per_video": 10, "clips_per_epoch": 3, "seed": 1}
    return EpochBatches(**settings | changes, rank=rank, processes=processes)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_processes_share_an_epoch(processes: int, batch_size: int, epoch: int) -> None:
    everyone: list[Key] = []
    lengths = set()
    for rank in range(processes):
        batches = epoch_batches(rank, processes, batch_size=batch_size)
        batches.set_epoch(epoch)
        yielded = list(batches)
        assert len(yielded) == len(batches)
        assert all(len(batch) == batch_size for batch in yielded[:-1])
        lengths.add(tuple(len(batch) for batch in yielded))
        everyone += chain.from_iterable(yielded)
    assert len(lengths) == 1  # every process steps as often, with as many clips, or the others would wait for ever
    assert len(set(everyone)) == len(everyone) == 21 // processes * processes
    assert {key[0] for key in everyone} == {epoch}
    assert {key[1] for key in everyone} <= set(ROWS.tolist())
    assert all(count <= 3 for count in Counter(key[1] for key in everyone).values())


def test_all_clips_of_all_videos_come_before_any_comes_again() -> None:
    batches = epoch_batches(clips_per_video=12)
    seen: Counter[tuple[int, int]] = Counter()
    for epoch in range(4):
        batches.set_epoch(epoch)
        seen.update(key[1:] for key in chain.from_iterable(batches))
    assert seen == Counter((int(row), clip) for row in ROWS for clip in range(12))


def test_processes_together_see_what_one_process_sees() -> None:
    together = chain.from_iterable(chain.from_iterable(epoch_batches(rank, 3)) for rank in range(3))
    assert set(together) == set(chain.from_iterable(epoch_batches()))


def test_an_epoch_is_a_function_of_the_seed() -> None:
    assert list(epoch_batches()) == list(epoch_batches())
    assert list(epoch_batches()) != list(epoch_batches(seed=2))
    other = epoch_batches()
    other.set_epoch(1)
    assert [[key[1:] for key in batch] for batch in other] != [[key[1:] for key in batch] for batch in epoch_batches()]


@pytest.mark.parametrize(("rank", "processes"), [(0, 1), (0, 2), (1, 2)])
def test_what_an_epoch_visits_on_a_process_is_known_beforehand(rank: int, processes: int) -> None:
    batches = epoch_batches(rank, processes)
    for epoch in (1, 4, 1):
        batches.set_epoch(epoch)
        came = sorted((row, clip) for _, row, clip in chain.from_iterable(batches))
        batches.set_epoch(0)  # a worker is not told
        assert sorted((row, clip) for row in ROWS.tolist() for clip in batches.visited(epoch, row)) == came


def test_keys_are_plain_integers() -> None:
    assert {type(part) for key in next(iter(epoch_batches())) for part in key} == {int}


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("videos", [0, 1, 3, 7])
@pytest.mark.parametrize("in_a_batch", [1, 2, 10])
def test_every_video_is_scored_once(processes: int, videos: int, in_a_batch: int) -> None:
    shares = [VideoBatches(ROWS[:videos], in_a_batch, rank=rank, processes=processes) for rank in range(processes)]
    for share in shares:
        assert len(list(share)) == len(share)
        assert all(1 <= len(batch) <= in_a_batch for batch in share)
        assert list(chain.from_iterable(share)) == sorted(chain.from_iterable(share))
    assert sorted(chain.from_iterable(chain.from_iterable(shares))) == ROWS[:videos].tolist()


class Keys(Dataset[Key]):
    """Samples that are their own keys."""

    def __getitem__(self, key: Key) -> Key:
        return key


def as_batch(keys: list[Key]) -> ClipBatch:
    epochs, rows, clips = torch.tensor(keys).T
    frames = torch.zeros(len(keys), 1, 1, 1, 3, dtype=torch.uint8)
    return ClipBatch(frames, torch.zeros(len(keys), 1), rows, clips, epochs, torch.zeros(len(keys), dtype=torch.bool))


def loader(workers: int = 0) -> ResumableLoader:
    settings: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    return ResumableLoader(cast(Any, Keys()), batch_sampler=epoch_batches(), collate_fn=as_batch, **settings)


def keys_of(batches: list[ClipBatch]) -> list[list[Key]]:
    return [list(zip(b.starts.tolist(), b.rows.tolist(), b.clips.tolist(), strict=True)) for b in batches]


@pytest.mark.parametrize(("workers", "stop"), [(0, 1), (0, 3), (0, 5), (2, 2)])
def test_a_loader_goes_on_behind_the_batches_that_were_handed_out(workers: int, stop: int) -> None:
    whole = epoch_batches()
    whole.set_epoch(2)
    interrupted, resumed = loader(workers), loader(workers)
    interrupted.batch_sampler.set_epoch(2)
    first = list(islice(interrupted, stop))
    assert keys_of(first) == list(whole)[:stop]
    assert interrupted.state_dict() == {"epoch": 2, "batches": stop}  # not those that workers have prepared
    resumed.load_state_dict(interrupted.state_dict())
    resumed.batch_sampler.set_epoch(2)
    assert resumed.state_dict() == {"epoch": 2, "batches": stop}
    assert keys_of(list(resumed)) == list(whole)[stop:]


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_after_a_resumed_one_are_whole(workers: int) -> None:
    resumed = loader(workers)
    resumed.load_state_dict({"epoch": 0, "batches": 4})
    assert len(list(resumed)) == len(resumed) - 4
    assert resumed.state_dict() == {"epoch": 0, "batches": 0}
    resumed.batch_sampler.set_epoch(1)
    expected = epoch_batches()
    expected.set_epoch(1)
    assert keys_of(list(resumed)) == list(expected)


def test_an_epoch_behind_one_of_limited_length_is_whole() -> None:
    resumed = loader()
    resumed.load_state_dict({"epoch": 0, "batches": 2})  # stopped behind epoch 0, of which only 2 batches were wanted
    resumed.batch_sampler.set_epoch(1)
    expected = epoch_batches()
    expected.set_epoch(1)
    assert keys_of(list(resumed)) == list(expected)


def test_the_state_counts_batches() -> None:
    counted = loader()
    assert counted.state_dict() == {"epoch": 0, "batches": 0}
    states = [counted.state_dict()["batches"] for _ in counted]
    assert states == [1, 2, 3, 4, 5, 0]


def test_an_abandoned_epoch_is_not_carried_over() -> None:
    abandoned = loader()
    for _ in abandoned:
        break
    assert len(list(abandoned)) == len(abandoned)


def test_lightning_finds_where_to_set_the_epoch() -> None:
    """It looks at the batch sampler's own sampler for a `set_epoch`."""
    found = loader()
    found.batch_sampler.sampler.set_epoch(6)
    assert {key[0] for key in chain.from_iterable(found.batch_sampler)} == {6}


@pytest.mark.parametrize(("workers", "apart"), [(0, 1), (1, 1), (3, 3)])
def test_a_batch_says_what_its_worker_is_asked_for_next(workers: int, apart: int) -> None:
    plain, telling = [*epoch_batches()], epoch_batches()
    telling.workers = workers
    told = [*telling]
    assert told == plain
    assert not any(hasattr(batch, "coming") for batch in plain)
    for place, batch in enumerate(told):
        assert getattr(pickle.loads(pickle.dumps(batch)), "coming", []) == [*plain, *[[]] * apart][place + apart]
