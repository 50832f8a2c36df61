"""One, two and four workers that really decode, beside what the simulation says of them.

python -m tests.performance.scale_simulation --shards 24 --repeats 7

Shards of a few videos of the embedded data are decoded, ten frames a clip, by one worker, two and four in turns. What
one worker takes for a shard is the distribution that the simulation draws from. Prints Markdown.
"""

import argparse
import contextlib
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.pool import Pool

import numpy as np

from benchmark.data import SyntheticActions
from benchmark.data.dataset import ClipReader
from benchmark.process import tune_process
from benchmark.scale.simulation import Cluster, Work, simulate

_VIDEOS, _CLIPS = 6, 10  # of a shard, and of each of its videos
_OFFSETS = tuple(range(3, 13))
_WORKERS = (1, 2, 4)


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


def begin() -> None:
    """Let a worker import what it needs and make a shard; in a pool's first tasks some would get none."""
    tune_process()
    made(0)


def run(pool: Pool, shards: int) -> tuple[float, list[tuple[float, float, int]]]:
    """Seconds that the shards took together, and what each of them took."""
    started = time.perf_counter()
    took = list(pool.imap_unordered(made, range(shards), 1))
    return time.perf_counter() - started, took


def core_ms(took: list[tuple[float, float, int]]) -> float:
    """Processor time of a clip."""
    return 1000 * sum(spent for spent, _, _ in took) / sum(clips for _, _, clips in took)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(argv)
    seconds: dict[int, list[float]] = {workers: [] for workers in _WORKERS}
    each: dict[int, list[list[tuple[float, float, int]]]] = {workers: [] for workers in _WORKERS}
    with contextlib.ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        pools = {workers: stack.enter_context(context.Pool(workers, begin)) for workers in _WORKERS}
        for pool in pools.values():
            run(pool, chosen.shards)  # all have begun
        for _ in range(chosen.repeats):  # in turns, so that what else the machine does meets all of them
            for workers, pool in pools.items():
                lasted, took = run(pool, chosen.shards)
                seconds[workers].append(lasted)
                each[workers].append(took)
    alone = [shard for took in each[1] for shard in took]
    work = Work(np.array([spent for spent, _, _ in alone]), np.array([size for _, size, _ in alone]), alone[0][2])
    print("| workers | clips | s, median | simulated s | core-ms a clip, median (least, most) | simulated |")
    print("|---|---|---|---|---|---|")
    for workers in _WORKERS:
        told = [simulate(work, Cluster(workers, chosen.cores), chosen.shards, seed) for seed in range(20)]
        costs = [core_ms(took) for took in each[workers]]
        simulated = np.mean([one.seconds for one in told])
        print(
            f"| {workers} | {told[0].clips} | {np.median(seconds[workers]):.1f} | {simulated:.1f} | "
            f"{np.median(costs):.2f} ({min(costs):.2f}, {max(costs):.2f}) | "
            f"{1000 * np.mean([one.busy_seconds / one.clips for one in told]):.2f} |"
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
