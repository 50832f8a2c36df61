"""How loader workers begin and end, by whichever way the system and its Python start processes.

Linux forked them up to Python 3.13 and asks a fork server from 3.14 on; macOS and Windows spawn them. A forked worker
has all that its main process has; the others have what was pickled for them, and settings have to be made again.
"""

import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, get_args

from benchmark.errors import UserError
from benchmark.process import tune_process

StartMethod = Literal["fork", "spawn", "forkserver"]

_LOOK_SECONDS = 1.0
_SHARED_MEMORY = Path("/dev/shm")  # where Linux keeps it
_PREFETCHED = 2  # batches that each worker keeps ready, PyTorch's default


def require_start_method(chosen: str | None) -> StartMethod | None:
    """A way to start workers that this system has, or None for Python's own choice; any other is refused."""
    if chosen is None:
        return None
    held = multiprocessing.get_all_start_methods()
    for method in get_args(StartMethod):
        if method == chosen and method in held:
            return chosen  # type: ignore[return-value]  # one of its arguments
    raise UserError(
        f"data.multiprocessing_context is {chosen}; allowed on this system are {', '.join(sorted(held))}, and null for "
        "Python's own choice"
    )


def require_shared_memory(batch_bytes: int, workers: int, left_by_cache: int | None = None) -> None:
    """Refuse workers whose batches do not fit into the memory that processes share, where they would wait for ever.

    Args:
        batch_bytes: Of a batch.
        workers: Number of workers, each of which keeps a few batches ready.
        left_by_cache: Bytes that a frame cache in the same memory leaves when it is full; None where there is none.

    Raises:
        UserError: If there is too little of it, as in a container with Docker's 64 MB.
    """
    if not workers or not _SHARED_MEMORY.is_dir():
        return
    held = os.statvfs(_SHARED_MEMORY)
    free, needed = held.f_bavail * held.f_frsize, workers * _PREFETCHED * batch_bytes
    has, smaller = "has", ""
    if left_by_cache is not None and left_by_cache < free:
        free, has, smaller = left_by_cache, "will have, beside data.cache=memory,", "lower data.cache_gb, "
    if needed > free:
        raise UserError(
            f"{_SHARED_MEMORY} {has} {free / 1e6:.0f} MB left, and {workers} workers with batches of "
            f"{batch_bytes / 1e6:.0f} MB need up to {needed / 1e6:.0f}. Give a container more (docker run --shm-size "
            f"2g), {smaller}lower data.num_workers or data.batch_size, or load in the main process: "
            "--data.num_workers 0"
        )


def worker_options(workers: int, start_method: StartMethod | None, device: str) -> dict[str, Any]:
    """What every DataLoader of this package is told of its workers.

    Args:
        workers: Number of workers; 0 loads in the main process.
        start_method: How they start; None is Python's own choice.
        device: Kind of device that computes, `cpu` or `cuda`.
    """
    if (start_method or multiprocessing.get_start_method()) == "forkserver":
        # Imported once, before anything is forked off: a worker then begins at once, and shares that memory.
        multiprocessing.set_forkserver_preload(["benchmark.data"])
    return {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "multiprocessing_context": start_method if workers else None,
        "pin_memory": device == "cuda",
        "worker_init_fn": begin_worker,
    }


def begin_worker(worker: int) -> None:
    """Give a loader worker the settings of its main process, and end it with that; for `worker_init_fn`."""
    main = multiprocessing.parent_process()
    if main is None:
        return
    threading.Thread(target=_end_with, args=(main, os.getppid()), name="end with main", daemon=True).start()
    tune_process()


def _end_with(main: BaseProcess, parent: int) -> None:
    """Wait until the main process is gone, however it ended, then end this one.

    DataLoader's own watchdog looks at the parent, which may be a fork server, and only while a worker has nothing to
    do. The main process is known by a pipe or handle that closes when it ends. A forked worker started later has that
    pipe too, so the parent counts as well.

    Args:
        main: The main process.
        parent: Number of the process that this one came from: the main process or a fork server.
    """
    while main.is_alive() and os.getppid() == parent:
        main.join(_LOOK_SECONDS)
    os._exit(1)
