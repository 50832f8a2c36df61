"""Random clips of many videos: what our reader, LitData, MosaicML Streaming and WebDataset take for them.

    pip install litdata webdataset mosaicml-streaming boto3
    python -m tests.performance.readers --videos 16

Every reader has the same bytes: 100 clips a video, each of 16 frames as large as those of the exact format. An epoch
visits two clips of each video, in an order of its own, and needs one or ten frames of a clip. The place is a folder, of
which the libraries copy into a local cache, or a local S3 server (plain HTTP for WebDataset) with 20 ms of delay.
"""

import argparse
import importlib
import itertools
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.scale.ranges import Range
from benchmark.scale.store import Store
from tests.performance.stores import serve

CLIPS, VISITED, FRAMES, FRAME_BYTES, CHUNK_BYTES = 100, 2, 16, 23_000, 2**26
CLIP_BYTES = FRAMES * FRAME_BYTES
INDEX_BYTES = 4_000  # of a video, which a range reader has to fetch before its frames
SHARD_VIDEOS, BATCH = 4, 32

Reader = Callable[[list[int], int], Iterator[bytes]]
"""Gives the wanted frames of each of some clips; how many frames of each."""


def clips(videos: int) -> Iterator[bytes]:
    """All clips, each of other bytes."""
    rng = np.random.default_rng(0)
    return (rng.bytes(CLIP_BYTES) for _ in range(videos * CLIPS))


class Place:
    """Where a library reads: a folder, and its address if it is behind the server.

    Args:
        folder: Of the files.
        local: Folder for a cache.
        server: Address of the server, if it is read through that.
    """

    def __init__(self, folder: Path, local: Path, server: str | None) -> None:
        self.folder, self.local, self.server = folder, local, server

    @property
    def address(self) -> str:
        return str(self.folder) if self.server is None else f"s3://bucket/{self.folder.name}"


def ours(videos: int, place: Place) -> Callable[[Place], Reader]:
    video_bytes = CLIPS * CLIP_BYTES + INDEX_BYTES
    source = clips(videos)
    for shard in range(0, videos, SHARD_VIDEOS):
        with (place.folder / f"{shard:06d}.shard").open("wb") as file:
            for _ in range(min(SHARD_VIDEOS, videos - shard)):
                file.writelines(itertools.islice(source, CLIPS))
                file.write(bytes(INDEX_BYTES))

    def reader(place: Place) -> Reader:
        store = Store(place.address)

        def read(wanted: list[int], frames: int) -> Iterator[bytes]:
            for first in range(0, len(wanted), BATCH):
                places = [divmod(number, CLIPS) for number in wanted[first : first + BATCH]]
                begins = [(f"{v - v % SHARD_VIDEOS:06d}.shard", v % SHARD_VIDEOS * video_bytes) for v, _ in places]
                store.read_ranges(
                    [Range(name, at + video_bytes - INDEX_BYTES, at + video_bytes) for name, at in begins]
                )
                yield from store.read_ranges([
                    Range(name, at + clip * CLIP_BYTES, at + clip * CLIP_BYTES + frames * FRAME_BYTES)
                    for (name, at), (_, clip) in zip(begins, places, strict=True)
                ])  # fmt: skip

        return read

    return reader


def litdata(videos: int, place: Place) -> Callable[[Place], Reader]:
    library, streaming = (importlib.import_module(name) for name in ("litdata", "litdata.streaming"))
    writer = streaming.Cache(str(place.folder), chunk_bytes=CHUNK_BYTES)
    for number, clip in enumerate(clips(videos)):
        writer[number] = clip
    writer.done()
    writer.merge()

    def reader(place: Place) -> Reader:
        address = place.address if place.server else f"local:{place.address}"  # copied as from elsewhere
        data = library.StreamingDataset(address, cache_dir=str(place.local), shuffle=False)
        return lambda wanted, frames: (data[number][: frames * FRAME_BYTES] for number in wanted)

    return reader


