import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from benchmark.leaderboard.ranking import in_words
from benchmark.protocol import TEST_VIEWS, Protocol

ROOT = Path(__file__).resolve().parents[1]


def test_the_papers_protocol() -> None:
    assert Protocol() == Protocol(16, 200, 2014, 20, TEST_VIEWS, "mean_probability")
    assert len(TEST_VIEWS) == 4


def test_the_hash_stays_what_it_is() -> None:
    """Pinned: results with another hash are not ranked together."""
    assert Protocol().hash == "776df397b40d3e53"


@pytest.mark.parametrize(
    "change",
    [
        {"clip_frames": 17},
        {"frame_side": 201},
        {"sampler_seed": 0},
        {"clips_per_video": 19},
        {"views": ("centre",)},
        {"views": TEST_VIEWS[::-1]},
        {"clip_seconds": 0.5},
        {"version": 2},
    ],
)
def test_every_field_is_in_the_hash(change: dict[str, Any]) -> None:
    changed = dataclasses.replace(Protocol(), **change)
    assert changed.hash != Protocol().hash
    assert changed.hash == dataclasses.replace(Protocol(), **change).hash


def test_the_hash_is_the_same_in_another_process() -> None:
    script = "from benchmark.protocol import Protocol; print(Protocol(clips_per_video=3).hash)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == Protocol(clips_per_video=3).hash


def test_the_module_needs_neither_torch_nor_anything_of_this_package() -> None:
    script = (
        "import sys; before = set(sys.modules); import benchmark.protocol; new = set(sys.modules) - before;"
        "print(sorted(n for n in new if n.split('.')[0] in {'torch', 'lightning', 'numpy', 'benchmark'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "['benchmark', 'benchmark.protocol']"


def test_a_protocol_that_counts_seconds_has_a_hash_of_its_own() -> None:
    """Pinned, as the other one."""
    assert Protocol(clip_seconds=0.5).hash == "5af9deacffa3e821"


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clip_that_lasts_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"protocol\.clip_seconds is"):
        Protocol(clip_seconds=seconds)


@pytest.mark.parametrize("name", ["clip_frames", "frame_side", "clips_per_video", "version"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_count_below_one_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"protocol.{name} is {value}"):
        Protocol(**cast(dict[str, Any], {name: value}))


def test_no_view_is_refused() -> None:
    with pytest.raises(ValueError, match=r"protocol\.views is empty"):
        Protocol(views=())


def test_a_protocol_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Protocol().clip_frames = 4  # type: ignore[misc]


def test_a_store_that_changes_pixels_is_another_protocol_and_one_that_does_not_is_the_same() -> None:
    lossy = dataclasses.replace(Protocol(), stored="h264, 1")
    assert lossy.hash != Protocol().hash
    assert dataclasses.replace(lossy, stored="h264, 2").hash != lossy.hash
    assert dataclasses.replace(lossy, stored=None).hash == Protocol().hash
    assert in_words(lossy) == f"{in_words(Protocol())}, stored as h264, 1"
