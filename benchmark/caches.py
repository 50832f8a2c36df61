"""Where files are kept that can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for this package: `$XDG_CACHE_HOME/clipbench` or `~/.cache/clipbench`."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "clipbench"
