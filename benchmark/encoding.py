"""UTF-8 wherever this program reads and writes text, whatever the system's own encoding is."""

import io
import sys
from typing import IO, Any

import jsonargparse


def use_utf8() -> None:
    """Let configuration files be UTF-8, and let no name stop a line from being shown.

    jsonargparse opens files in the system's encoding. That of Windows and of the C locale has no Chinese, and takes a
    German letter for two others.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == jsonargparse.__name__:
            vars(module).setdefault("open", _open_utf8)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _open_utf8(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> IO[Any]:
    """The built-in `open`, with UTF-8 where text is opened and nothing else is said."""
    if "b" not in mode and len(arguments) < 2:
        options.setdefault("encoding", "utf-8")
    return open(file, mode, *arguments, **options)  # noqa: PTH123  (it takes descriptors too)
