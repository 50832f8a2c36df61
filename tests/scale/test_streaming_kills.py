import subprocess
import sys
from pathlib import Path

import pytest

from tests.scale.streaming_kills import Fit, compare


@pytest.mark.timeout(900)
def test_a_fit_from_a_store_that_is_killed_sees_each_clip_once_an_epoch(tmp_path: Path) -> None:
    # A process of its own, since it forks: this one may have threads.
    words = "-m tests.scale.streaming_kills --kills 3 --videos 16 --epochs 3 --longest_s 0.5 --out".split()
    done = subprocess.run([sys.executable, *words, tmp_path], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 kills")
    # What compares would see a step that trained on other clips.
    one, other = (Fit(tmp_path / name, "", 3) for name in ("undisturbed", "killed"))
    lines = other.journal.read_text("utf-8").splitlines()
    other.journal.write_text("\n".join(line for line in lines if '"step": 5,' not in line), "utf-8")
    with pytest.raises(AssertionError, match="1 steps were trained on other clips, the first is 5"):
        compare(one, other, 0)
