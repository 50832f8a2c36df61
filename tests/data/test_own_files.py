"""Others on the machine may prepare the places where a cache will lie; nothing of theirs or of ours is written to."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fcntl", reason="the cache needs a POSIX system")

from benchmark.data.cache import FrameCache, turns_of
from benchmark.data.own_files import private_folder
from benchmark.errors import UserError

SIDE = 8
PRECIOUS = b"precious" * 600


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _second_name(path: Path, secret: Path) -> None:
    os.link(secret, path)


def _linked_turns(path: Path, secret: Path) -> None:
    turns_of(path).symlink_to(secret)


def _pipe(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def _garbage(path: Path, secret: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    path.chmod(0o600)


def _open_to_others(path: Path, secret: Path) -> None:
    path.touch()
    path.chmod(0o666)


@pytest.mark.parametrize("prepare", [_link, _second_name, _linked_turns, _pipe, _garbage, _open_to_others])
def test_what_is_not_a_cache_of_ones_own_is_left_alone(tmp_path: Path, prepare: Callable[[Path, Path], None]) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(PRECIOUS)
    prepare(tmp_path / "frames", secret)
    with pytest.raises(UserError, match=r"data\.cache cannot use .*frames"):
        FrameCache(tmp_path / "frames", SIDE, 10**5)
    assert secret.read_bytes() == PRECIOUS


def test_damaged_numbers_find_nothing_and_end_nothing(tmp_path: Path) -> None:
    pictures = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    held = FrameCache(tmp_path / "frames", SIDE, 10**5)
    rng = np.random.default_rng(1)
    for part in (held._counters, held._table, held._lengths, held._owners):
        part[:] = rng.integers(1, 2**63, part.shape, np.int64).astype(part.dtype)
    again = FrameCache(tmp_path / "frames", SIDE, 10**5)
    assert (again.find(7, np.arange(3)) == -1).all()
    again.add(7, 3, np.arange(3), pictures)
    assert (again.find(7, np.arange(3)) == -1).all()
    assert again.used_bytes <= again.capacity_bytes


def test_a_folder_of_ones_own_is_made_and_taken_again(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "own")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder(folder) == folder


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("open", "link"):
        with pytest.raises(UserError, match="not a folder that you alone may enter"):
            private_folder(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to act as another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    script = f"mkdir -m 0700 {tmp_path}/theirs"
    subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "sh", "-c", script], check=False)
    if not (tmp_path / "theirs").exists():  # a folder above is closed to others
        (tmp_path / "theirs").mkdir(mode=0o700)
        os.chown(tmp_path / "theirs", 65534, -1)
    with pytest.raises(UserError, match="owned by user 65534"):
        private_folder(tmp_path / "theirs")
