import os
from pathlib import Path

import pytest

from benchmark.data.dataset import ClipReader
from benchmark.data.decode import open_video
from benchmark.data.files import VideoFiles
from benchmark.errors import DatasetNotFoundError, UserError
from benchmark.protocol import Protocol
from tests.generators.videos import touch, write_video


def test_one_file_has_the_same_clips_however_it_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path("x.mp4"), frames=60)
    (tmp_path / "d").mkdir()
    index = VideoFiles([tmp_path / "x.mp4", Path("x.mp4"), Path("d/../x.mp4")], ["a", "b"]).read_index()
    assert len(index) == 3
    with open_video(Path("x.mp4"), "pyav") as video:
        assert video.frames == 60
    reader = ClipReader(Protocol(clips_per_video=5), (8,))
    starts = [tuple(reader.read(index.video(row), range(5)).starts) for row in range(3)]
    assert len(set(starts)) == 1
    assert len(set(starts[0])) > 1


def test_folders_give_their_videos_and_say_what_they_leave_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b/2.MTS", "a/1.mp4", "a/notes.txt", "a/.hidden.mp4"):
        touch(tmp_path / name)
    index = VideoFiles([tmp_path], ["a", "b"]).read_index()
    assert index.table["video_id"].to_pylist() == [f"{tmp_path}/a/1.mp4", f"{tmp_path}/b/2.MTS"]
    assert "1 .txt" in caplog.text
    with pytest.raises(DatasetNotFoundError, match="which does not exist"):
        VideoFiles([tmp_path / "c"], ["a", "b"]).read_index()


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mp4"))
    path.touch()
    with pytest.raises(UserError, match=r"caf\\udce9.mp4', whose name is not UTF-8 or holds control"):
        VideoFiles([path], ["a", "b"]).read_index()
