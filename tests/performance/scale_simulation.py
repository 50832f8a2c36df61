"""One, two and four workers that really decode, beside what the simulation says of them.

python -m tests.performance.scale_simulation --shards 24

Shards of a few videos of the embedded data are decoded, ten frames a clip, by one worker for the distribution, and then
by each number of workers. Prints Markdown.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence

import numpy as np

from benchmark.data import SyntheticActions
from benchmark.data.dataset import ClipReader
from benchmark.process import tune_process
from benchmark.scale.simulation import Cluster, Work, simulate

_VIDEOS, _CLIPS = 6, 10  # of a shard, and of each of its videos
_OFFSETS = tuple(range(3, 13))


def made(shard: int) -> tuple[float, float, int]:
    """Processor seconds, bytes and clips of one shard."""
    data = SyntheticActions()
    index = data.index
    begun = time.process_time()
    reader = ClipReader(data.test_protocol, _OFFSETS, "pyav", None)
    size = 0
    for video in range(_VIDEOS):
        row = (shard * _VIDEOS + video) % len(index.table)
        size += reader.read(index.video(row), list(range(_CLIPS))).frames.nbytes
    return time.process_time() - begun, float(size), _VIDEOS * _CLIPS


def run(workers: int, shards: int) -> tuple[float, float, list[tuple[float, float, int]]]:
    """Seconds from the first shard, seconds of a start, and what each shard took."""
    context, begun = multiprocessing.get_context("spawn"), time.perf_counter()
    with context.Pool(workers, tune_process) as pool:
        list(pool.imap_unordered(made, range(workers), 1))  # each has imported what it needs
        started = time.perf_counter()
        took = list(pool.imap_unordered(made, range(shards), 1))
        return time.perf_counter() - started, started - begun, took


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(argv)
    _, _, took = run(1, chosen.shards)
    work = Work(np.array([seconds for seconds, _, _ in took]), np.array([size for _, size, _ in took]), took[0][2])
    print("| workers | clips | real s | simulated s | real core-ms a clip | simulated |\n|---|---|---|---|---|---|")
    for workers in (1, 2, 4):
        seconds, _, each = run(workers, chosen.shards)
        cluster = Cluster(workers, chosen.cores)
        told = [simulate(work, cluster, chosen.shards, seed) for seed in range(20)]
        clips = sum(number for _, _, number in each)
        busy = sum(spent for spent, _, _ in each)
        print(
            f"| {workers} | {clips} | {seconds:.1f} | {np.mean([one.seconds for one in told]):.1f} | "
            f"{1000 * busy / clips:.1f} | {1000 * np.mean([one.busy_seconds / one.clips for one in told]):.1f} |"
        )
    for workers in (10, 100, 1000):
        row = []
        for shards in (10, 60):
            cluster = Cluster(workers, workers, start_seconds=5 * float(work.seconds.mean()))
            outcome = simulate(work, cluster, shards * workers)
            row.append(f"{1000 * outcome.core_seconds_per_clip(cluster):.1f} with {shards} shards a worker")
        print(f"{workers} workers, simulated: core-ms a clip {', '.join(row)}")


if __name__ == "__main__":
    main()
