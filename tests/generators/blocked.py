"""Runs Python in a fresh process in which some libraries cannot be imported."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Other libraries ask for the metadata of one to see whether it is installed.
_BLOCK = """
import importlib.metadata as metadata, sys
absent, from_name = {libraries!r}, metadata.Distribution.from_name
from importlib.machinery import PathFinder
class Present:
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else PathFinder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(PathFinder, name)
def named(name):
    if name.replace("-", "_") in absent:
        raise metadata.PackageNotFoundError(name)
    return from_name(name)
sys.meta_path[:] = [Present() if finder is PathFinder else finder for finder in sys.meta_path]
metadata.Distribution.from_name = named
"""


def run_without(libraries: Sequence[str], code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code of Python in a folder where the libraries are not installed, as far as it can see."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("CLIPBENCH_RUN_DIR", None)
    return subprocess.run(
        [sys.executable, "-c", _BLOCK.format(libraries=set(libraries)) + code],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=280,
    )
