"""Runs a command line in a copy of this process, so that classes it imports are not known to the tests behind it."""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.cli import main
from benchmark.plugins import load_plugins


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
    if not hasattr(os, "fork"):
        pytest.skip("a system without fork")
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    process = os.fork()
    if process == 0:
        code = 70
        try:
            if before is not None:
                before()
            torch.set_num_threads(1)  # a copy has none of the threads that would share the work
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
                    code = main(list(arguments))
                except SystemExit as stopped:
                    code = int(stopped.code or 0)
                except BaseException:
                    traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), out.read_text("utf-8"), err.read_text("utf-8")


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
