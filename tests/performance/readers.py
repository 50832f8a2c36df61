"""Random clips of many videos: what a reader of byte ranges, LitData and WebDataset fetch and take for them.

    pip install litdata webdataset
    python -m tests.performance.readers --videos 40

Every reader has the same bytes: 100 clips a video, as large as those of the compact format. An epoch visits two of each
video, in an order of its own. The remote place is a folder; what is fetched from it is what lands in the local cache.
"""

import argparse
import importlib
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmark.scale.ranges import Range
from benchmark.scale.store import Store

CLIPS, VISITED, CLIP_BYTES, CHUNK_BYTES = 100, 2, 43_000, 2**26

Reader = Callable[[list[int]], Iterator[bytes]]


def clips(videos: int) -> Iterator[bytes]:
    """All clips, each of other bytes."""
    rng = np.random.default_rng(0)
    return (rng.bytes(CLIP_BYTES) for _ in range(videos * CLIPS))


def ours(videos: int, remote: Path, local: Path) -> tuple[Reader, Callable[[], int]]:
    fetched = [0]
    names = []
    for first in range(0, videos, 15):
        name = f"{first:06d}.shard"
        names.append(name)
    remote.mkdir()
    source = clips(videos)
    for name in names:
        (remote / name).write_bytes(b"".join(itertools.islice(source, 15 * CLIPS)))
    store = Store(str(remote))

    def read(wanted: list[int]) -> Iterator[bytes]:
        for first in range(0, len(wanted), 32):
            places = [divmod(number, 15 * CLIPS) for number in wanted[first : first + 32]]
            parts = [Range(names[shard], place * CLIP_BYTES, (place + 1) * CLIP_BYTES) for shard, place in places]
            fetched[0] += sum(part.end - part.start for part in parts)
            yield from store.read_ranges(parts)

    return read, lambda: fetched[0]


def litdata(videos: int, remote: Path, local: Path) -> tuple[Reader, Callable[[], int]]:
    library, streaming = (importlib.import_module(name) for name in ("litdata", "litdata.streaming"))
    remote.mkdir()
    writer = streaming.Cache(str(remote), chunk_bytes=CHUNK_BYTES)
    for number, clip in enumerate(clips(videos)):
        writer[number] = clip
    writer.done()
    writer.merge()
    data = library.StreamingDataset(f"local:{remote}", cache_dir=str(local), shuffle=False)  # fetched as from elsewhere
    return lambda wanted: (data[number] for number in wanted), lambda: size_of(local)


def webdataset(videos: int, remote: Path, local: Path) -> tuple[Reader, Callable[[], int]]:
    wds = importlib.import_module("webdataset")
    remote.mkdir()
    source = clips(videos)
    names = []
    for first in range(0, videos, 15):
        names.append(str(remote / f"{first:06d}.tar"))
        with wds.TarWriter(names[-1]) as writer:
            for number, clip in enumerate(itertools.islice(source, 15 * CLIPS)):
                writer.write({"__key__": f"{first * CLIPS + number:09d}", "clip": clip})

    def read(wanted: list[int]) -> Iterator[bytes]:
        chosen = set(wanted)
        for sample in wds.WebDataset(names, shardshuffle=False):
            if int(sample["__key__"]) in chosen:
                yield sample["clip"]

    return read, lambda: size_of(remote)


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    wanted = [video * CLIPS + int(clip) for video in range(given.videos) for clip in rng.permutation(CLIPS)[:VISITED]]
    rng.shuffle(wanted)
    for make in (ours, webdataset, litdata):
        if given.only and make.__name__ not in given.only:
            continue
        folder = Path(tempfile.mkdtemp())
        try:
            read, fetched = make(given.videos, folder / "remote", folder / "local")
            begun, cpu, before = time.monotonic(), time.process_time(), 0
            count = sum(1 for _ in read(wanted))
            seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
            least = count * CLIP_BYTES
            print(
                f"{make.__name__}: {count} clips, {count / cpu:,.0f} a second of processor time, {seconds:.2f} s; "
                f"{(fetched() - before) / least:.1f} times the bytes they have",
                flush=True,
            )
        except ImportError as error:
            print(f"{make.__name__} is left out: {error}", file=sys.stderr)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
