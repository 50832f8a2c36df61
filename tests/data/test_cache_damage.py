"""A frame cache changes no batch of a damaged video: a clip fails or not whatever was read before it."""

import random
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from benchmark.data.cache import FrameCache
from benchmark.data.dataset import ClipReader, Sample
from benchmark.data.decode import DecodeError
from benchmark.data.index import Video
from tests.data.test_cache import PROTOCOL, SIDE, pictures, reader, same, small_cache
from tests.data.test_cache_ahead import decoded_files
from tests.generators.encoded import encode

CLIPS = range(40)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """100 frames of Motion JPEG, of which one has lost its scan."""
    path = encode(tmp_path_factory.mktemp("v") / "v.avi", codec="mjpeg", pixels="yuvj420p", frames=100)
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0) if packet.size][50]
    content = bytearray(path.read_bytes())
    scan = content.index(b"\xff\xda", place)
    content[scan : scan + 2] = b"\0\0"
    path.write_bytes(content)
    return Video(0, "v", path, (0,))


def outcome(reading: ClipReader, video: Video, clip: int, ahead: Sequence[int] = ()) -> Sample | str:
    try:
        return reading.read(video, [clip], ahead)
    except DecodeError as error:
        return str(error)


def equal(one: Sample | str, other: Sample | str) -> bool:
    return one == other if isinstance(one, str) or isinstance(other, str) else same(one, other)


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("order", ["ascending", "descending", "random"])
def test_which_clips_fail_does_not_depend_on_what_was_read_before(
    video: Video, tmp_path: Path, order: str, ahead: bool
) -> None:
    clips = {"ascending": [*CLIPS], "descending": [*CLIPS][::-1], "random": random.Random(0).sample(CLIPS, len(CLIPS))}
    for offsets in ((7,), (0, 15), tuple(range(3, 13))):  # one store for all, as of several runs
        plain, cached = ClipReader(PROTOCOL, offsets), reader(tmp_path / "c", offsets)
        expected = {clip: outcome(plain, video, clip) for clip in CLIPS}
        assert 0 < sum(isinstance(one, str) for one in expected.values()) < len(CLIPS)
        for _ in range(2):
            for number, clip in enumerate(clips[order]):
                coming = clips[order][number : number + 4] if ahead else []
                assert equal(outcome(cached, video, clip, coming), expected[clip]), (offsets, clip)


def test_what_was_found_sound_is_not_decoded_again(
    video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = reader(tmp_path / "c")
    sound = [clip for clip in CLIPS if isinstance(outcome(cached, video, clip), Sample)]
    opened = decoded_files(monkeypatch)
    assert all(isinstance(outcome(cached, video, clip), Sample) for clip in sound)
    assert not opened


def test_a_full_cache_still_learns_what_is_sound(video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of a clip may all have come with others."""
    whole = ClipReader(PROTOCOL, tuple(range(16)))
    starts = {clip: one.starts[0] for clip in CLIPS if isinstance(one := outcome(whole, video, clip), Sample)}
    first, second = next((a, b) for a in starts for b in starts if 0 < starts[b] - starts[a] < 8)
    kept = FrameCache(tmp_path / "c", PROTOCOL.frame_side, 16 * PROTOCOL.frame_side**2 * 3)
    ClipReader(PROTOCOL, tuple(range(16)), cache=kept).read(video, [first])
    assert kept.is_full
    opened = decoded_files(monkeypatch)
    for _ in range(3):
        ClipReader(PROTOCOL, (0, 3), cache=kept).read(video, [second])
    assert opened == [video.path]


def test_what_is_sound_is_kept_of_videos_that_are_there(tmp_path: Path) -> None:
    held = small_cache(tmp_path / "c", frames=3)
    held.add(1, 20, np.arange(3), pictures(1, np.arange(3)), np.arange(2, 9))
    held.add(1, 20, np.arange(3)[:0], np.empty((0, SIDE, SIDE, 3), np.uint8), np.array([11, 19]))
    held.add(2, 20, np.arange(3), pictures(2, np.arange(3)), np.arange(20))  # there is no room for it
    known = held.known(1)
    assert known is not None
    assert known.length == 20
    assert [number for number in range(20) if known.are_sound(np.array([number]))] == [*range(2, 9), 11, 19]
    assert known.are_sound(np.arange(2, 9))
    assert not known.are_sound(np.arange(2, 10))
    assert held.known(2) is None
