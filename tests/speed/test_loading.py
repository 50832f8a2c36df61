import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.dataset import ClipReader, Collate, Sample, TrainingClips
from benchmark.protocol import Protocol
from benchmark.speed.loading import _Passes
from tests.generators.indexes import small_index


class Negatives(TrainingClips):
    """A reader of a user's own, with something of its own besides."""

    turned = 255

    def __getitem__(self, key: tuple[int, int, int]) -> Any:
        sample = super().__getitem__(key)
        assert isinstance(sample, Sample)
        return dataclasses.replace(sample, frames=self.turned - sample.frames)


def test_the_clips_that_are_timed_are_those_of_the_fit(tmp_path: Path) -> None:
    reader = ClipReader(Protocol(frame_side=40), (0, 15))
    clips = Negatives(small_index(tmp_path), reader, 30, 0, visited=lambda _epoch, _row: [])
    clips.turned = 250
    timed = _Passes(clips, Collate(3, 2, 30, ("centre",)), 2).dataset
    assert type(timed) is Negatives
    assert (timed.reader.cache, timed.visited) == (None, None)
    one, other = timed[0, 0, 3], clips[0, 0, 3]
    assert isinstance(one, Sample)
    assert isinstance(other, Sample)
    np.testing.assert_array_equal(one.frames, other.frames)
