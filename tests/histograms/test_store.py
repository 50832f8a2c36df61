import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage", reason="needs skimage, of the extra histograms")

from benchmark.data.index import Video
from benchmark.histograms import filling
from benchmark.histograms.description import describe_video
from benchmark.histograms.filling import Histograms, count_all, describe_all
from benchmark.histograms.store import Descriptions
from tests.generators.scenes import write_scene
from tests.histograms.test_words import few_words


def videos(folder: Path, count: int) -> list[Video]:
    return [Video(n, f"v{n}", write_scene(folder / f"v{n}.avi", n), (0,)) for n in range(count)]


def test_what_is_read_is_what_was_measured(tmp_path: Path) -> None:
    (video,) = videos(tmp_path, 1)
    store = Descriptions(tmp_path / "store")
    measured, read = describe_video(video.path), store.get(video)
    assert store.holds(video)
    for name, local in measured.local.items():
        np.testing.assert_array_equal(read.local[name].values, local.values)
        np.testing.assert_array_equal(read.local[name].places, local.places)


def test_a_video_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (video,) = videos(tmp_path, 1)
    store = Descriptions(tmp_path / "store")
    store.get(video)
    monkeypatch.setattr("benchmark.histograms.store.describe_video", None)
    store.get(video)


def test_a_changed_file_and_other_settings_are_measured_again(tmp_path: Path) -> None:
    (video,) = videos(tmp_path, 1)
    store = Descriptions(tmp_path / "store")
    store.get(video)
    assert not Descriptions(tmp_path / "store", stride=2).holds(video)
    write_scene(video.path, 77)
    assert not store.holds(video)


@pytest.mark.parametrize("left", [0, 100, -10])
def test_a_file_that_was_cut_off_is_made_again(tmp_path: Path, left: int) -> None:
    (video,) = videos(tmp_path, 1)
    store = Descriptions(tmp_path / "store")
    whole = store.get(video)
    content = store.path(video).read_bytes()
    store.path(video).write_bytes(content[:left])
    np.testing.assert_array_equal(store.get(video).local["hog"].values, whole.local["hog"].values)


@pytest.mark.parametrize("processes", [0, 2])
def test_all_are_made_and_those_that_cannot_be_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processes: int
) -> None:
    some = videos(tmp_path, 4)
    some[2].path.write_bytes(b"no video")
    store = Descriptions(tmp_path / "store")
    failed = describe_all(store, some, processes)
    assert list(failed) == [2]
    assert [store.holds(video) for video in some] == [True, True, False, True]
    out = capsys.readouterr().out
    assert "made 3, 1 failed" in out
    assert "ms of one process a video second" in out
    made = Histograms(store, few_words())
    count_all(made, some, processes)
    assert len([*made.folder.iterdir()]) == 3
    np.testing.assert_array_equal(made.get(some[0]), Histograms(store, few_words()).get(some[0]))


def test_other_words_are_counted_elsewhere(tmp_path: Path) -> None:
    store = Descriptions(tmp_path)
    assert Histograms(store, few_words(0)).folder != Histograms(store, few_words(1)).folder
    assert Histograms(store, few_words(0)).folder == Histograms(store, few_words(0)).folder


_EXTRACT = """
import sys
from pathlib import Path
from benchmark.data.index import Video
from benchmark.histograms.filling import describe_all
from benchmark.histograms.store import Descriptions

if __name__ == "__main__":
    paths = sorted(Path(sys.argv[1]).glob("*.avi"))
    some = [Video(n, path.stem, path, (0,)) for n, path in enumerate(paths)]
    describe_all(Descriptions(Path(sys.argv[2])), some, int(sys.argv[3]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("processes", [1, 2])
def test_what_was_killed_goes_on(tmp_path: Path, processes: int) -> None:
    some = videos(tmp_path / "videos", 12)
    script = tmp_path / "extract.py"
    script.write_text(_EXTRACT, "utf-8")
    words = [sys.executable, str(script), str(tmp_path / "videos"), str(tmp_path / "store"), str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(Path(filling.__file__).parents[2])}
    store = Descriptions(tmp_path / "store")
    begun = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while sum(map(store.holds, some)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    time.sleep(1.5 if processes > 1 else 0)  # its workers end by themselves
    kept = {path: path.stat().st_mtime_ns for path in map(store.path, some) if path.exists()}
    assert 2 <= len(kept) < len(some)
    again = subprocess.run(words, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert f"{len(some) - len(kept)} to make" in again.stdout
    assert all(store.holds(video) for video in some)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for video in some:
        np.testing.assert_array_equal(
            store.get(video).local["texton"].values, describe_video(video.path).local["texton"].values
        )
