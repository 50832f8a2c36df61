"""Two machines that share no file system, as far as one machine can play them: processes as torchrun starts them."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def environments(folder: Path, processes: int = 2, attempt: int = 0) -> list[dict[str, str]]:
    """What torchrun sets on machines of one process each, and a home and temporary files of each machine's own.

    Args:
        folder: Holds a folder for each machine, `machine0`, ...
        processes: Machines.
        attempt: How often torchrun has started them before.
    """
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
    shared |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "none", "OMP_NUM_THREADS": "1"}
    shared |= {"PYTHONPATH": str(ROOT), "TORCHELASTIC_RESTART_COUNT": str(attempt), "GLOO_SOCKET_IFNAME": "lo"}
    found = []
    for rank in range(processes):
        home = folder / f"machine{rank}"
        own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TMPDIR": str(home / "tmp")}
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if name != "CLIPBENCH_RUN_DIR"}
        found.append({**inherited, **shared, **own, "RANK": str(rank), "GROUP_RANK": str(rank)})
    return found


def machines(
    folder: Path,
    words: Sequence[Sequence[str]],
    *,
    seconds: float = 150,
    attempt: int = 0,
    more: Mapping[str, str] = {},
) -> list[tuple[int, str]]:
    """Exit code and output of one command on each machine; each runs in its own folder.

    Args:
        folder: See `environments`.
        words: Of `python -m benchmark`, for each machine.
        seconds: After which all of them are killed.
        attempt: See `environments`.
        more: Variables of all of them.

    Raises:
        subprocess.TimeoutExpired: If one still runs after that.
    """
    began = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmark", *own],
            cwd=folder / f"machine{rank}",
            env={**environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for rank, (own, environment) in enumerate(zip(words, environments(folder, len(words), attempt), strict=True))
    ]
    try:
        said = [process.communicate(timeout=seconds)[0] for process in began]
    finally:
        for process in began:
            process.kill()
    return [(process.returncode, text) for process, text in zip(began, said, strict=True)]
