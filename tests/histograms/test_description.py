from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage", reason="needs skimage, of the extra histograms")

from benchmark.data.container import DecodeError
from benchmark.histograms.description import describe_video
from benchmark.histograms.features import FEATURES
from tests.generators.scenes import scene, write_frames, write_scene


def test_every_feature_is_measured_and_no_more_is_kept_than_said(tmp_path: Path) -> None:
    found = describe_video(write_scene(tmp_path / "a.avi", 0))
    assert found.frames == 20
    for feature in FEATURES:
        local = found.local[feature.name]
        assert local.values.shape[1] == feature.length
        assert len(local.values) == len(local.places)
        assert np.isfinite(local.values).all()
        assert (local.places >= 0).all()
        assert (local.places <= 1).all()
        if feature.kind == "words":
            assert len(local.values) <= feature.most
    assert len(found.local["hog"].values) == 6000
    assert len(found.local["colour_moments"].values) == 20 * 16


def test_the_same_video_is_described_in_the_same_way(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.avi", 1)
    one, other = describe_video(path), describe_video(path)
    for name, local in one.local.items():
        np.testing.assert_array_equal(local.values, other.local[name].values)
        np.testing.assert_array_equal(local.places, other.local[name].places)


def test_what_drifts_is_found_by_the_flow(tmp_path: Path) -> None:
    """Scenes move to the left, as the window moves to the right."""
    found = describe_video(write_scene(tmp_path / "a.avi", 2)).local["hof"].values.astype(float)
    directions = found.reshape(len(found), 4, 9).sum((0, 1))[:8]
    assert directions.argmax() == 4


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_videos_have_what_they_have(tmp_path: Path, frames: int) -> None:
    found = describe_video(write_frames(tmp_path / "a.avi", scene(3)[:frames]))
    assert found.frames == frames
    assert (len(found.local["hof"].values) > 0) == (frames > 1)
    assert found.local["faces"].values.sum() == 1


@pytest.mark.parametrize("size", [(16, 16), (320, 24), (24, 320), (33, 47)])
def test_odd_sizes_are_described(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    path = write_frames(tmp_path / "a.mkv", frames[:, : height // 2 * 2, : width // 2 * 2], codec="ffv1")
    assert np.isfinite(describe_video(path).local["texton"].values).all()


def test_a_stride_looks_at_every_so_many_frames(tmp_path: Path) -> None:
    frames = scene(4)
    whole = describe_video(write_frames(tmp_path / "a.mkv", frames[::2], codec="ffv1"))
    strided = describe_video(write_frames(tmp_path / "b.mkv", frames, codec="ffv1"), stride=2)
    assert strided.frames == 20
    for name in ("hog", "hof", "texton", "colour_moments", "hue_saturation"):
        np.testing.assert_array_equal(strided.local[name].values, whole.local[name].values)


def test_a_damaged_frame_fails_the_whole_video(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.avi", scene(5, frames=60))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(DecodeError):
        describe_video(path)
    with pytest.raises(DecodeError, match="does not exist"):
        describe_video(tmp_path / "none.avi")
