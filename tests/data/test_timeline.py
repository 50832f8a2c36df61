import numpy as np
import pytest

from benchmark.data.timeline import Timeline, evenly


def test_even_times_take_no_memory_and_others_are_kept_as_they_are() -> None:
    assert evenly([3, 5, 7]) == range(3, 9, 2)
    assert evenly([4]) == range(4, 5)
    uneven = evenly([0, 2, 5])
    assert isinstance(uneven, np.ndarray)
    assert uneven.tolist() == [0, 2, 5]


@pytest.mark.parametrize("times", [[10, 20, 30, 40], [10, 21, 30, 40]])
def test_times_and_keyframes(times: list[int]) -> None:
    timeline = Timeline(4, evenly(times), np.array([10, 30]))
    assert timeline.times([0, 1, 3]) == [times[0], times[1], times[3]]
    assert [timeline.key_before(time) for time in times] == [10, 10, 30, 30]
    assert timeline.key_before(5) == 10  # before the first keyframe there is none


def test_keyframes_of_uneven_times() -> None:
    timeline = Timeline(5, np.array([0, 10, 25, 30, 70]), np.array([0, 30]))
    assert [timeline.key_before(time) for time in timeline.times(range(5))] == [0, 0, 0, 30, 30]


def test_a_timeline_without_times() -> None:
    with pytest.raises(ValueError, match="no times"):
        Timeline(3, None, np.array([])).times([0])
