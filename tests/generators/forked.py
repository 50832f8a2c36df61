"""Runs things in a copy of this process, so that what they import or leave behind is not there for the tests behind."""

import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.cli import main
from benchmark.plugins import load_plugins

_FAILED = 70


def forked(
    folder: Path, *arguments: str, path: Path | None = None, before: Callable[[], None] | None = None
) -> tuple[int, str, str]:
    """Exit code, output and errors of `clipbench ARGUMENTS` in a folder.

    Args:
        folder: The current folder of the command.
        arguments: Its words.
        path: Folder of further packages.
        before: Run in the new process before anything else.
    """
    out, err = folder / "stdout.txt", folder / "stderr.txt"

    def run() -> int:
        if before is not None:
            before()
        os.chdir(folder)
        sys.path[:0] = [] if path is None else [str(path)]
        importlib.invalidate_caches()
        load_plugins.cache_clear()
        with (
            out.open("w", encoding="utf-8") as o,
            err.open("w", encoding="utf-8") as e,
            contextlib.redirect_stdout(o),
            contextlib.redirect_stderr(e),
        ):
            try:
                return main(list(arguments))
            except SystemExit as stopped:
                return int(stopped.code or 0)
            except BaseException:
                traceback.print_exc()
                return _FAILED

    return _exit_code(run), out.read_text("utf-8"), err.read_text("utf-8")


def in_a_copy(call: Callable[[], object]) -> None:
    """Call a function in a copy of this process.

    Raises:
        AssertionError: If it raises anything there, or the process is killed; errors show the traceback.
    """

    def run() -> int:
        try:
            call()
        except BaseException:
            traceback.print_exc()
            return _FAILED
        return 0

    assert _exit_code(run) == 0, "it failed in a process of its own, whose errors are above"


def _exit_code(run: Callable[[], int]) -> int:
    """Of a copy of this process that only runs something."""
    if not hasattr(os, "fork"):
        pytest.skip("a system without fork")
    process = os.fork()
    if process == 0:
        code = _FAILED
        try:
            torch.set_num_threads(1)  # a copy has none of the threads that would share the work
            code = run()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    try:
        _, status = os.waitpid(process, 0)
    except BaseException:  # its time is over
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise
    return os.waitstatus_to_exitcode(status)


def install(
    folder: Path, name: str, code: str, *, entry: str | None = None, module: str | None = None, version: str = "1.2"
) -> None:
    """Leave a package of one module in a folder, as an installer would.

    Args:
        folder: Where packages lie.
        name: Of the package.
        code: The module's.
        entry: Name of the entry point; the package's by default.
        module: Dotted name of the module; the package's by default.
        version: Of the package.
    """
    module = module or name
    path = folder / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(code, "utf-8")
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[clipbench.plugins]\n{entry or name} = {module}\n", "utf-8")
