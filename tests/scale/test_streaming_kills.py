from pathlib import Path

import pytest

from tests.scale.streaming_kills import Fit, compare, go, make_store


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_a_fit_from_a_store_that_is_killed_sees_each_clip_once_an_epoch(tmp_path: Path) -> None:
    make_store(tmp_path, 16, str(tmp_path / "store"))
    said: list[str] = []
    assert go(tmp_path, 3, 16, 3, 0.5, str(tmp_path / "store"), said.append) == 3
    assert said[0].startswith("3 kills")
    # What compares would see a step that is missing, and a weight that differs.
    one, other = (Fit(tmp_path / name, "", 3) for name in ("undisturbed", "killed"))
    lines = other.journal.read_text("utf-8").splitlines()
    last = max(number for number, line in enumerate(lines) if '"step": 5,' in line)
    other.journal.write_text("\n".join(line for line in lines if '"step": 5,' not in line), "utf-8")
    assert last
    with pytest.raises(AssertionError, match="1 steps were trained on other clips, the first is 5"):
        compare(one, other, 0)
