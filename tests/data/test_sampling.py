import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest

from benchmark.data.sampling import ClipPlan, clip_start, epoch_order, frame_numbers, visited_clips
from benchmark.protocol import Protocol


@pytest.mark.parametrize(
    ("seed", "video_id", "clip", "frames", "start"),
    [
        (2014, "v_Archery_g01_c01", 0, 108, 67),
        (2014, "v_Archery_g01_c01", 1, 108, 65),
        (2014, "v_Archery_g01_c01", 19, 108, 65),
        (2014, "v_YoYo_g25_c05", 0, 108, 7),
        (7, "v_Archery_g01_c01", 0, 108, 72),
        (2014, "Grüße/клип", 3, 10_000, 8_790),
        (2014, "", 0, 17, 0),
        (0, "a", 0, 1_099_511_627_776, 537_454_258_302),
    ],
)
def test_starts_stay_what_they_are(seed: int, video_id: str, clip: int, frames: int, start: int) -> None:
    """Pinned: a change here makes every earlier result incomparable."""
    assert clip_start(seed, video_id, clip, frames, 16) == start


def test_a_start_is_a_fraction_of_the_possible_starts() -> None:
    """The docstring's formula, with exact fractions in Python's integers."""
    for clip in range(50):
        for frames in (1, 15, 16, 17, 40, 300, 10_000):
            digest = hashlib.blake2b(f"7/v_Archery_g01_c01/{clip}".encode(), digest_size=8).digest()
            fraction = sum(byte << 8 * place for place, byte in enumerate(digest))
            possible = max(frames - 16, 0) + 1
            assert clip_start(7, "v_Archery_g01_c01", clip, frames, 16) == fraction * possible // 2**64


def test_a_start_depends_on_seed_video_and_clip_and_nothing_else() -> None:
    one = [clip_start(2014, "a", clip, 1000, 16) for clip in range(20)]
    np.random.seed(5)
    assert one == [clip_start(2014, "a", clip, 1000, 16) for clip in range(20)]
    assert one[::-1] == [clip_start(2014, "a", clip, 1000, 16) for clip in reversed(range(20))]
    assert one != [clip_start(2015, "a", clip, 1000, 16) for clip in range(20)]
    assert one != [clip_start(2014, "b", clip, 1000, 16) for clip in range(20)]
    assert len(set(one)) > 15


def test_every_start_comes_equally_often() -> None:
    counts = Counter(clip_start(1, f"video {number}", 0, 20, 16) for number in range(5000))
    assert sorted(counts) == [0, 1, 2, 3, 4]
    assert all(900 < count < 1100 for count in counts.values())


@pytest.mark.parametrize("frames", [1, 2, 15, 16])
def test_a_video_no_longer_than_a_clip_has_one_start(frames: int) -> None:
    assert {clip_start(0, "short", clip, frames, 16) for clip in range(30)} == {0}


@pytest.mark.parametrize(
    ("start", "offsets", "frames", "expected"),
    [
        (0, (0, 15), 16, [0, 15]),
        (24, (0, 5, 15), 40, [24, 29, 39]),
        (0, (0, 5, 15), 6, [0, 5, 5]),
        (0, (0, 1, 2), 1, [0, 0, 0]),
        (3, (), 9, []),
    ],
)
def test_frames_past_the_end_are_the_last_one(
    start: int, offsets: tuple[int, ...], frames: int, expected: list[int]
) -> None:
    assert frame_numbers(start, offsets, frames) == expected


@pytest.mark.parametrize(("clips", "an_epoch"), [(50, 2), (7, 3), (1, 1), (12, 12), (10, 4)])
def test_all_clips_are_visited_before_any_comes_again(clips: int, an_epoch: int) -> None:
    epochs = [visited_clips(3, epoch, 40, clips, an_epoch) for epoch in range(2 * clips)]
    assert {epoch.shape for epoch in epochs} == {(40, an_epoch)}
    walk = np.concatenate(epochs, axis=1)
    for first in range(0, walk.shape[1] - clips + 1, clips):
        np.testing.assert_array_equal(
            np.sort(walk[:, first : first + clips], axis=1), np.tile(np.arange(clips), (40, 1))
        )


