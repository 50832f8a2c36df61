"""Videos whose names say nothing, and clips that begin where they are told to."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.blinded import BlindedVideo, BlindedVideos, write_blinded
from benchmark.data.dataset import ClipReader
from benchmark.errors import UserError
from benchmark.protocol import Protocol
from tests.generators.encoded import encode


def test_clips_begin_where_they_are_told_to(tmp_path: Path) -> None:
    for name in ("b1", "a2"):
        encode(tmp_path / f"{name}.mp4", frames=40)
    write_blinded(tmp_path, ["x", "y"], [BlindedVideo("b1.mp4", (3, 0, 24)), BlindedVideo("a2.mp4")])
    data = BlindedVideos(tmp_path)
    index = pickle.loads(pickle.dumps(data.index))  # as for a worker that is not forked
    assert index.table["video_id"].to_pylist() == ["b1", "a2"]
    assert index.rows("test").tolist() == [0, 1]
    assert index.table["labels"].to_pylist() == [[], []]
    assert data.class_names == ("x", "y")
    protocol = Protocol(clips_per_video=3)
    reader = ClipReader(protocol, (0, 15))
    told, drawn = (reader.read(index.video(row), range(3)) for row in (0, 1))
    assert told.starts == [3, 0, 24]
    whole = reader.read(index.video(1), range(3))
    np.testing.assert_array_equal(whole.frames, drawn.frames)
    assert drawn.starts != [3, 0, 24]


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"videos": [1]}', "no JSON"])
def test_another_folder_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "videos.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match="holds no blinded videos"):
        BlindedVideos(tmp_path).read_index()
