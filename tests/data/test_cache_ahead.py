"""With a frame cache, the clips of a video that an epoch visits are decoded together, and are the same clips."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.data import dataset
from benchmark.data.cache import FrameCache
from benchmark.data.dataset import ClipReader, Sample, TrainingClips
from benchmark.data.decode import DecodeError, DecoderName, OpenVideo, open_video
from benchmark.data.pyav_video import PyAVVideo
from tests.data.test_cache import OFFSETS, PROTOCOL, reader, same
from tests.generators.indexes import small_index


def decoded_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are opened from now on."""
    opened = list[Path]()

    def noted(path: Path, decoder: DecoderName) -> contextlib.AbstractContextManager[OpenVideo]:
        opened.append(path)
        return open_video(path, decoder)

    monkeypatch.setattr(dataset, "open_video", noted)
    return opened


def test_clips_that_come_later_in_an_epoch_are_decoded_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, opened = small_index(tmp_path), decoded_files(monkeypatch)
    keys = [(0, 0, 7), (0, 1, 3), (0, 0, 1), (0, 1, 0), (0, 0, 2), (1, 0, 9)]
    visits = {(0, 0): [1, 2, 7], (0, 1): [0, 3], (1, 0): [9]}
    plain = TrainingClips(index, ClipReader(PROTOCOL, OFFSETS), 30, 0)
    expected = [plain[key] for key in keys]
    opened.clear()
    ahead = TrainingClips(index, reader(tmp_path / "c"), 30, 0, visited=lambda epoch, row: visits[epoch, row])
    for key, sample in zip(keys, expected, strict=True):
        found = ahead[key]
        assert isinstance(found, Sample)
        assert isinstance(sample, Sample)
        assert same(found, sample)
        if key[0] == 0:
            assert opened == [index.video(0).path, index.video(1).path][: len(opened)]
    assert opened[:2] == [index.video(0).path, index.video(1).path]
    assert len(opened) <= 3  # the last clip's frames may all be among those of the others


def test_damage_in_a_later_clip_takes_no_sound_one_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = small_index(tmp_path)
    original, video = PyAVVideo.read, index.video(0)
    sound = ClipReader(PROTOCOL, OFFSETS)
    starts = {clip: sound.read(video, [clip]).starts[0] for clip in range(50)}
    early, late = min(starts, key=starts.__getitem__), max(starts, key=starts.__getitem__)
    assert starts[early] + 16 < starts[late] + 16

    def damaged_at_the_end(self: PyAVVideo, numbers: Sequence[int], span: Sequence[int] | None = None) -> Any:
        if max(span or numbers) >= starts[late] + 15:
            raise DecodeError("damaged there")
        return original(self, numbers, span)

    monkeypatch.setattr(PyAVVideo, "read", damaged_at_the_end)
    cached = reader(tmp_path / "c")
    assert same(cached.read(video, [early], ahead=[early, late]), sound.read(video, [early]))
    with pytest.raises(DecodeError, match="damaged there"):
        cached.read(video, [late], ahead=[early, late])


def test_a_full_cache_is_given_nothing_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = small_index(tmp_path)
    full = ClipReader(PROTOCOL, OFFSETS, cache=FrameCache(tmp_path / "c", 40, 10 * 40 * 40 * 3))
    full.read(index.video(3), [0])
    asked, original = list[int](), PyAVVideo.read

    def noted(self: PyAVVideo, numbers: Sequence[int], span: Sequence[int] | None = None) -> Any:
        asked.append(len(numbers))
        return original(self, numbers, span)

    monkeypatch.setattr(PyAVVideo, "read", noted)
    full.read(index.video(0), [1], ahead=[1, 2, 3, 4])
    assert asked == [len(OFFSETS)]
