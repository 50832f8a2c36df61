"""A cluster in simulated time: workers that take shards, fail, begin again and write to one store.

What a thousand machines would do cannot be tried on two cores; that the same arithmetic says what one, two and four
workers really do can. Times are in seconds.
"""

import dataclasses
import heapq

import numpy as np


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be done, as measured.

    Args:
        seconds: (N,) processor time of each measured shard, of which those of a simulation are drawn.
        sizes: (N,) bytes that each of them wrote.
        clips: Of one shard.
        failure_share: Share of tries that end before their end, at an even time within.
    """

    seconds: np.ndarray
    sizes: np.ndarray
    clips: int
    failure_share: float = 0.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where it is done.

    Args:
        workers: How many, each with one shard at a time.
        cores: Processors that they share; fewer than workers make each slower.
        start_seconds: That a worker takes before its first shard.
        store_bytes_per_second: That all of them together write.
    """

    workers: int
    cores: int
    start_seconds: float = 0.0
    store_bytes_per_second: float = np.inf


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of it.

    Args:
        seconds: From the first worker's start to the last shard.
        busy_seconds: Processor time, that of failed tries too.
        clips: Written.
        failures: Tries that failed.
    """

    seconds: float
    busy_seconds: float
    clips: int
    failures: int

    def core_seconds_per_clip(self, cluster: Cluster) -> float:
        """What a clip costs: the time of all processors that the workers hold, idle or not."""
        return self.seconds * min(cluster.workers, cluster.cores) / self.clips


def simulate(work: Work, cluster: Cluster, shards: int, seed: int = 0) -> Outcome:
    """Let workers make shards until all are there.

    Args:
        work: The distribution that shards are drawn from.
        cluster: The workers.
        shards: How many are made.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(work.seconds), size=shards)
    slower = max(1.0, cluster.workers / cluster.cores)
    # When, which worker, and the shard that it has made then; -1 where it is free to begin with one.
    events = [(cluster.start_seconds * slower, worker, -1) for worker in range(cluster.workers)]
    heapq.heapify(events)
    waiting, end, busy, failures, store_free = drawn[::-1].tolist(), 0.0, 0.0, 0, 0.0
    while events:
        now, worker, made = heapq.heappop(events)
        if made >= 0:  # the store takes one shard after the other, at its full rate
            store_free = max(now, store_free) + float(work.sizes[made]) / cluster.store_bytes_per_second
            end = max(end, store_free)
            heapq.heappush(events, (store_free, worker, -1))
        elif waiting:
            shard = waiting.pop()
            takes = float(work.seconds[shard])
            is_lost = rng.random() < work.failure_share
            if is_lost:
                takes *= rng.random()
                failures += 1
                waiting.append(shard)
            busy += takes
            heapq.heappush(events, (now + takes * slower, worker, -1 if is_lost else shard))
    return Outcome(end, busy, shards * work.clips, failures)
