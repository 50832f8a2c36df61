"""Disks that are full or may not be written to: refused with one message, and right once there is room."""

import ctypes
import dataclasses
import os
import subprocess
from pathlib import Path

import numpy as np

from benchmark.files import file_hash
from tests.campaign import runs
from tests.campaign.attacks import Kind, Outcome, require
from tests.campaign.commands import Ended, require_one_message, run
from tests.generators.small_test import options

_NEW_MOUNTS = 0x00020000  # of unshare(2)
_NOBODY = 65534


@dataclasses.dataclass(frozen=True)
class SmallDisk:
    """Makes a small file system of a folder, for the process that calls it and those that it starts; root alone may.

    Args:
        folder: The folder.
        kilobytes: Its room.
    """

    folder: Path
    kilobytes: int

    def __call__(self) -> None:
        """Mount it."""
        if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        size = f"size={self.kilobytes}k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(self.folder)], check=True)


def nobody() -> None:
    """Go on as a user with no rights of its own."""
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def attack(ground: runs.Ground, seed: int, folder: Path) -> Outcome:
    """Run a verb where its folder is full sooner or later, or may not be written to."""
    rng = np.random.default_rng([seed, 13])
    is_root = os.geteuid() == 0
    path, log = folder / "run", folder / "log"
    verb = ("fit", "test", "predict")[seed % 3]
    words = _words(ground, verb, path)
    how = ("small disk", "quota", "read-only")[seed // 3 % 3]
    if how == "small disk" and is_root:
        path.mkdir()
        small = SmallDisk(path, int(2 ** rng.uniform(2, 11)))
        ended, what = run(words, log, before=small), f"{verb} on a disk of {small.kilobytes} kB"
    elif how == "read-only":
        path.mkdir(mode=0o555)
        folder.chmod(0o755)
        ended, what = run(words, log, before=nobody if is_root else None), f"{verb} into a folder without rights"
    else:
        most = int(2 ** rng.uniform(10, 21))
        ended, what = run(words, log, file_bytes=most), f"{verb} with files of at most {most} bytes"
    if ended.code == 0:
        return Outcome("survived", what)
    require_one_message(ended, what)
    _require_no_result(ended, path, verb, what)
    if how == "quota":  # and with room again it comes to the same end
        again = _go_on(ground, verb, path)
        require(again.code == 0, f"{what}: it does not go on with room: {again.said[-300:]}")
        if verb == "test":
            same = file_hash(path / "ledger.parquet") == file_hash(ground.run / "ledger.parquet")
            require(same, f"{what}: the ledger differs")
    return Outcome("refused", what)


def _words(ground: runs.Ground, verb: str, path: Path) -> list[str]:
    if verb == "fit":
        return ground.fit(path)
    weights = ["--ckpt_path", str(ground.run / "checkpoints/last.ckpt")]
    words = [verb, *options(ground.data, path, report=None), *weights]
    videos = sorted(ground.data.rglob("*.mp4"))[:3]
    return [*words, "--predict.videos", f"[{', '.join(map(str, videos))}]"] if verb == "predict" else words


def _go_on(ground: runs.Ground, verb: str, path: Path) -> Ended:
    try:
        runs.weights(path / "checkpoints/last.ckpt")
    except Exception:  # there is none, or half of one
        (path / "checkpoints/last.ckpt").unlink(missing_ok=True)
    return run(_words(ground, verb, path), path.parent / "again.log")


def _require_no_result(ended: Ended, path: Path, verb: str, what: str) -> None:
    for name in ("record.json", "ledger.parquet"):
        if (path / name).exists():
            same = verb == "test" and name == "ledger.parquet" and not (path / "record.json").exists()
            require(same, f"{what}: {name} is there although it failed: {ended.said[-200:]}")
    require(not [*path.rglob("*.csv.new")], f"{what}: half a file is left")


DISKS = Kind("disks", attack, runs.prepare, size=60, seconds=600, share=2)