def mosaicml(videos: int, place: Place) -> Callable[[Place], Reader]:
    library = importlib.import_module("streaming")
    with library.MDSWriter(out=str(place.folder), columns={"clip": "bytes"}, size_limit=CHUNK_BYTES) as writer:
        for clip in clips(videos):
            writer.write({"clip": clip})

    def reader(place: Place) -> Reader:
        data = library.StreamingDataset(remote=place.address, local=str(place.local), batch_size=1, shuffle=False)
        return lambda wanted, frames: (data[number]["clip"][: frames * FRAME_BYTES] for number in wanted)

    return reader


def webdataset(videos: int, place: Place) -> Callable[[Place], Reader]:
    library = importlib.import_module("webdataset")
    source, names = clips(videos), list[str]()
    for first in range(0, videos, SHARD_VIDEOS):
        names.append(f"{first:06d}.tar")
        with library.TarWriter(str(place.folder / names[-1])) as writer:
            for number, clip in enumerate(itertools.islice(source, SHARD_VIDEOS * CLIPS)):
                writer.write({"__key__": f"{first * CLIPS + number:09d}", "clip": clip})

    def reader(place: Place) -> Reader:
        base = f"pipe:curl -s {place.server}/bucket/{place.folder.name}" if place.server else place.address

        def read(wanted: list[int], frames: int) -> Iterator[bytes]:
            chosen = set(wanted)
            for sample in library.WebDataset([f"{base}/{name}" for name in names], shardshuffle=False):
                if int(sample["__key__"]) in chosen:
                    yield sample["clip"][: frames * FRAME_BYTES]

        return read

    return reader


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def processor_s() -> float:
    """Of this process and those that it waited for."""
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + waited.ru_utime + waited.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    wanted = [video * CLIPS + int(clip) for video in range(given.videos) for clip in rng.permutation(CLIPS)[:VISITED]]
    rng.shuffle(wanted)
    out = Path(tempfile.mkdtemp())
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(out, 0.02, theirs), daemon=True)
    server.start()
    os.environ.update(mine.recv())

    def served() -> Any:
        mine.send(True)
        return np.array(mine.recv())

    for make in (ours, litdata, mosaicml, webdataset):
        if given.only and make.__name__ not in given.only:
            continue
        folder = out / "bucket" / make.__name__
        folder.mkdir(parents=True)
        try:
            begin = make(given.videos, Place(folder, out, None))
            for address, frames in itertools.product((None, os.environ["AWS_ENDPOINT_URL"]), (1, 10)):
                local = Path(tempfile.mkdtemp(dir=out))
                reader = begin(Place(folder, local, address))
                next(iter(reader(wanted[-1:], frames)))  # what is opened once does not count
                before, copied, begun, cpu = served(), size_of(local), time.monotonic(), processor_s()
                count = sum(1 for _ in reader(wanted, frames))
                seconds, cpu = time.monotonic() - begun, processor_s() - cpu
                given_bytes, server_s = served() - before
                if address is None:
                    given_bytes = size_of(local) - copied or size_of(folder)  # WebDataset reads all of it in place
                if make is ours and address is None:
                    given_bytes = count * (frames * FRAME_BYTES + INDEX_BYTES)
                print(
                    f"{make.__name__}, {'S3' if address else 'disk'}, {frames} frames: {count} clips, "
                    f"{count / cpu:,.0f} a second of processor time, {count / seconds:,.1f} clips/s; "
                    f"{given_bytes / (count * frames * FRAME_BYTES):.1f} times the bytes; server {server_s:.1f} s",
                    flush=True,
                )
                shutil.rmtree(local)
        except ImportError as error:
            print(f"{make.__name__} is left out: {error}", file=sys.stderr)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    mine.send(False)
    shutil.rmtree(out)


if __name__ == "__main__":
    main()
