"""Libraries that only some verbs and networks need: which extra brings each, and whether it is there."""

import functools
import importlib

from benchmark.errors import UserError

EXTRAS = {
    "wandb": "wandb",
    "wandb_workspaces": "wandb",
    "pytorchvideo": "zoo",
    "plotly": "report",
    "matplotlib": "report",
    "torchcodec": "torchcodec",
    "skimage": "histograms",
    "sklearn": "histograms",
    "shtab": "completion",
    "ray": "scale",
    "s3fs": "scale",
    "botocore": "scale",
    "pycurl": "scale",
    "yt_dlp": "scale",
}
"""Extra by the library's name in Python."""


@functools.cache
def why_missing(library: str) -> str | None:
    """Why an optional library cannot be used, with the command that brings it; None where it can be imported.

    Args:
        library: Its name in Python; one that is not in `EXTRAS` is a plugin's.
    """
    command = f"pip install 'clipbench[{EXTRAS[library]}]'" if library in EXTRAS else f"pip install {library}"
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name == library:
            return f"is not installed; run: {command}"
        reason = str(error)
    except Exception as error:  # a library that is broken may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    else:
        return None
    return f"is installed but cannot be imported ({reason}); run: {command} --force-reinstall"


def require_extra(library: str, needed_by: str) -> None:
    """Refuse what cannot be done without an optional library; after this, import it as any other.

    Args:
        library: Its name in Python.
        needed_by: What needs it, for the message.

    Raises:
        UserError: If it cannot be imported, with the command that brings it.
    """
    if reason := why_missing(library):
        raise UserError(f"{needed_by} needs {library}, which {reason}")
