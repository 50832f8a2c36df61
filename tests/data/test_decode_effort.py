"""What is decoded for the frames that are wanted, and what is not."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from benchmark.data.decode import open_video
from benchmark.data.packets import Decoding
from tests.generators.encoded import encode, encode_packed

B_PICTURE = 3  # in FFmpeg's numbering
B_FRAMES = {"bf": "3", "g": "10", "b_strategy": "0"}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The kind of every picture that is decoded from now on."""
    kinds: list[int] = []
    frames_of = Decoding.frames

    def noted(decoding: Decoding) -> Iterator[av.VideoFrame]:
        for frame in frames_of(decoding):
            kinds.append(int(frame.pict_type))
            yield frame

    monkeypatch.setattr(Decoding, "frames", noted)
    return kinds


def test_the_timeline_of_a_long_video_decodes_nothing(tmp_path: Path, decoded: list[int]) -> None:
    options = {"preset": "ultrafast", "g": "250"}
    path = encode(tmp_path / "long.mp4", frames=10_000, width=16, height=16, options=options)
    with open_video(path) as video:
        assert (video.frames, decoded) == (10_000, [])
        assert [number for number, _ in video.read([20, 9000, 9020])] == [20, 9000, 9020]
    assert len(decoded) < 600


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("h264.mp4", lambda path: encode(path, options={**B_FRAMES, "b-pyramid": "none"})),
        ("mpeg4.avi", lambda path: encode(path, codec="mpeg4", options={"bf": "2", "qscale": "3"})),
        ("packed.avi", encode_packed),
    ],
)
def test_b_frames_that_nobody_wants_are_not_decoded(
    tmp_path: Path, name: str, make: Callable[[Path], Path], decoded: list[int]
) -> None:
    path = make(tmp_path / name)
    with av.open(str(path)) as container:
        kinds = [int(frame.pict_type) for frame in container.decode(video=0)]
    wanted = [number for number, kind in enumerate(kinds) if kind == B_PICTURE][-3:]
    with open_video(path) as video:
        decoded.clear()  # what a timeline without times takes
        assert [number for number, _ in video.read(wanted)] == wanted
    assert len(wanted) == 3
    assert decoded.count(B_PICTURE) == 3  # those that are wanted, and no other


def test_no_more_than_a_few_frames_are_held_at_a_time(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4", frames=40, options=B_FRAMES)
    gc.collect()
    gc.disable()  # what is only freed by it, is not freed for a while
    before = _decoded_frames()  # those that other tests hold
    try:
        with open_video(path) as video:
            held = [_decoded_frames() - before for _ in video.read(range(8, 40))]
    finally:
        gc.enable()
    assert len(held) == 32
    assert 1 <= max(held) <= 4


def _decoded_frames() -> int:
    """How many frames of PyAV there are in this process."""
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
