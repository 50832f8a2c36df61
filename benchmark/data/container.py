"""Opening a video file with PyAV, whichever version it is."""

import functools
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer


@functools.cache
def _options() -> dict[str, Any]:
    """What makes PyAV open files whose metadata is not UTF-8: an argument where it has one; where not, it needs none."""
    options: dict[str, Any] = {"metadata_errors": "ignore"}
    try:
        # No file has an empty name, so only the arguments are tried.
        av.open("", **options)
    except TypeError:
        return {}
    except (av.error.FFmpegError, OSError):
        pass
    return options


def open_container(path: Path) -> InputContainer:
    """Open a video file for reading, also one whose title or comment is not UTF-8.

    Raises:
        FFmpegError: If the file does not exist or FFmpeg cannot tell what it is.
    """
    container: InputContainer = av.open(str(path), **_options())
    return container
