"""The pinned videos: they are what they are called, and their clips are exactly what the protocol's version says."""

import dataclasses
import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmark.data import pins
from benchmark.data.decode import DecoderName, open_video
from benchmark.data.pins import FOLDER, OFFSETS, TIMED, PinnedVideo, Reference, pinned_videos, video_files
from benchmark.data.preprocess import square_rgb
from benchmark.data.sampling import ClipPlan
from benchmark.protocol import PINNED, SECONDS_VERSION, VERSION, Protocol
from benchmark.results.pins import GREY_LEVELS
from tests.generators.decoders import both_decoders
from tests.generators.encoded import encode
from tests.generators.pinned_videos import VIDEOS


@pytest.fixture(scope="module")
def found() -> dict[str, PinnedVideo]:
    return {video.name: video for video in pinned_videos("pyav")}


def test_the_digest_of_a_version_stays_what_it_is() -> None:
    """Other pixels, starts or probabilities need another version, and so another hash of the protocol."""
    assert PINNED[1, 1] == "2be0abbc4e4c9009cf6106c3d8dd71399cd61064ba9b555f46a4e297458e4a6f"
    assert PINNED[1, 2] == "63d35a7f3a7e988964539a09ce750aeda6ecf4c9f82103018b49e534f6c1d8f0"
    assert max(PINNED) == (VERSION, SECONDS_VERSION)
    assert Reference.read().digest == PINNED[VERSION, SECONDS_VERSION]


def test_each_frame_is_exactly_what_the_version_says(found: dict[str, PinnedVideo]) -> None:
    reference = Reference.read()
    assert list(found) == reference.names.tolist()
    assert {name: reference.deviation(video) for name, video in found.items()} == dict.fromkeys(found, (0.0, 0))


@both_decoders
def test_no_decoder_deviates_by_more_than_may_be(decoder: DecoderName) -> None:
    reference = Reference.read()
    assert max(reference.deviation(video)[0] for video in pinned_videos(decoder)) <= GREY_LEVELS


