"""Which code a result is of: version and commit of this package, versions of libraries. This needs no torch."""

import contextlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import benchmark
from benchmark.results.record import Code

_LIBRARIES = ("torch", "torchvision", "lightning", "torchmetrics", "av", "opencv-python-headless", "numpy", "pyarrow")


def code_facts() -> Code:
    """Version of this package, and commit and state of the working tree that it is run from, if it is."""
    folder = Path(benchmark.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # else it is installed inside another repository
        commit = _git(folder, "rev-parse", "HEAD")
        # Entries that a run before has left in the leaderboards are no code, nor is any file that is none.
        changed = _git(
            folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)leaderboards"
        )
        modified = bool(changed or _git(folder, "ls-files", "--others", "--exclude-standard", "--", ":(top)*.py"))
    except (OSError, subprocess.SubprocessError):
        commit, modified = None, None
    return Code(version=benchmark.__version__, commit=commit, modified=modified)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=20).stdout.strip()


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # it may go by another distribution's name
            versions[name] = importlib.metadata.version(name)
    return versions
