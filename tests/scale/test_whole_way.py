import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.generators.encoded import encode
from tests.scale.whole_way import FIT, Plan, both_ways


def joined(paths: Sequence[Path], target: Path) -> None:
    encode(target, frames=40 * len(paths), options={"g": "12", "threads": "1"})


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_from_lists_to_a_record_as_if_nothing_had_happened(tmp_path: Path) -> None:
    videos: dict[str, list[Path]] = {}
    for number in range(24):
        folder = tmp_path / "videos" / f"class{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        path = encode(folder / f"{number}.mp4", frames=20 + number, options={"g": "12", "threads": "1"})
        videos.setdefault(folder.name, []).append(path)
    options = "--train_clips 4 --validation_clips 2 --test_clips 4 --videos_per_shard 12 --workers 1".split()
    plan = Plan(36, joined=2, dead=3, broken=2, kills=4, options=(*options,), fit=FIT)
    _, killed = both_ways(videos, plan, tmp_path / "out", joined)
    assert sum(killed.killed.values()) >= 2
    shutil.rmtree(tmp_path / "out")
