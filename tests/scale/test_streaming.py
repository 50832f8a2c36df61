import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.clip import ClipBatch
from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.needs import ClipNeeds
from benchmark.data.sports1m import Sports1M
from benchmark.errors import UserError
from benchmark.scale.pictures import CODEC, Format
from benchmark.scale.sources import FolderSource
from benchmark.scale.sports1m_shards import Sports1MShards
from benchmark.scale.store import Store
from tests.generators.sports1m_set import ids, write_lists, write_videos
from tests.scale.jobs import CLIPS, prepare

NAMES = ids(16)
BROKEN, DEAD = NAMES[3], NAMES[14:]
TAKEN = ClipsPerVideo(train=6, train_epoch=2, validation=3, test=4)
ALL = ClipsPerVideo(train=6, train_epoch=6, validation=3, test=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists, videos of which one is broken and two are not there, and a store of each format."""
    folder = tmp_path_factory.mktemp("sports1m")
    write_lists(folder / "lists", NAMES, tests=6)
    write_videos(folder / "videos", NAMES[:14])
    (folder / "videos" / f"{BROKEN}.mp4").write_bytes(b"not a video" * 100)
    for form in ("exact", "compact"):
        prepare(folder / "lists", folder / "videos", Store(str(folder / form)), folder / f"work-{form}", form=form)
    return folder


def shards(folder: Path, form: Format = "exact", **options: object) -> Sports1MShards:
    given = {"clips_per_video": TAKEN, "batch_size": 5, "num_workers": 0, **options}
    return Sports1MShards(str(folder / form), **given).serve(ClipNeeds((3, 4, 12), 64))  # type: ignore[arg-type]


def files(folder: Path, **options: object) -> Sports1M:
    given = {"clips_per_video": TAKEN, "batch_size": 5, "num_workers": 0, **options}
    data = Sports1M(folder / "videos", lists=folder / "lists", **given)  # type: ignore[arg-type]
    return data.serve(ClipNeeds((3, 4, 12), 64))


def require_equal(one: Iterator[ClipBatch], other: Iterator[ClipBatch]) -> int:
    clips = 0
    for first, second in zip(one, other, strict=True):
        assert torch.equal(first.frames, second.frames)
        for name in ("labels", "rows", "clips", "starts", "padded"):
            assert torch.equal(getattr(first, name), getattr(second, name))
        assert [f.video_id for f in first.failures] == [f.video_id for f in second.failures]
        assert [f.reason for f in first.failures] == [f.reason for f in second.failures]
        clips += len(first.clips)
    return clips


def test_an_exact_store_gives_the_batches_that_files_give(folder: Path) -> None:
    one, other = shards(folder), files(folder)
    assert one.index.fingerprint == other.index.fingerprint
    assert one.test_protocol == other.test_protocol
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        assert require_equal(iter(getattr(one, loader)()), iter(getattr(other, loader)()))


def test_what_a_video_shows_is_known_as_of_files(folder: Path) -> None:
    for split in ("train", "validation", "test"):
        one, other = shards(folder).contents(split), files(folder).contents(split)
        assert one.digests.tolist() == other.digests.tolist()
        assert one.prints.tolist() == other.prints.tolist()
        assert len(one)


def test_a_compact_store_is_another_protocol_of_nearly_the_same_pixels(folder: Path) -> None:
    lossy, exact = shards(folder, "compact"), files(folder)
    assert lossy.test_protocol.stored == CODEC
    assert lossy.test_protocol.hash != exact.test_protocol.hash
    differences = [
        np.abs(one.frames.numpy().astype(int) - other.frames.numpy()).mean()
        for one, other in zip(lossy.test_dataloader(), exact.test_dataloader(), strict=True)
        if len(one.clips)
    ]
    assert 0 < max(differences) < 6
    sizes = [sum(f.stat().st_size for f in (folder / form / "shards").glob("*.shard")) for form in ("exact", "compact")]
    assert sizes[1] < sizes[0]


def test_the_frame_cache_serves_later_epochs(folder: Path, tmp_path: Path) -> None:
    plain = list(shards(folder).train_dataloader())
    cached = shards(folder, cache="disk", cache_dir=tmp_path)
    for _ in range(2):
        require_equal(iter(cached.train_dataloader()), iter(plain))
    held = cached.frame_cache
    assert held is not None
    hits, misses = held.hits_and_misses
    assert hits >= misses > 0


def test_damage_in_the_store_is_a_failed_video_with_a_reason(folder: Path, tmp_path: Path) -> None:
    prepare(folder / "lists", folder / "videos", Store(str(tmp_path / "exact")), tmp_path / "work")
    data = shards(tmp_path)
    row = int(data.index.rows("test")[0])
    shard, offset, index, *_ = data.places.numbers[row].tolist()
    file = tmp_path / "exact" / "shards" / f"{shard:06d}.shard"
    held = bytearray(file.read_bytes())
    held[offset:index] = bytes(index - offset)
    held[index + 6] ^= 1
    file.write_bytes(held)
    failures = {f.row: f.reason for batch in data.test_dataloader() for f in batch.failures}
    assert failures[row] == "its index in the store is damaged"
    held[index + 6] ^= 1
    file.write_bytes(held)
    failures = {f.row: f.reason for batch in shards(tmp_path).test_dataloader() for f in batch.failures}
    assert failures[row] == "its bytes in the store are damaged"
    file.write_bytes(held[: offset + 10])
    failures = {f.row: f.reason for batch in shards(tmp_path).test_dataloader() for f in batch.failures}
    assert "which was changed since it was read" in failures[row]


def visit(
    store: str, workers: int, state: dict[str, int] | None, stop: int, sink: "multiprocessing.Queue[object]"
) -> None:
    """Read on from a state, tell each batch, and be killed after some."""
    torch.set_num_threads(1)  # a fork has none of the threads that OpenMP would wait for
    data = Sports1MShards(store, clips_per_video=ALL, batch_size=2, num_workers=workers).serve(ClipNeeds((8,), 64))
    loader = data.train_dataloader()
    if state is not None:
        loader.load_state_dict(state)  # type: ignore[attr-defined]
    for number, batch in enumerate(loader):
        keys = [*zip(batch.rows.tolist(), batch.clips.tolist(), strict=True)]
        sink.put((keys, [f.row for f in batch.failures], loader.state_dict(), batch.frames.sum().item()))  # type: ignore[attr-defined]
        if number == stop:
            sink.close()
            sink.join_thread()
            os.kill(os.getpid(), signal.SIGKILL)


def test_every_clip_once_an_epoch_through_kills_with_other_numbers_of_workers(folder: Path) -> None:
    whole = list(shards(folder, batch_size=2, clips_per_video=ALL).serve(ClipNeeds((8,), 64)).train_dataloader())
    seen: list[tuple[object, ...]] = []
    state: Any = None
    context = multiprocessing.get_context("fork")
    for workers, stop in ((1, 1), (3, 2), (2, 0), (0, 1), (3, 99)):
        sink: multiprocessing.Queue[object] = context.Queue()
        process = context.Process(target=visit, args=(str(folder / "exact"), workers, state, stop, sink))
        process.start()
        process.join(120)
        process.kill()
        assert process.exitcode == (0 if stop == 99 else -signal.SIGKILL)
        while not sink.empty():
            seen.append(sink.get(timeout=10))  # type: ignore[arg-type]
        state = seen[-1][2]
    assert [keys for keys, *_ in seen] == [
        [*zip(batch.rows.tolist(), batch.clips.tolist(), strict=True)] for batch in whole
    ]
    assert [total for *_, total in seen] == [batch.frames.sum().item() for batch in whole]
    times = Counter(key for keys, *_ in seen for key in keys)  # type: ignore[attr-defined]
    assert set(times.values()) == {1}
    assert len(times) == 6 * len(shards(folder).index.rows("train"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"clips_per_video": ClipsPerVideo(train=100)}, "keeps fewer clips a video.*train 100 of 6"),
        ({"sampler_seed": 7}, "made with other clips: sampler_seed 7 in place of 2014"),
        ({"clip_seconds": 0.5}, "were chosen and decoded when it was made"),
        ({"decoder": "torchcodec"}, "were chosen and decoded when it was made"),
    ],
)
def test_what_a_store_cannot_give_is_refused(options: dict[str, Any], said: str, folder: Path) -> None:
    with pytest.raises(UserError, match=said):
        _ = shards(folder, **options).test_protocol


def test_stores_that_are_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no store at .*store.json"):
        _ = shards(tmp_path).index
    source = FolderSource(folder / "videos")

    class Interrupted(BaseException): ...

    class Engine:
        slots = 1

        def submit(self, job: object) -> None:
            raise Interrupted

        def close(self) -> None: ...

    with pytest.raises(Interrupted):
        prepare(folder / "lists", source, Store(str(tmp_path / "exact")), tmp_path / "w", engine=Engine())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="is not finished"):
        _ = shards(tmp_path).index


def test_a_longer_clip_of_a_model_is_refused(folder: Path) -> None:
    data = Sports1MShards(str(folder / "exact"), clips_per_video=TAKEN, num_workers=0)
    data.serve(ClipNeeds((0, 31), 64, 32))
    with pytest.raises(UserError, match="clip_frames 32 in place of 16"):
        data.train_dataloader()


def test_pictures_of_a_video(folder: Path) -> None:
    data = shards(folder)
    shown = data.shown_frames(NAMES[0])
    assert shown is not None
    assert shown.shape == (5, 200, 200, 3)
    assert data.shown_frames(BROKEN) is None
    assert data.shown_frames(DEAD[0]) is None
    assert "13 fetched, 2 dead, 1 undecodable" in data.summary()
    assert CLIPS.train == TAKEN.train