def test_the_committed_videos_are_those_of_the_generator_and_small() -> None:
    assert [path.name for path in video_files()] == sorted(VIDEOS)
    assert {path.name for path in FOLDER.iterdir()} == {*VIDEOS, "reference.npz"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 600_000
    assert set(TIMED) <= set(VIDEOS)


def test_the_videos_are_as_odd_as_they_are_called() -> None:
    facts = {}
    for path in video_files():
        with av.open(str(path)) as container:
            times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            gaps = set(np.diff(sorted(times)).tolist())
            shape = container.streams.video[0].sample_aspect_ratio
            facts[path.name] = frame, shape, gaps
    assert facts["ten_bit.mp4"][0].format.name == "yuv420p10le"
    assert facts["422.mp4"][0].format.name == "yuv422p"
    assert facts["grey.avi"][0].format.name == "gray"
    assert facts["interlaced.mp4"][0].interlaced_frame
    assert facts["full_range.mp4"][0].color_range == facts["full_range.avi"][0].color_range == 2
    assert facts["bt709.mp4"][0].colorspace == 1
    assert (facts["odd.avi"][0].width, facts["odd_444.mp4"][0].height) == (161, 85)
    assert facts["wide_pixels.mkv"][1] == Fraction(16, 11)
    assert all(len(facts[name][2]) > 5 for name in ("variable_rate.mp4", "variable_rate.mkv"))
    turned = [name for name, (frame, _, _) in facts.items() if "DISPLAYMATRIX" in frame.side_data]
    assert len(turned) == 6
    assert {Path(name).suffix for name in facts} == {".avi", ".mp4", ".mkv", ".webm"}


def test_frames_against_a_plain_reading(found: dict[str, PinnedVideo]) -> None:
    """Starts by the definition of the draw, frames opened and resized one by one."""
    for path in video_files():
        with open_video(path) as video:
            pictures = {number: square_rgb(picture, 200) for number, picture in video.read(range(video.frames))}
        draws = [hashlib.blake2b(f"2014/{path.name}/{n}".encode(), digest_size=8).digest() for n in range(20)]
        possible = max(len(pictures) - 16, 0) + 1
        starts = [int.from_bytes(draw, "little") * possible // 2**64 for draw in draws]
        read = found[path.name]
        assert read.starts.tolist() == starts
        for clip, start in zip(read.frames, sorted(set(starts)), strict=True):
            for frame, offset in zip(clip, OFFSETS, strict=True):
                np.testing.assert_array_equal(frame, pictures[min(start + offset, len(pictures) - 1)])


def test_other_pixels_are_measured(found: dict[str, PinnedVideo]) -> None:
    reference, video = Reference.read(), found["large.mp4"]
    brighter = dataclasses.replace(video, frames=np.where(video.frames < 255, video.frames + 1, 255).astype(np.uint8))
    mean, largest = reference.deviation(brighter)
    assert largest == 1
    assert 0.95 < mean <= 1
    single = video.frames.copy()
    single[0, 1, 7, 7, 0] ^= 64  # one value, which may lie between those that are kept
    mean, largest = reference.deviation(dataclasses.replace(video, frames=single))
    assert 0 < mean < 1
    assert largest in (1, 64)


def test_clips_that_lie_elsewhere_and_files_that_cannot_be_read_are_as_far_as_can_be(
    found: dict[str, PinnedVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, video = Reference.read(), found["grey.mp4"]
    assert reference.deviation(dataclasses.replace(video, starts=video.starts + 1)) == (255, 255)
    (tmp_path / "grey.mp4").write_bytes(b"no video")
    monkeypatch.setattr(pins, "FOLDER", tmp_path)
    (broken,) = pinned_videos("pyav")
    assert reference.deviation(broken) == (255, 255)


def test_timed_videos_are_read_by_seconds_too(found: dict[str, PinnedVideo]) -> None:
    by_seconds = [name for name, video in found.items() if video.counts_seconds]
    assert by_seconds == [f"{name}, seconds" for name in sorted(TIMED)]
    assert Protocol(clip_seconds=0.5).hash == pins.COUNTING_SECONDS.hash
    # At 25 frames a second a start has to leave 12.5 frames; each of these brings its last frame out at the file's end.
    at_25 = (("mpeg4_b.avi", 24 - 13 + 1), ("packed.avi", 25 - 13 + 1))
    for name, possible in (("rate_60.mp4", 48 - 30 + 1), ("rate_15.mp4", 24 - 8 + 1), *at_25):
        draws = [hashlib.blake2b(f"2014/{name}/{n}".encode(), digest_size=8).digest() for n in range(20)]
        starts = found[f"{name}, seconds"].starts
        assert starts.tolist() == [int.from_bytes(draw, "little") * possible // 2**64 for draw in draws]


@pytest.mark.parametrize("name", ["mpeg4_b", "packed"])
def test_the_frame_that_the_end_of_an_avi_file_brings_out_follows_as_the_others_do(name: str) -> None:
    """At 25 frames a second frame n is shown after n / 25 s, whichever container says so."""
    for path in FOLDER.glob(f"{name}.*"):
        with open_video(path) as video:
            np.testing.assert_allclose(video.shown_seconds(), np.arange(video.frames) / 25, atol=1e-9)


def test_clips_of_seconds_are_the_same_in_both_containers() -> None:
    """A clip of half a second from each of the 24 - 13 + 1 first frames, and one of 5 s that is too long."""
    for seconds in (0.5, 5.0):
        plans = []
        for name in ("mpeg4_b.mp4", "mpeg4_b.avi"):
            with open_video(FOLDER / name) as video:
                plans.append(ClipPlan(Protocol(clip_seconds=seconds), "a", video.frames, video.shown_seconds()))
        one, other = plans
        assert [one.start(clip) for clip in range(20)] == [other.start(clip) for clip in range(20)]
        assert one.is_short == other.is_short == (seconds > 1)
        assert one.numbers(11, tuple(range(16))) == other.numbers(11, tuple(range(16)))
        assert one.numbers(11, (15,)) == [22 if seconds < 1 else 23]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_seconds_of_an_avi_file_of_few_frames(frames: int, tmp_path: Path) -> None:
    path = encode(tmp_path / "few.avi", codec="mpeg4", frames=frames, options={"bf": "2"}, rate=10)
    with open_video(path) as video:
        np.testing.assert_allclose(video.shown_seconds(), np.arange(frames) / 10, atol=1e-9)
