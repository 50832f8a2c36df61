from pathlib import Path

import pytest

from benchmark.data.decode import DecodeError
from benchmark.speed.bare_decoder import decode_alone, frames_per_second
from tests.generators.encoded import encode


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_decoding_alone_begins_at_a_key_frame_and_ends_with_the_clip(suffix: str, tmp_path: Path) -> None:
    path = encode(tmp_path / f"some{suffix}", codec="mpeg4", options={"g": "12", "bf": "0"})
    assert frames_per_second(path) == 25
    for first, last in ((0, 0), (3, 12), (14, 23), (30, 39)):
        assert decode_alone(path, first, last, 25.0) == last - first // 12 * 12 + 1


def test_what_is_no_video_has_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video", "utf-8")
    with pytest.raises(DecodeError, match="the bare decoder cannot read it: Invalid data"):
        decode_alone(path, 0, 9, 25.0)
    with pytest.raises(DecodeError, match="the bare decoder cannot read it: Invalid data"):
        frames_per_second(path)
