"""Training clips a second from files, from a store on disk, and from the same on a local S3 server with a delay.

    python -m tests.performance.stores --videos FOLDER --lists FOLDER --store FOLDER

The three are read in turns, several rounds; the server is a process of its own. `fetched` is what the server gave, as a
multiple of the bytes of the frames that were read.
"""

import argparse
import multiprocessing
import os
import time
from collections import defaultdict
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.needs import ClipNeeds
from benchmark.data.sports1m import Sports1M
from benchmark.scale.sports1m_shards import Sports1MShards
from tests.generators.object_store import object_store

NEEDS = {"one frame": ClipNeeds((8,), 170), "ten frames": ClipNeeds(tuple(range(3, 13)), 170)}


def serve(folder: Path, delay_s: float, pipe: Connection) -> None:
    with object_store(folder, delay_s) as store:
        pipe.send(store.settings())
        while pipe.recv():
            pipe.send(store.bytes_given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("videos", "lists", "store"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--delay_ms", type=float, default=20)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    mine, theirs = multiprocessing.Pipe()
    folder = given.store.absolute()
    server = multiprocessing.Process(target=serve, args=(folder.parent, given.delay_ms / 1e3, theirs), daemon=True)
    server.start()
    os.environ.update(mine.recv())
    clips = ClipsPerVideo(train=4, train_epoch=2, validation=2, test=4)
    shared = {"clips_per_video": clips, "num_workers": given.workers}
    near = Sports1MShards(str(folder), **shared)
    places = near.places.numbers.double()
    frame_bytes = float((places[:, 2] - places[:, 1]).sum() / kept_frames(near))
    ways: dict[str, VideoDataModule] = {
        "files": Sports1M(given.videos, lists=given.lists, **shared),
        "store on disk": near,
        "store on S3": Sports1MShards(f"s3://{folder.name}", **shared),
    }
    for name, needs in NEEDS.items():
        rates = defaultdict[str, list[float]](list)
        fetched = []
        for turn in range(given.rounds):
            for way, data in ways.items():
                loader: Any = data.serve(needs).train_dataloader()
                loader.batch_sampler.set_epoch(turn)
                mine.send(True)
                before = mine.recv()
                batches = iter(loader)
                next(batches)  # starting the workers does not count
                begun = time.monotonic()
                count = sum(len(batch.clips) for batch in islice(batches, given.batches))
                rates[way].append(count / (time.monotonic() - begun))
                del batches, loader
                if way == "store on S3":
                    mine.send(True)
                    ahead = 32 * (1 + 2 * given.workers)  # the first batch, and those that were asked for and not used
                    read = (count + ahead) * len(needs.frame_offsets) * frame_bytes
                    fetched.append((mine.recv() - before) / read)
        files = np.array(rates["files"])
        for way, found in rates.items():
            ratio = np.median(np.array(found) / files)
            print(f"{name}, {way}: {np.median(found):.0f} clips/s, {ratio:.2f} of files", flush=True)
        print(f"{name}: fetched from S3 about {np.median(fetched):.2f} times the bytes of the frames read", flush=True)
    mine.send(False)


def kept_frames(data: Sports1MShards) -> int:
    """Frames that a store keeps."""
    from benchmark.data.sampling import ClipPlan
    from benchmark.scale.shards import Layout

    total = 0
    for row in np.flatnonzero(data.places.numbers[:, 4].numpy() > 0):
        frames, clips = data.places.numbers[row, 4:].tolist()
        plan = ClipPlan(data.catalogue.settings.protocol, data.catalogue.videos["video_id"][int(row)].as_py(), frames)
        total += len(Layout.of(plan, clips, data.catalogue.settings.form).numbers)
    return total


if __name__ == "__main__":
    main()