def test_videos_walk_in_orders_of_their_own() -> None:
    walk = np.concatenate([visited_clips(0, epoch, 100, 50, 2) for epoch in range(25)], axis=1)
    assert len({tuple(row) for row in walk}) > 90


def test_visited_clips_are_a_function_of_seed_and_epoch() -> None:
    np.testing.assert_array_equal(visited_clips(1, 4, 9, 50, 2), visited_clips(1, 4, 9, 50, 2))
    assert (visited_clips(1, 4, 9, 50, 2) != visited_clips(2, 4, 9, 50, 2)).any()
    assert (visited_clips(1, 4, 9, 50, 2) != visited_clips(1, 5, 9, 50, 2)).any()


def test_an_epochs_order_is_a_permutation_of_its_own() -> None:
    orders = [epoch_order(0, epoch, 30).tolist() for epoch in range(5)] + [epoch_order(1, 0, 30).tolist()]
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert len({tuple(order) for order in orders}) == len(orders)
    assert orders[2] == epoch_order(0, 2, 30).tolist()


def test_order_and_walk_stay_what_they_are() -> None:
    """Pinned: a resumed run must go on where the interrupted one stopped."""
    assert epoch_order(0, 0, 8).tolist() == [1, 3, 7, 6, 0, 4, 2, 5]
    assert visited_clips(0, 1, 3, 50, 2).tolist() == [[49, 42], [27, 8], [6, 33]]


SECONDS = {
    "15 a second": np.arange(40) / 15,
    "25 a second": np.arange(60) / 25,
    "60 a second": np.arange(150) / 60,
    "in milliseconds": np.round(np.arange(90) * 1000 / 30) / 1000,
    "uneven": np.cumsum(np.random.default_rng(3).uniform(0.005, 0.12, 70)),
    "as long as a clip": np.arange(8) / 16,
    "shorter": np.arange(5) / 25,
    "one frame": np.zeros(1),
}


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_a_clip_of_seconds_reads_what_is_shown_at_each_of_its_moments(name: str, seconds: float) -> None:
    """Against a search through the frames' times, one moment after the other."""
    shown = SECONDS[name]
    plan = ClipPlan(Protocol(clip_seconds=seconds), "v_Archery_g01_c01", len(shown), shown)
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(shown.tolist()))
    end = shown[-1] + (np.median(gaps) if gaps else 0)
    possible = [number for number, time in enumerate(shown) if end - time >= seconds - 0.001] or [0]
    assert plan.is_short == (end - shown[0] < seconds - 0.001)
    for clip in range(20):
        digest = hashlib.blake2b(f"2014/v_Archery_g01_c01/{clip}".encode(), digest_size=8).digest()
        start = possible[int.from_bytes(digest, "little") * len(possible) // 2**64]
        assert plan.start(clip) == start
        expected = []
        for offset in range(16):
            moment = shown[start] + offset * seconds / 16
            expected.append(max(number for number, time in enumerate(shown) if time <= moment + 0.001))
        assert plan.numbers(start, tuple(range(16))) == expected


@pytest.mark.parametrize(("rate", "last"), [(15, 7), (24, 11), (30, 14), (32, 15), (50, 23), (60, 28), (120, 56)])
def test_half_a_second_is_half_a_second_at_any_rate(rate: int, last: int) -> None:
    """The last of 16 moments is 15/32 s after the first."""
    plan = ClipPlan(Protocol(clip_seconds=0.5), "a", 10 * rate, np.arange(10 * rate) / rate)
    assert [number - plan.start(3) for number in plan.numbers(plan.start(3), (0, 15))] == [0, last]


def test_at_32_frames_a_second_both_protocols_read_the_same() -> None:
    seconds = ClipPlan(Protocol(clip_seconds=0.5), "a", 320, np.arange(320) / 32)
    frames = ClipPlan(Protocol(), "a", 320)
    for clip in range(20):
        start = frames.start(clip)
        assert seconds.start(clip) == start
        assert seconds.numbers(start, tuple(range(16))) == frames.numbers(start, tuple(range(16)))
