"""Two processes that talk by gloo, as those of a run do, without a Trainer."""

import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path

import torch

_BEGIN = """
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
import torch.distributed as dist
dist.init_process_group("gloo", rank=rank, world_size=2)
"""


def two_processes(folder: Path, code: str, seconds: float = 240) -> list[tuple[int, str]]:
    """Exit code and errors of two processes that run some code, in which `rank` is 0 and 1.

    They are copies of this process, and so need not import everything again.

    Raises:
        TimeoutError: If one still runs after so many seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    errors = [folder / f"errors{rank}.txt" for rank in range(2)]
    copies = multiprocessing.get_context("fork")
    began = [copies.Process(target=_run, args=(_BEGIN + code, rank, port, errors[rank])) for rank in range(2)]
    end = time.monotonic() + seconds
    try:
        for process in began:
            process.start()
        for process in began:
            process.join(max(0, end - time.monotonic()))
            if process.exitcode is None:
                said = "".join(path.read_text("utf-8") for path in errors if path.exists())
                raise TimeoutError(f"a process still runs after {seconds:g} s\n{said}")
    finally:
        for process in began:
            if process.pid is not None:
                process.kill()
    return [(process.exitcode or 0, path.read_text("utf-8")) for process, path in zip(began, errors, strict=True)]


def _run(code: str, rank: int, port: int, errors: Path) -> None:
    torch.set_num_threads(1)  # the threads of the process that this one is a copy of are not there
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.chdir(errors.parent)
    with errors.open("wb") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)
    exec(code, {"rank": rank})
