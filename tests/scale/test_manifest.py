import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.scale.manifest import Manifest

WRITER = """
import sys
from pathlib import Path
from benchmark.scale.manifest import Manifest
with Manifest(Path(sys.argv[1])) as manifest:
    manifest.want((f"v{n}", n // 10) for n in range(100))
    print("ready", flush=True)
    for n in range(100):
        manifest.settle(f"v{n}", "dead", "gone")
        if n == 50:
            print("half", flush=True)
            sys.stdin.read()
"""


def test_states_shards_and_counts(tmp_path: Path) -> None:
    with Manifest(tmp_path / "m.sqlite") as manifest:
        manifest.want([("a", 0), ("b", 0), ("c", 1)])
        manifest.settle("a", "fetched", path=Path("a.mp4"), seconds=2.5)
        manifest.settle("b", "region", "HTTP 451")
        assert manifest.unfinished() == [0, 1]
        manifest.finish(0, [("a", "undecodable", "damaged")])
        assert manifest.unfinished() == [1]
    with Manifest(tmp_path / "m.sqlite") as manifest:
        manifest.want([("other", 0)])  # what is wanted is said once
        entries = list(manifest.entries())
        assert [(e.video_id, e.state, e.reason, e.path) for e in entries] == [
            ("a", "undecodable", "damaged", None),
            ("b", "region", "HTTP 451", None),
            ("c", "wanted", "", None),
        ]
        assert all(time.time() - entry.changed < 60 for entry in entries)
        counts = manifest.counts()
        assert (counts["undecodable"], counts["region"], counts["wanted"], counts["dead"]) == (1, 1, 1, 0)


def test_there_is_one_writer(tmp_path: Path) -> None:
    with Manifest(tmp_path / "m.sqlite"), pytest.raises(UserError, match=r"in use by another job.*--work"):
        Manifest(tmp_path / "m.sqlite")
    (tmp_path / "text.sqlite").write_text("no database at all, but long enough to be looked at" * 20, "utf-8")
    with pytest.raises(UserError, match="no manifest"):
        Manifest(tmp_path / "text.sqlite")


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_one_message(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.raises(UserError, match=r"--work is .*file.*; name another"):
        Manifest(tmp_path / folder / "m.sqlite")


def test_another_job_is_refused(tmp_path: Path) -> None:
    with Manifest(tmp_path / "m.sqlite") as manifest:
        manifest.require_settings({"store": "b"}, note=False)
        manifest.require_settings({"store": "a"})
        manifest.require_settings({"store": "a"})
        with pytest.raises(UserError, match="store was a and is b"):
            manifest.require_settings({"store": "b"})


def test_what_was_settled_before_a_kill_stays(tmp_path: Path) -> None:
    file = tmp_path / "m.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert writer.stdout is not None
    assert [writer.stdout.readline().strip() for _ in range(2)] == ["ready", "half"]
    writer.kill()
    writer.wait()
    with Manifest(file) as manifest:
        assert [entry.state for entry in manifest.entries()] == ["dead"] * 51 + ["wanted"] * 49
    assert sqlite3.connect(file).execute("pragma integrity_check").fetchone() == ("ok",)
