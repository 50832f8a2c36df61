"""Frames for pictures are the frames that reading by number gives."""

from pathlib import Path

import numpy as np

from benchmark.data.decode import open_video
from benchmark.data.preprocess import square_rgb
from benchmark.data.spread_frames import evenly, spread_frames
from benchmark.data.synthetic import read_synthetic_index


def test_frames_are_spread_over_the_video(small_set: Path) -> None:
    index = read_synthetic_index(small_set, source_groups=3)
    video = index.find("v_Discs_g01_c01")
    assert video is not None
    found = spread_frames(video.path, evenly(4), 32)
    assert found is not None
    assert found.shape == (4, 32, 32, 3)
    with open_video(video.path) as opened:
        wanted = [int(opened.frames * share) for share in (0.125, 0.375, 0.625, 0.875)]
        for place, (_, picture) in enumerate(opened.read(wanted)):
            assert (found[place] == square_rgb(picture, 32)).all()
    twice = spread_frames(video.path, (0.5, 0.5), 32)
    assert twice is not None
    assert np.array_equal(twice[0], twice[1])


def test_a_video_that_cannot_be_read_has_none(small_set: Path, tmp_path: Path) -> None:
    index = read_synthetic_index(small_set, source_groups=3)
    broken = index.find("v_Rise_g01_c01")
    assert broken is not None
    assert spread_frames(broken.path, evenly(5), 32) is None
    assert spread_frames(tmp_path / "no.mp4", evenly(5), 32) is None
    assert index.find("no such video") is None
