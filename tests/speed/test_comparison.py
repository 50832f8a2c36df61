from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from benchmark.data.decode import DecodeError, open_video
from benchmark.data.index import Video
from benchmark.speed.comparison import compare
from benchmark.speed.peers import DECODING_ALONE, FIRST_OPENING, OPENED_BEFORE, OURS
from tests.generators.encoded import encode


def test_a_damaged_video_is_left_out(tmp_path: Path) -> None:
    sound = encode(tmp_path / "sound.mp4", frames=60, options={"g": "12"})
    damaged = encode(tmp_path / "damaged.mp4", frames=60, options={"g": "12"})
    held = damaged.read_bytes()
    begin = held.index(b"mdat")
    end = held.index(b"moov", begin)  # the index of the file stays whole, so it opens
    middle = (begin + end) // 2
    damaged.write_bytes(held[:middle] + bytes(end - middle - 8) + held[end - 8 :])
    with open_video(damaged) as video, pytest.raises(DecodeError):
        list(video.read(range(60)))
    paths = [sound, damaged]
    index = SimpleNamespace(
        rows=lambda split: np.arange(2), video=lambda row: Video(row, paths[row].stem, paths[row], ()), identity="two"
    )
    data = cast(Any, SimpleNamespace(index=index))
    found = compare(data, [OURS, "opencv", DECODING_ALONE], {}, clips=4, rounds=2, seed=0)
    assert found.missing == {}
    assert [stage.name for stage in found.training] == [FIRST_OPENING, OPENED_BEFORE, "opencv", DECODING_ALONE]
    assert all(stage.clips == (4, 4) for stage in found.training)
    assert all(stage.clips == (20, 20) for stage in found.testing)
