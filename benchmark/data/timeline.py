"""When the frames of a video are shown, and where decoding may begin."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

Clock = Literal["pts", "dts"]


@dataclasses.dataclass(frozen=True)
class Timeline:
    """When each frame is shown, learned from the packets, without decoding where the container says it.

    Args:
        frames: Number of frames.
        shown: Ascending times of the frames in the stream's time base, a range where they are evenly spaced; None where
            nothing tells a frame but its place, so that frames must be counted.
        keys: Times at which decoding may begin, ascending.
        clock: What the times are: of presentation, or where AVI has none, of the packet that brings the frame out.
        stream: Number of the stream in the file.
        places: Positions in the file of the packets at `keys`; empty where they are unknown.
    """

    frames: int
    shown: range | np.ndarray | None
    keys: np.ndarray
    clock: Clock = "pts"
    stream: int = 0
    places: np.ndarray = dataclasses.field(default_factory=lambda: np.array([], np.int64))

    def times(self, numbers: Sequence[int]) -> list[int]:
        """The times of some frames."""
        if self.shown is None:
            raise ValueError("this timeline has no times")
        return [int(self.shown[number]) for number in numbers]

    def key_before(self, time: int) -> int:
        """The last keyframe's time at or before another."""
        return int(self.keys[max(int(np.searchsorted(self.keys, time, "right")) - 1, 0)])

    def place_of(self, key: int) -> int | None:
        """Where in the file a keyframe is, by its time; None where that is unknown."""
        return int(self.places[np.searchsorted(self.keys, key)]) if len(self.places) else None


def evenly(times: list[int]) -> range | np.ndarray:
    """The same times; what most videos have takes no memory, so that very many timelines can be remembered."""
    step = times[1] - times[0] if len(times) > 1 else 1
    spaced = range(times[0], times[0] + step * len(times), step)
    return spaced if list(spaced) == times else np.array(times)
