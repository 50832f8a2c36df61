"""What holds of the places of clips and the order of epochs, whatever the numbers."""

from fractions import Fraction

import numpy as np
import pytest

from benchmark.data.sampling import clip_start, epoch_order, frame_numbers, visited_clips
from benchmark.protocol import clip_draw

pytest.importorskip("hypothesis", reason="needs hypothesis, of the extra test")
from hypothesis import given, settings
from hypothesis import strategies as st

FAST = settings(max_examples=200, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**63 - 1)
FRAMES = st.integers(1, 2**31)


@FAST
@given(SEEDS, st.text(max_size=30), st.integers(0, 10**6), FRAMES, st.integers(1, 1000))
def test_a_clip_lies_in_its_video_where_the_draw_says(
    seed: int, video: str, clip: int, frames: int, length: int
) -> None:
    video = video.encode("utf-8", "replace").decode()
    start = clip_start(seed, video, clip, frames, length)
    places = max(frames - length, 0) + 1
    assert 0 <= start < places
    assert start == int(Fraction(clip_draw(seed, video, clip), 2**64) * places)
    assert start == clip_start(seed, video, clip, frames, length)


@FAST
@given(SEEDS, st.text(st.characters(codec="utf-8"), max_size=10), st.integers(0, 99), FRAMES, st.integers(1, 100))
def test_a_clip_of_a_longer_video_starts_no_earlier(seed: int, video: str, clip: int, frames: int, length: int) -> None:
    assert clip_start(seed, video, clip, frames, length) <= clip_start(seed, video, clip, frames + 1, length)


@FAST
@given(st.integers(0, 10**6), st.lists(st.integers(0, 200), min_size=1, max_size=20), FRAMES)
def test_frames_are_in_the_video_and_in_order(start: int, offsets: list[int], frames: int) -> None:
    start, steps = min(start, frames - 1), tuple(sorted(offsets))
    found = frame_numbers(start, steps, frames)
    assert len(found) == len(steps)
    assert found == sorted(found)
    assert all(0 <= number < frames for number in found)
    assert all(number in (start + step, frames - 1) for number, step in zip(found, steps, strict=True))


@FAST
@given(SEEDS, st.integers(1, 40), st.integers(1, 30), st.integers(1, 12))
def test_every_clip_comes_once_before_any_comes_again(seed: int, videos: int, clips: int, each: int) -> None:
    turns = -(-clips // each)
    visited = np.concatenate([visited_clips(seed, epoch, videos, clips, each) for epoch in range(turns + 1)], axis=1)
    assert visited.shape == (videos, each * (turns + 1))
    for row in visited:
        assert sorted(row[:clips]) == list(range(clips))
        assert (row[clips:] == row[: len(row) - clips]).all()


@FAST
@given(SEEDS, st.integers(0, 10**6), st.integers(0, 300))
def test_an_epoch_is_a_permutation_of_its_own(seed: int, epoch: int, count: int) -> None:
    order = epoch_order(seed, epoch, count)
    assert sorted(order) == list(range(count))
    assert (order == epoch_order(seed, epoch, count)).all()
