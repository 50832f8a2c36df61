"""Keys of maintainers, made by OpenSSH."""

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark.leaderboard.statements import MAINTAINERS_NAME

needs_openssh = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen program")


def write_key(path: Path, root: Path | None = None, name: str = "Ann") -> Path:
    """A private key without a password, which leaderboards list from then on under a name."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True, timeout=60)
    if root is not None:
        public = path.with_suffix(".pub").read_text("utf-8")
        with (root / MAINTAINERS_NAME).open("a", encoding="utf-8") as listed:
            listed.write(f"{name} {public}")
    return path
