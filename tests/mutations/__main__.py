"""Breaks copies of the package on purpose, one change at a time, and says which test noticed.

    python -m tests.mutations [WORD]

With a word, only the changes whose part or words have it. Each copy is tested in a process of its own, which inherits
the libraries, so that it takes seconds. The exit code is 1 if a change went unnoticed.
"""

import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

# Once, for all processes that are forked off.
import av  # noqa: F401
import cv2  # noqa: F401
import lightning  # noqa: F401
import pyarrow  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import torch
import torchmetrics  # noqa: F401

from tests.mutations.table import MUTATIONS, PINS, Mutation

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("benchmark", "tests", "conf", "leaderboards/paper", "pyproject.toml")


class _Failures:
    """Collects what failed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pytest's hook."""
        if report.failed:
            self.names.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Pytest's hook."""
        if report.failed:
            self.names.append(f"{report.nodeid} (cannot be imported)")


def main(arguments: list[str]) -> int:
    """Try the changes, print a line each, and return the exit code."""
    chosen = [m for m in MUTATIONS if not arguments or any(word in f"{m.part} {m.says}" for word in arguments)]
    if (found := noticed(None, sorted({test for m in chosen for test in m.tests}))) or noticed(None, PINS):
        print(f"without any change, {found} fails")
        return 1
    print("| part | change | test of it that fails | pinned videos |\n| :-- | :-- | :-- | :-- |", flush=True)
    unnoticed = 0
    for mutation in chosen:
        own, pinned = noticed(mutation, mutation.tests), noticed(mutation, PINS)
        unnoticed += not (own or pinned)
        cells = (mutation.part, mutation.says, _short(own), "fail" if pinned else "pass")
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{len(chosen)} changes, {len(chosen) - unnoticed} noticed")
    return 1 if unnoticed else 0


def _short(test: str) -> str:
    return test.removeprefix("tests/") or "-"


def noticed(mutation: Mutation | None, tests: tuple[str, ...] | list[str]) -> str:
    """The first test that fails with a change; empty if none does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in _COPIED:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copied(ROOT / name, copy / name)
        if mutation is not None:
            path = copy / "benchmark" / mutation.file
            text = path.read_text("utf-8")
            if text.count(mutation.old) != 1:
                raise SystemExit(f"{mutation.file} has {mutation.old!r} {text.count(mutation.old)} times, not once")
            path.write_text(text.replace(mutation.old, mutation.new), "utf-8")
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(copy, list(tests), theirs))
        process.start()
        theirs.close()
        try:
            found: str = ours.recv()
        except EOFError:
            found = "the process of the tests died"
        process.join()
        return found


def _run(copy: Path, tests: list[str], answer: Connection) -> None:
    """In a process of its own: run tests in a copy, and send the name of the first one that failed."""
    for name in [name for name in sys.modules if name.partition(".")[0] in {"benchmark", "tests"}]:
        del sys.modules[name]
    os.chdir(copy)
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in {"", str(ROOT)})]
    torch.set_num_threads(1)
    failures = _Failures()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests], plugins=[failures])
    answer.send(failures.names[0] if failures.names else "" if code == 0 else f"pytest ended with {int(code)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
