"""Copies of the same frames in other bytes, and copies of changed frames."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.data.decode import DecodeError, open_video
from benchmark.data.disguise import Change, changed_copy, plain_copy
from benchmark.data.preprocess import whole_rgb
from benchmark.data.spread_frames import evenly, spread_frames
from tests.generators.encoded import encode, number_shown


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_a_plain_copy_has_the_same_frames_another_size_and_no_time(suffix: str, tmp_path: Path) -> None:
    source = encode(tmp_path / f"source{suffix}", codec="mpeg4" if suffix == ".avi" else "libx264")
    copies = [tmp_path / f"{padding}{suffix}" for padding in (100, 4001)]
    for copy, padding in zip(copies, (100, 4001), strict=True):
        plain_copy(source, copy, padding)
        found, expected = (spread_frames(path, evenly(5), 64) for path in (copy, source))
        assert found is not None
        assert expected is not None
        np.testing.assert_array_equal(found, expected)
    sizes = {path.stat().st_size for path in (source, *copies)}
    assert len(sizes) == 3
    assert copies[0].stat().st_mtime_ns == copies[1].stat().st_mtime_ns != source.stat().st_mtime_ns


def test_what_cannot_be_read_is_copied_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    plain_copy(tmp_path / "broken.mp4", tmp_path / "copy.mp4", 10)
    assert (tmp_path / "copy.mp4").read_bytes().startswith(b"no video")
    with pytest.raises(DecodeError):
        changed_copy(tmp_path / "broken.mp4", tmp_path / "other.mp4", Change(0.02, 3, 20))


@pytest.mark.parametrize("first", [0, 5, 100])
def test_a_changed_copy_begins_later_and_is_cut(first: int, tmp_path: Path) -> None:
    source = encode(tmp_path / "source.mp4", frames=40)
    left_out = changed_copy(source, tmp_path / "copy.mp4", Change(0.03, first, 20))
    assert left_out == min(first, 39)
    with open_video(tmp_path / "copy.mp4") as copy, open_video(source) as video:
        assert copy.frames == 40 - left_out
        shown = [whole_rgb(picture, 60) for _, picture in copy.read(range(copy.frames))]
        assert [number_shown(image) for image in shown] == list(range(left_out, 40))
        np.testing.assert_allclose(copy.shown_seconds(), video.shown_seconds()[: copy.frames], atol=0.002)
        (_, picture), *_ = copy.read([0])
        assert picture.yuv is not None
        assert picture.yuv[0].shape == (60, 90)  # of 64 and 96, 3% less at each side


def test_a_changed_copy_of_an_avi_file_with_b_frames_is_as_fast(tmp_path: Path) -> None:
    source = encode(tmp_path / "source.avi", codec="mpeg4", frames=12, options={"bf": "2"}, rate=10)
    changed_copy(source, tmp_path / "copy.mp4", Change(0.02, 0, 20))
    with open_video(tmp_path / "copy.mp4") as copy:
        np.testing.assert_allclose(copy.shown_seconds(), np.arange(12) / 10, atol=0.002)
