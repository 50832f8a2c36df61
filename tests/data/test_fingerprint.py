from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmark.content import Contents, shared
from benchmark.data.fingerprint import fingerprint_of
from benchmark.files import file_hash
from tests.generators.scenes import scene, write_frames, write_scene
from tests.generators.videos import touch


def contents(paths: list[Path]) -> Contents:
    found = Contents.nothing(len(paths))
    for row, path in enumerate(paths):
        prints = fingerprint_of(path)
        assert prints is not None
        found.prints[row] = prints
    return found


def resized(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames,
        lambda frames: frames[:, :, ::-1],
        lambda frames: resized(frames, 80, 60),
        lambda frames: resized(frames, 320, 240),
        lambda frames: frames[:, 6:-6, 8:-8],
        lambda frames: resized(frames[:, 6:-6, 8:-8, :], 96, 72)[:, :, ::-1],
    ],
    ids=["encoded", "mirrored", "half", "double", "cut", "all"],
)
def test_changed_copies_are_recognised_and_others_are_not(change: object, tmp_path: Path) -> None:
    originals = [write_scene(tmp_path / f"{seed}.avi", seed) for seed in range(6)]
    copies = [
        write_frames(tmp_path / f"copy {seed}.mp4", change(scene(seed)), codec="libx264", options={"crf": "33"})  # type: ignore[operator]
        for seed in range(6)
    ]
    found = shared(contents(copies), contents(originals))
    assert found.first.tolist() == found.second.tolist() == list(range(6))
    assert len(shared(contents(originals))) == 0


def test_what_cannot_be_read_or_shows_nothing_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "broken.avi").write_bytes(b"no video")
    assert fingerprint_of(tmp_path / "broken.avi") is None
    assert fingerprint_of(touch(tmp_path / "empty.avi")) is None
    black = write_frames(tmp_path / "black.avi", np.zeros((9, 48, 64, 3), np.uint8))
    assert fingerprint_of(black) is None


def test_a_video_of_one_frame_has_one(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "one.avi", scene(1)[:1])
    prints = fingerprint_of(path)
    assert prints is not None
    assert len(set(prints[:3].tolist())) == 1


def test_the_digest_is_the_sha256_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_hash(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
