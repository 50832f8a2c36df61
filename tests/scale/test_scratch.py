import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmark.scale.scratch import scratch

HOLDER = """
import sys
from benchmark.scale.scratch import scratch
with scratch() as folder:
    (folder / "shard").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER], env={**os.environ, "TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        )
        for _ in range(3)
    ]  # fmt: skip
    folders = [Path(each.stdout.readline().strip()) for each in held if each.stdout is not None]
    try:
        for each in held[:2]:
            each.kill()
            each.wait()
        assert all((folder / "shard").exists() for folder in folders)
        for folder in (folders[0], folders[2]):
            os.utime(folder, (time.time() - 3600,) * 2)
        with scratch() as own:
            # The second was made a moment ago, the third has its process.
            assert {*tmp_path.iterdir()} == {own, folders[1], folders[2]}
            assert (folders[2] / "shard").exists()
        assert {*tmp_path.iterdir()} == {folders[1], folders[2]}
    finally:
        held[2].communicate("")
    assert {*tmp_path.iterdir()} == {folders[1]}
