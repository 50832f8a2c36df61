"""Two runs in one folder, another user in the memory cache's place, and a process of several that is lost."""

import os
import shutil
import signal
import socket
import stat
import time
from pathlib import Path

import numpy as np

from tests.campaign import runs
from tests.campaign.attacks import Kind, Outcome, require
from tests.campaign.commands import Command, require_one_message, run
from tests.campaign.disks import nobody
from tests.generators.small_test import options

_VICTIM = 48_213  # a user that no machine has
_SHARED = Path("/dev/shm")
_MET = " parameters  "  # the first process says how large the network is when all are connected
_LOST_SECONDS = 110.0  # half a minute to notice, a grace period, and a slow machine


def two_runs(ground: runs.Ground, seed: int, folder: Path) -> Outcome:
    """Begin two fits or tests in one folder at once: one is done, the other is told who uses it."""
    rng = np.random.default_rng([seed, 17])
    path = folder / "run"
    if seed % 2:
        shutil.copytree(ground.run / "checkpoints", path / "checkpoints")
    words = ground.test(path) if seed % 2 else ground.fit(path)
    first = Command(words, folder / "1.log")
    time.sleep(float(rng.uniform(0, 0.5)))
    second = Command(words, folder / "2.log")
    ended = [first.wait(), second.wait()]
    what = f"{words[0]} twice in one folder"
    require(any(each.code == 0 for each in ended), f"{what}: none was done: {[each.said[-200:] for each in ended]}")
    for each in ended:
        if each.code:
            require_one_message(each, what)
            told = "is in use by process" in each.said or "holds a run already" in each.said
            require(told, f"{what}: {each.said[-200:]}")
    if not seed % 2:
        same = runs.is_equal(
            runs.weights(path / "checkpoints/last.ckpt"), runs.weights(ground.run / "checkpoints/last.ckpt")
        )
        require(same, f"{what}: the weights are of neither")
    return Outcome("survived" if all(each.code == 0 for each in ended) else "refused", what)


def _victim() -> None:
    os.setgroups([])
    os.setgid(_VICTIM)
    os.setuid(_VICTIM)


def two_users(ground: runs.Ground, seed: int, folder: Path) -> Outcome:
    """Lay something into the place of another user's memory cache, and see what that user's fit does."""
    if os.geteuid() or not _SHARED.is_dir():
        return Outcome("survived", "takes root, and shared memory")
    place = _SHARED / f"clipbench-{_VICTIM}"
    private, trap = folder / "private.txt", folder / "trap"
    folder.chmod(0o755)
    private.write_text("of the victim alone", "utf-8")
    private.chmod(0o600)
    os.chown(private, _VICTIM, _VICTIM)
    trap.mkdir(mode=0o777)
    trap.chmod(0o777)
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, _VICTIM, _VICTIM)
    how = ("a folder of the attacker's", "a link to a folder", "an open folder", "a file", "a link to nothing")[
        seed % 5
    ]
    try:
        if (attacker := os.fork()) == 0:
            nobody()
            if seed % 5 in (0, 2):
                place.mkdir(mode=0o777)
                place.chmod(0o777 if seed % 5 == 2 else 0o755)
                for name in ("clips", "lock", "cache.bin"):
                    (place / name).symlink_to(private)
            elif seed % 5 == 1:
                place.symlink_to(trap)
            elif seed % 5 == 3:
                place.write_text("x", "utf-8")
            else:
                place.symlink_to(folder / "nowhere")
            os._exit(0)
        os.waitpid(attacker, 0)
        path = home / "run"
        few = ["--trainer.limit_train_batches", "2", "--data.cache", "memory", "--data.cache_gb", "0.1"]
        words = ["fit", *options(ground.data, path, *few)]
        ended = run(words, folder / "log", before=_victim, environment={"HOME": str(home), "XDG_CACHE_HOME": str(home)})
        what = f"the memory cache's place is {how}"
        require(private.read_text("utf-8") == "of the victim alone", f"{what}: a private file was written to")
        require(not [*trap.iterdir()], f"{what}: it was written through a link")
        require(not (folder / "nowhere").exists(), f"{what}: it was written through a link")
        if ended.code == 0:
            return Outcome("survived", what)
        require_one_message(ended, what)
        return Outcome("refused", what)
    finally:
        if place.is_symlink() or place.is_file():
            place.unlink()
        elif place.is_dir() and stat.S_ISDIR(place.lstat().st_mode):
            shutil.rmtree(place)


def lost_rank(ground: runs.Ground, seed: int, folder: Path) -> Outcome:
    """Kill, stop or freeze one of two processes of a fit; the other ends soon, says so, and both go on to the end."""
    rng = np.random.default_rng([seed, 19])
    path, number = folder / "run", (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)[seed % 3]
    pair = pair_of(ground.fit(path), folder, "1")
    lost = int(rng.integers(2))
    # Until all have met, PyTorch alone knows whom it waits for, and for how long.
    until = time.monotonic() + _LOST_SECONDS
    while _MET not in pair[0].said():
        has_begun = time.monotonic() < until and not pair[0].has_ended()
        require(has_begun, f"the fit does not begin: {pair[0].said()[-300:]}")
        time.sleep(0.02)
    time.sleep(float(rng.uniform(0, 0.6 * ground.fit_seconds)))
    pair[lost].signal(number)
    what = f"process {lost} of 2, {signal.Signals(number).name}"
    try:
        other = pair[1 - lost].wait(_LOST_SECONDS)
    finally:
        pair[lost].signal(signal.SIGCONT)
        if number == signal.SIGSTOP:
            pair[lost].signal(signal.SIGKILL)
        pair[lost].wait()
    require("Traceback" not in other.said, f"{what}: a traceback: {other.said[-400:]}")
    if other.code == 0:
        ends = [runs.weights(run / "checkpoints/last.ckpt")["epoch"] for run in (path, ground.run)]
        at_end = ends[0] == ends[1]
        require(at_end, f"{what}: the other ended with 0 before the end")
        return Outcome("survived", f"{what}, after its end")
    told = ("is lost", "left: ", "does not answer", "stopped by SIGTERM")
    require(any(each in other.said for each in told), f"{what}: it does not say why it ended: {other.said[-300:]}")
    again = [each.wait() for each in pair_of(ground.fit(path), folder, "2")]
    require(all(each.code == 0 for each in again), f"{what}: it does not go on: {again[0].said[-300:]}")
    return Outcome("survived", what)


def pair_of(words: list[str], folder: Path, name: str, *more: list[str]) -> list[Command]:
    """Two processes of one run, as a cluster starts them.

    Args:
        words: Their command line.
        folder: For what they print.
        name: Begins the names of these files.
        more: Words of each of them alone.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    several = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    return [
        Command(
            [*words, *several, *own],
            folder / f"{name}-{rank}.log",
            environment={**shared, "LOCAL_RANK": str(rank), "RANK": str(rank), "LOCAL_WORLD_SIZE": "2"},
        )
        for rank, own in enumerate(more or ([], []))
    ]


TWO_RUNS = Kind("runs", two_runs, runs.prepare, size=20, seconds=600, share=1)
TWO_USERS = Kind("users", two_users, runs.prepare, size=10, seconds=600, share=1)
LOST_RANKS = Kind("ranks", lost_rank, runs.prepare, size=12, seconds=900, share=2)
