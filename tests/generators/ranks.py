"""Two processes that talk by gloo, as those of a run do, without a Trainer."""

import os
import socket
import subprocess
import sys
from pathlib import Path

_BEGIN = """
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
import torch.distributed as dist
rank = int(sys.argv[1])
dist.init_process_group("gloo", rank=rank, world_size=2)
"""


def two_processes(folder: Path, code: str, seconds: float = 240) -> list[tuple[int, str]]:
    """Exit code and errors of two processes that run some code, in which `rank` is 0 and 1.

    Raises:
        subprocess.TimeoutExpired: If one still runs after so many seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).resolve().parents[2]
    own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    began = [
        subprocess.Popen(
            [sys.executable, "-c", _BEGIN + code, str(rank)],
            cwd=folder,
            env={**os.environ, **own},
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=seconds)[1] for process in began]
    finally:
        for process in began:
            process.kill()
    return [(process.returncode, error) for process, error in zip(began, errors, strict=True)]
