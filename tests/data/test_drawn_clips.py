from pathlib import Path

import numpy as np

from benchmark.data.dataset import ClipReader, Sample, TrainingClips
from benchmark.data.drawn_clips import DrawnClips, chunks
from benchmark.data.synthetic import read_synthetic_index
from benchmark.protocol import Protocol

KEYS = np.array([(row, clip, draw) for row in (3, 5, 9) for clip in range(6) for draw in range(4)])


def test_chunks_hold_all_keys_of_one_video_each() -> None:
    keys = KEYS
    cut = list(chunks(keys, 5))
    assert np.array_equal(np.concatenate(cut), keys)
    assert all(len(set(chunk[:, 0])) == 1 for chunk in cut)
    owners = [{tuple(key[:2]) for key in chunk.tolist()} for chunk in cut]
    assert sum(map(len, owners)) == len(set.union(*owners))  # no clip is decoded twice
    assert list(chunks(keys[:0], 5)) == []


def test_a_draw_is_the_one_that_training_on_frames_makes_in_that_epoch(small_set: Path) -> None:
    index = read_synthetic_index(small_set, source_groups=3)
    row, reader = int(index.rows("train")[0]), ClipReader(Protocol(), (3, 8))
    chunk = np.array([[row, 1, 0], [row, 1, 3], [row, 2, 1]])
    drawn = DrawnClips(index, reader, 170, seed=7)[chunk]
    assert isinstance(drawn, Sample)
    for place, (_, clip, draw) in enumerate(chunk.tolist()):
        alone = TrainingClips(index, reader, 170, seed=7)[draw, row, clip]
        assert isinstance(alone, Sample)
        assert np.array_equal(drawn.frames[place], alone.frames[0])
        assert drawn.starts[place] == alone.starts[0]
    assert not np.array_equal(drawn.frames[0], drawn.frames[1])
