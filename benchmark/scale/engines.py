"""Where shards are made: processes of this machine, or tasks of a Ray cluster; the same function either way."""

import concurrent.futures
import contextlib
import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from benchmark.data.workers import begin_worker
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.scale.job import ShardJob, ShardResult, make_shard

_TRIES = 3  # of a shard whose process is killed, by want of memory most often


class Engine(Protocol):
    """Makes shards."""

    slots: int
    """How many at the same time."""

    def submit(self, job: ShardJob) -> "Future[ShardResult]":
        """Begin with a shard."""

    def close(self) -> None:
        """Drop what has not begun, and let go of processes or cluster."""


class ProcessEngine:
    """Processes of this machine; one that is killed is replaced, and what it and its neighbours had is made again.

    Args:
        workers: How many.
        make: What they do.
    """

    def __init__(self, workers: int, make: Callable[[ShardJob], ShardResult] = make_shard) -> None:
        self.slots, self._make = workers, make
        self._pool, self._replacing = self._new(), threading.Lock()
        # Kept to the end: a broken pool that nobody refers to while it tells its jobs so waits for itself, for ever.
        self._broken: list[concurrent.futures.ProcessPoolExecutor] = []

    def _replace(self, broken: concurrent.futures.ProcessPoolExecutor) -> None:
        """Have another pool in the place of one that lost a process, unless a neighbour has seen to that."""
        with self._replacing:
            if self._pool is broken:
                self._broken.append(broken)
                self._pool = self._new()

    def _new(self) -> concurrent.futures.ProcessPoolExecutor:
        # Not forked: threads of this process fetch videos and hold locks.
        return concurrent.futures.ProcessPoolExecutor(
            self.slots, multiprocessing.get_context("spawn"), initializer=begin_worker, initargs=(0,)
        )

    def submit(self, job: ShardJob) -> "Future[ShardResult]":
        """See `Engine`."""
        promise: Future[ShardResult] = Future()
        self._try(job, promise, 1)
        return promise

    def _try(self, job: ShardJob, promise: "Future[ShardResult]", number: int) -> None:
        pool = self._pool

        def settle(done: "Future[ShardResult]") -> None:
            error = concurrent.futures.CancelledError() if done.cancelled() else done.exception()
            if error is None:
                promise.set_result(done.result())
            elif isinstance(error, BrokenProcessPool) and number < _TRIES:
                self._replace(pool)
                self._try(job, promise, number + 1)
            elif isinstance(error, BrokenProcessPool):
                promise.set_exception(_killed(job))
            else:
                promise.set_exception(error)

        try:
            pool.submit(self._make, job).add_done_callback(settle)
        except BrokenProcessPool:
            self._replace(pool)
            self._try(job, promise, number)

    def close(self) -> None:
        """See `Engine`."""
        for pool in (*self._broken, self._pool):
            pool.shutdown(wait=True, cancel_futures=True)


class RayEngine:
    """One task a shard on a Ray cluster, each on one processor; Ray makes those again whose machine is lost.

    Args:
        address: Of the cluster, as `ray.init` takes it; `local` starts one on this machine.
        make: What the tasks do.

    Raises:
        UserError: If Ray is not installed, or there is no such cluster.
    """

    def __init__(self, address: str, make: Callable[[ShardJob], ShardResult] = make_shard) -> None:
        require_extra("ray", "--ray")
        ray: Any = importlib.import_module("ray")
        self._ray = ray
        if address == "local":
            let_workers_compete()
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            said = " ".join(str(error).split())[:300]
            raise UserError(
                f"--ray is {address}, where no cluster answers: {said}; start one with `ray start --head`"
            ) from None
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._make = ray.remote(num_cpus=1, max_retries=_TRIES - 1)(make)

    def submit(self, job: ShardJob) -> "Future[ShardResult]":
        """See `Engine`."""
        promise: Future[ShardResult] = Future()

        def settle(done: "Future[ShardResult]") -> None:
            error = done.exception()
            if error is None:
                promise.set_result(done.result())
            elif isinstance(getattr(error, "cause", None), UserError):
                promise.set_exception(error.cause)  # type: ignore[attr-defined]
            elif isinstance(error, self._ray.exceptions.WorkerCrashedError | self._ray.exceptions.OutOfMemoryError):
                promise.set_exception(_killed(job))
            else:
                promise.set_exception(error)

        self._make.remote(job).future().add_done_callback(settle)
        return promise

    def close(self) -> None:
        """See `Engine`."""
        with contextlib.suppress(Exception):
            self._ray.shutdown()


def let_workers_compete() -> None:
    """Have the workers of a cluster that is started here run like other processes; Ray's give way to all of them."""
    os.environ.setdefault("RAY_worker_niceness", "0")


def _killed(job: ShardJob) -> UserError:
    return UserError(
        f"the process that made shard {job.number} was killed {_TRIES} times, by want of memory most likely; lower "
        "--workers, and run the same command again to go on"
    )


def engine_of(workers: int, address: str | None, make: Callable[[ShardJob], ShardResult] = make_shard) -> Engine:
    """Processes here, or a Ray cluster where an address is given."""
    return ProcessEngine(workers, make) if address is None else RayEngine(address, make)
