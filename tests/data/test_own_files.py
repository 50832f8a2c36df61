"""Others on the machine may prepare the places where a cache will lie; nothing of theirs or of ours is written to."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fcntl", reason="the cache needs a POSIX system")

from benchmark.data.cache import FrameCache
from benchmark.data.own_files import private_folder
from benchmark.errors import UserError

SIDE = 8
PRECIOUS = b"precious" * 600


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _pipe(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def _file(path: Path, secret: Path) -> None:
    path.write_bytes(b"x" * 100_000)


def _garbage(path: Path, secret: Path) -> None:
    path.mkdir(mode=0o700)
    (path / "data.mdb").write_bytes(np.random.default_rng(0).bytes(100_000))


def _open_to_others(path: Path, secret: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def _linked_folder(path: Path, secret: Path) -> None:
    (secret.parent / "theirs").mkdir(mode=0o700)
    path.symlink_to(secret.parent / "theirs")


@pytest.mark.parametrize("prepare", [_link, _pipe, _file, _garbage, _open_to_others, _linked_folder])
def test_what_is_not_a_cache_of_ones_own_is_left_alone(tmp_path: Path, prepare: Callable[[Path, Path], None]) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(PRECIOUS)
    prepare(tmp_path / "frames", secret)
    with pytest.raises(UserError, match=r"data\.cache.* .*frames|frames .*data\.cache"):
        FrameCache(tmp_path / "frames", SIDE, 10**5)
    assert secret.read_bytes() == PRECIOUS


def test_a_folder_of_ones_own_is_made_and_taken_again(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "own")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder(folder) == folder


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "file").touch()
    (tmp_path / "link to a file").symlink_to(tmp_path / "file")
    (tmp_path / "link to nothing").symlink_to(tmp_path / "nothing")
    for name in ("open", "link", "file", "link to a file", "link to nothing"):
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
