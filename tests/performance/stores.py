"""Training clips a second from files, from a store on disk, and from the same on a local S3 server with a delay.

    python -m tests.performance.stores --videos FOLDER --lists FOLDER --store FOLDER

The three are read in turns, several rounds: by loader workers, and for processor time in this process. The server is a
process of its own. `fetched` is what the server gave, as a multiple of the bytes of the frames that were read.
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
            pipe.send((store.bytes_given, time.process_time()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("videos", "lists", "store"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--delay_ms", type=float, default=20)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=[*NEEDS], nargs="*", default=[*NEEDS])
    given = parser.parse_args()
    mine, theirs = multiprocessing.Pipe()
    folder = given.store.absolute()
    server = multiprocessing.Process(target=serve, args=(folder.parent, given.delay_ms / 1e3, theirs), daemon=True)
    server.start()
    os.environ.update(mine.recv())
    clips = ClipsPerVideo(train=4, train_epoch=4, validation=2, test=4)
    shared = {"clips_per_video": clips, "num_workers": given.workers}
    near = Sports1MShards(str(folder), **shared)
    places = near.places.numbers.double()
    frame_bytes = float((places[:, 2] - places[:, 1]).sum() / kept_frames(near))
    ways: dict[str, VideoDataModule] = {
        "files": Sports1M(given.videos, lists=given.lists, **shared),
        "store on disk": near,
        "store on S3": Sports1MShards(f"s3://{folder.name}", **shared),
    }

    def served() -> Any:
        mine.send(True)
        return np.array(mine.recv())

    for name, needs in ((name, NEEDS[name]) for name in given.only):
        rates, costs = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
        fetched = []
        for turn in range(given.rounds):
            for way, data in ways.items():
                batches = begun_batches(data, needs, turn)
                begun = time.monotonic()
                count = sum(len(batch.clips) for batch in islice(batches, given.batches))
                rates[way].append(count / (time.monotonic() - begun))
                del batches
                data.num_workers = 0
                before, batches = served(), begun_batches(data, needs, turn)
                begun = time.process_time()
                count = sum(len(batch.clips) for batch in islice(batches, given.batches))
                costs[way].append(1e3 * (time.process_time() - begun) / count)
                del batches
                data.num_workers = given.workers
                if way == "store on S3":
                    count += 64  # the first batch, and the one that was asked for and not used
                    given_bytes, server_s = served() - before
                    fetched.append(given_bytes / (count * len(needs.frame_offsets) * frame_bytes))
                    costs["its server"].append(1e3 * server_s / count)
        for way, found in costs.items():
            line = f"{name}, {way}: {np.median(found):.2f} ms of processor time a clip"
            if way in rates:
                line += f", {np.median(rates[way]):.0f} clips/s"
                for other in ("files", "store on disk"):
                    line += f", {np.median(np.array(rates[way]) / np.array(rates[other])):.2f} of {other}"
            print(line, flush=True)
        print(f"{name}: fetched from S3 {np.median(fetched):.2f} times the bytes of the frames read", flush=True)
    mine.send(False)


def begun_batches(data: VideoDataModule, needs: ClipNeeds, epoch: int) -> Any:
    """Batches of an epoch, after the first: starting does not count."""
    loader: Any = data.serve(needs).train_dataloader()
    loader.batch_sampler.set_epoch(epoch)
    batches = iter(loader)
    next(batches)
    return batches


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
