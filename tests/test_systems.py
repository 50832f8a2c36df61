"""A system without what only POSIX has, as Windows, simulated: what is there and what is not is asked, not assumed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generators.small_test import options

ROOT = Path(__file__).resolve().parents[1]

LESS = '''
"""Every Python process of the test begins with this: a system that spawns, and has less than POSIX.

`sys.platform`, `os.name`, `os.getuid` and the signals stay, since libraries make their system calls by them.
"""

import importlib.abc
import multiprocessing
import os
import sys

GONE = {"resource", "fcntl", "pwd", "grp", "termios"}


class _Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}, as on Windows", name=name)


for name in GONE:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, _Gone())
for name in ("sched_getaffinity", "posix_fallocate", "fstatvfs", "fork", "killpg", "setsid"):
    if hasattr(os, name):
        delattr(os, name)
multiprocessing.set_start_method("spawn")
'''

IMPORT_ALL = """
import importlib, pkgutil, benchmark
for module in pkgutil.walk_packages(benchmark.__path__, "benchmark."):
    if "__main__" not in module.name and "new_package" not in module.name:
        importlib.import_module(module.name)
import os
assert not hasattr(os, "fork")
print("imported")
"""


@pytest.fixture(scope="module")
def less(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of processes on such a system."""
    folder = tmp_path_factory.mktemp("less")
    (folder / "sitecustomize.py").write_text(LESS, "utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONIOENCODING": "utf-8"}


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_every_module_is_imported(less: dict[str, str]) -> None:
    done = run(["-c", IMPORT_ALL], less)
    assert done.stdout.strip().endswith("imported"), done.stderr


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_fit_and_a_test_run(less: dict[str, str], small_set: Path, tmp_path: Path, workers: str) -> None:
    words = options(small_set, tmp_path / "run", "--data.num_workers", workers)
    few = ["--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "2"]
    done = run(["-m", "benchmark", "fit", *words, *few], less)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "epoch 1" in done.stdout
    if workers == "0":  # the same as on any other system from here on
        done = run(["-m", "benchmark", "test", *words, "--ckpt_path", "last"], less)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_frame_cache_is_refused_in_one_sentence(less: dict[str, str], small_set: Path, tmp_path: Path) -> None:
    done = run(["-m", "benchmark", "fit", *options(small_set, tmp_path / "run", "--data.cache", "disk")], less)
    assert done.returncode == 2
    assert "data.cache is disk, which needs a POSIX system; use data.cache=off" in done.stderr
    assert "Traceback" not in done.stderr
