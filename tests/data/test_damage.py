"""A clip is read only if its frames and all that they are built on are sound, whichever of them are asked for."""

import functools
from collections.abc import Callable
from pathlib import Path

import av
import av.error
import numpy as np
import pytest

from benchmark.data.decode import DecodeError, DecoderName, open_video
from tests.generators.damaged import CODINGS, FRAMES, flip_bits, moving_texture
from tests.generators.decoders import both_decoders, read, upright
from tests.generators.encoded import encode

CLIP = 16
STARTS = (0, 11, 22, 33, 44)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A sound video by its name."""
    folder = tmp_path_factory.mktemp("whole")
    return functools.cache(lambda name: moving_texture(folder / name, name))


def in_order(path: Path) -> tuple[dict[int, np.ndarray], set[int]]:
    """RGB by time of every frame that decoding in order gives, and the times of what FFmpeg reports damaged."""
    frames: dict[int, np.ndarray] = {}
    reported: set[int] = set()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for packet in container.demux(stream):
            try:
                decoded = stream.codec_context.decode(packet if packet.size else None)
            except av.error.FFmpegError:
                reported.add(-1 if packet.pts is None else packet.pts)
                continue
            for frame in decoded:
                assert frame.pts is not None
                frames[frame.pts] = frame.to_ndarray(format="rgb24")
                if frame.is_corrupt:
                    reported.add(frame.pts)
    return frames, reported


def clip_of(path: Path, start: int, offsets: range, decoder: DecoderName) -> dict[int, np.ndarray] | str:
    """Frames of a clip by number, or the reason why it cannot be read."""
    try:
        with open_video(path, decoder) as video:
            span = range(start, min(start + CLIP, video.frames))
            numbers = [start + offset for offset in offsets if start + offset < video.frames]
            return {number: upright(picture) for number, picture in video.read(numbers, span)}
    except DecodeError as error:
        return str(error)


@both_decoders
@pytest.mark.parametrize("name", CODINGS)
def test_which_frames_are_asked_for_does_not_matter(
    whole: Callable[[str], Path], tmp_path: Path, name: str, decoder: DecoderName
) -> None:
    for seed in range(4):
        path = flip_bits(whole(name), tmp_path / f"{seed}_{name}", seed)
        for start in STARTS:
            verdicts = [
                isinstance(clip_of(path, start, offsets, decoder), str)
                for offsets in (range(8, 9), range(0, 16, 15), range(16))
            ]
            assert len(set(verdicts)) == 1, (seed, start, verdicts)


@both_decoders
@pytest.mark.parametrize("name", CODINGS)
def test_what_is_read_is_what_decoding_in_order_gives_and_nothing_in_it_is_reported(
    whole: Callable[[str], Path], tmp_path: Path, name: str, decoder: DecoderName
) -> None:
    refused = 0
    with av.open(str(whole(name))) as container:
        times = sorted(packet.pts for packet in container.demux(video=0) if packet.pts is not None)
    for seed in range(4):
        path = flip_bits(whole(name), tmp_path / f"{seed}_{name}", seed)
        frames, reported = in_order(path)
        for start in STARTS:
            clip = clip_of(path, start, range(CLIP), decoder)
            if isinstance(clip, str):
                refused += 1
                assert "damaged" in clip or "could not be decoded" in clip or "Invalid data" in clip
                continue
            # MPEG-4 in AVI has no times of its own; its frames are counted.
            if not name.endswith(".avi"):
                for number, rgb in clip.items():
                    assert times[number] not in reported
                    assert np.abs(rgb.astype(int) - frames[times[number]]).mean() <= 1
    if name[:4] in ("mpeg", "h264"):
        assert refused > 4


@both_decoders
@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "mpeg4.mp4"])
def test_damage_costs_only_what_is_built_on_it(
    whole: Callable[[str], Path], tmp_path: Path, name: str, decoder: DecoderName
) -> None:
    """A reference picture in the first of two groups is destroyed; the second group is sound."""
    content = bytearray(whole(name).read_bytes())
    with av.open(str(whole(name))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        hit = max((packet for packet in packets[4:20]), key=lambda packet: packet.size)
        assert hit.pos is not None
        assert hit.pts is not None
        number = sorted(packet.pts or 0 for packet in packets).index(hit.pts)
        for place in range(hit.pos + hit.size // 3, hit.pos + hit.size - 4):
            content[place] ^= 0xA5
    path = tmp_path / name
    path.write_bytes(content)
    sound = clip_of(path, 40, range(CLIP), decoder)
    assert not isinstance(sound, str), sound
    expected = read(whole(name), list(sound))
    for rgb, right in zip(sound.values(), expected, strict=True):
        assert np.abs(rgb.astype(int) - right).mean() <= 1
    reason = clip_of(path, number + 2, range(8, 9), decoder)
    assert isinstance(reason, str)
    assert "is built on, is damaged" in reason


@both_decoders
@pytest.mark.parametrize("name", CODINGS)
def test_sound_videos_are_sound(whole: Callable[[str], Path], name: str, decoder: DecoderName) -> None:
    for start in STARTS:
        assert not isinstance(clip_of(whole(name), start, range(8, 9), decoder), str)
    assert len(read(whole(name), list(range(FRAMES)), decoder)) == FRAMES


def test_keyframes_in_open_groups_are_no_damage(tmp_path: Path) -> None:
    """What is shown before such a keyframe is built on what a jump to it passes over."""
    path = encode(tmp_path / "open.mp4", options={"x264-params": "keyint=10:open-gop=1:bframes=3:b-adapt=0"})
    for start in range(20):
        clip = clip_of(path, start, range(8, 9), "pyav")
        assert not isinstance(clip, str), clip


def test_where_frames_are_counted_damage_costs_all_that_come_later(tmp_path: Path) -> None:
    """How many frames it cost is unknown, so nobody can say which frame a later one is."""
    path = encode(tmp_path / "sound.ts", frames=60, options={"g": "12", "bf": "0", "crf": "12"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        hit = max(packets[26:35], key=lambda packet: packet.size).pos
    assert hit is not None
    content[hit + 1] |= 0x80  # "at least one bit of this is wrong", says whoever received it
    for place in range(hit + 80, hit + 188):
        content[place] ^= 0xA5
    path = tmp_path / "damaged.ts"
    path.write_bytes(content)
    sound = clip_of(path, 4, range(CLIP), "pyav")
    assert not isinstance(sound, str), sound
    for rgb, right in zip(sound.values(), read(tmp_path / "sound.ts", [*sound]), strict=True):
        assert np.abs(rgb.astype(int) - right).mean() <= 1
    for start in (22, 36, 40):
        reason = clip_of(path, start, range(CLIP), "pyav")
        assert isinstance(reason, str), start
        assert "is built on, is damaged" in reason


def test_an_index_that_leads_to_other_pictures_is_not_believed(tmp_path: Path) -> None:
    """In AVI a packet has the time that the index says, wherever the index leads."""
    path = encode(tmp_path / "sound.avi", codec="mjpeg", pixels="yuvj420p", frames=40)
    content = bytearray(path.read_bytes())
    begin = content.index(b"idx1") + 8
    entries = [slice(place + 8, place + 16) for place in range(begin, begin + 16 * 40, 16)]
    held = [bytes(content[entry]) for entry in entries]
    for entry, other in zip(entries, [*held[:10], *held[20:30], *held[10:20], *held[30:]], strict=True):
        content[entry] = other
    path = tmp_path / "led astray.avi"
    path.write_bytes(content)
    frames, _ = in_order(path)
    shown = [frames[time] for time in sorted(frames)]
    assert len(shown) == 40
    for number in range(40):
        (rgb,) = read(path, [number])
        assert np.abs(rgb.astype(int) - shown[number]).mean() <= 1, number


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_the_last_frame_before_a_keyframe_is_damaged_alone(tmp_path: Path, codec: str) -> None:
    """It may come out together with that keyframe, behind which nothing is damaged any more."""
    whole_file = encode(tmp_path / "sound.mp4", codec=codec, options={"g": "12", "bf": "0"})
    with av.open(str(whole_file)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [number for number, packet in enumerate(packets) if packet.is_keyframe] == [0, 12, 24, 36]
    hit, reported = packets[11], 0
    assert hit.pos is not None
    assert hit.pts is not None
    for bit in range(8 * 8, 8 * hit.size):
        content = bytearray(whole_file.read_bytes())
        content[hit.pos + bit // 8] ^= 1 << bit % 8
        path = tmp_path / f"{bit}.mp4"
        path.write_bytes(content)
        if hit.pts in in_order(path)[1]:
            reported += 1
            for offsets in (range(11, 12), range(0, 16, 11), range(16)):
                reason = clip_of(path, 0, offsets, "pyav")
                assert isinstance(reason, str), (bit, offsets)
        assert not isinstance(clip_of(path, 12, range(8, 9), "pyav"), str)
        path.unlink()
        if reported == 3:
            break
    assert reported


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_frames_that_only_the_container_calls_keyframes_are_none(tmp_path: Path, codec: str) -> None:
    """Without its table of keyframes, an MP4 file says that all frames are."""
    path = encode(tmp_path / "sound.mp4", codec=codec, options={"g": "12", "bf": "0"})
    right = read(path, list(range(40)))
    content = path.read_bytes()
    assert content.count(b"stss") == 1
    path = tmp_path / "all.mp4"
    path.write_bytes(content.replace(b"stss", b"free"))
    for number in range(40):
        (rgb,) = read(path, [number])
        assert np.abs(rgb.astype(int) - right[number]).mean() <= 1, number
