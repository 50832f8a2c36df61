"""Frames by number against counting through the whole file with PyAV, and against what the pictures themselves say."""

import gc
import mmap
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmark.data.decode import DecoderName, open_video
from tests.generators.decoders import FFMPEG, both_decoders, counted, needs_ffmpeg, needs_torchcodec, read, upright
from tests.generators.encoded import encode, encode_packed, number_shown, run_ffmpeg

ORIGINALS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ucf101" / "originals"
B_FRAMES = {"bf": "3", "g": "10", "b_strategy": "0"}


def times(frames: int, first: int) -> list[int]:
    """Uneven presentation times in milliseconds."""
    return [int(time) for time in first + np.cumsum(np.random.default_rng(0).integers(10, 90, frames))]


def make_cut_by_edit_list(path: Path) -> Path:
    whole = encode(path.with_name(f"whole_{path.name}"), options=B_FRAMES)
    run_ffmpeg(FFMPEG, "-ss", "0.7", "-i", whole, "-c", "copy", path)
    return path


NORMAL: dict[str, Callable[[Path], Path]] = {
    "mpeg4.avi": lambda p: encode(p, codec="mpeg4", options={"qscale": "3"}),
    "h264.mp4": lambda p: encode(p, options=B_FRAMES),
    "h264_with_sound.mp4": lambda p: encode(p, options=B_FRAMES, audio=True),
    "short_groups.mp4": lambda p: encode(p, options={"bf": "3", "g": "2", "b_strategy": "0"}),
    "open_groups.mp4": lambda p: encode(p, options={"x264-params": "keyint=10:open-gop=1:bframes=3:b-adapt=0"}),
    "mpeg4_b.mp4": lambda p: encode(p, codec="mpeg4", options={"bf": "2", "qscale": "3"}),
    "uneven.mp4": lambda p: encode(p, times=times(40, 0), options=B_FRAMES),
    "uneven.mkv": lambda p: encode(p, times=times(40, 0), options=B_FRAMES),
    "starts_late.mp4": lambda p: encode(p, times=times(40, 5000), options=B_FRAMES),
    "starts_late.mkv": lambda p: encode(p, times=times(40, 5000), options=B_FRAMES),
    "starts_before_zero.mp4": lambda p: encode(p, times=times(40, -700), options=B_FRAMES),
    "flat_b.mp4": lambda p: encode(p, options={**B_FRAMES, "b-pyramid": "none"}),
    "vp9.webm": lambda p: encode(p, codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"}),
    "flash.flv": lambda p: encode(p, options=B_FRAMES),
    "odd.avi": lambda p: encode(p, codec="mpeg4", width=161, height=121, frames=12),
    "odd_444.mp4": lambda p: encode(p, pixels="yuv444p", width=161, height=121, frames=12),
    "tiny.mp4": lambda p: encode(p, width=16, height=16),
    "one_frame.mp4": lambda p: encode(p, frames=1),
    "422.mp4": lambda p: encode(p, pixels="yuv422p", frames=12),
    "10_bit.mp4": lambda p: encode(p, pixels="yuv420p10le", frames=12),
    "grey.mp4": lambda p: encode(p, pixels="gray", frames=12),
    "jpeg_range.avi": lambda p: encode(p, codec="mjpeg", pixels="yuvj420p", frames=12),
    "full_range.mp4": lambda p: encode(p, colour_range=2, frames=12),
    "bt709.mp4": lambda p: encode(p, colour_space=1, frames=12),
    "hidden_pictures.webm": lambda p: encode(
        p, codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5", "g": "40"}
    ),
    "open_groups_265.mp4": lambda p: encode(
        p, codec="libx265", options={"x265-params": "keyint=10:open-gop=1:bframes=3:b-adapt=0:log-level=none"}
    ),
}
AWKWARD: dict[str, Callable[[Path], Path]] = {
    "mpeg4_b.avi": lambda p: encode(p, codec="mpeg4", options={"bf": "2", "qscale": "3"}),
    "h264_b.avi": lambda p: encode(p, options=B_FRAMES),
    "packed.avi": encode_packed,
    "stream.ts": lambda p: encode(p, options=B_FRAMES),
    "stream.mpg": lambda p: encode(p, codec="mpeg1video", options={"bf": "2", "g": "10"}),
    "no_container.h264": lambda p: encode(p, options=B_FRAMES),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file by its name, encoded when first asked for."""
    folder = tmp_path_factory.mktemp("videos")

    def made(name: str) -> Path:
        path = folder / name
        return path if path.exists() else (NORMAL | AWKWARD)[name](path)

    return made


def selections(frames: int) -> list[list[int]]:
    """Each frame alone, all together, and some at random."""
    rng = np.random.default_rng(frames)
    few = [sorted(rng.choice(frames, min(4, frames), replace=False).tolist()) for _ in range(8)]
    return [[number] for number in range(frames)] + [list(range(frames))] + few


@pytest.mark.parametrize("name", [*NORMAL, *AWKWARD])
def test_frame_n_is_the_nth_of_a_sequential_decode(make: Callable[[str], Path], name: str) -> None:
    path = make(name)
    expected = counted(path)
    with open_video(path) as video:
        assert video.frames == len(expected) > 0
    for numbers in selections(len(expected)):
        for number, rgb in zip(numbers, read(path, numbers), strict=True):
            # Neighbouring pictures differ by more than 10 on average.
            assert np.abs(rgb.astype(int) - expected[number]).mean() <= 0.5, f"frame {number} of {numbers}"


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.avi", "packed.avi", "stream.ts", "uneven.mkv", "stream.mpg"])
def test_pictures_show_their_own_number(make: Callable[[str], Path], name: str) -> None:
    numbers = [0, 7, 11, 12, 26, 30]
    assert [number_shown(rgb) for rgb in read(make(name), numbers)] == numbers


@needs_torchcodec
@pytest.mark.parametrize("name", [*NORMAL, *AWKWARD])
def test_both_decoders_show_the_same(make: Callable[[str], Path], name: str) -> None:
    path = make(name)
    with open_video(path) as one, open_video(path, "torchcodec") as other:
        assert one.frames == other.frames
        numbers = list(range(one.frames))
    for number, one_rgb, other_rgb in zip(numbers, read(path, numbers), read(path, numbers, "torchcodec"), strict=True):
        assert np.abs(one_rgb.astype(int) - other_rgb).mean() <= 2, f"{name}, frame {number}"


def test_the_packed_file_has_times_in_a_wrong_order(make: Callable[[str], Path]) -> None:
    with av.open(str(make("packed.avi"))) as container:
        shown = [frame.pts or 0 for frame in container.decode(video=0)]
    assert shown != sorted(shown)


@needs_ffmpeg
@both_decoders
def test_frames_hidden_by_an_edit_list_do_not_count(tmp_path: Path, decoder: DecoderName) -> None:
    path = make_cut_by_edit_list(tmp_path / "cut.mp4")
    expected = counted(path)
    with av.open(str(path)) as container:
        assert sum(1 for packet in container.demux(video=0) if packet.size) > len(expected)
    got = read(path, list(range(len(expected))), decoder)
    assert [number_shown(rgb) for rgb in got] == [number_shown(rgb) for rgb in expected]
    assert number_shown(read(path, [5], decoder)[0]) == number_shown(expected[5])


def test_keyframes_that_only_begin_a_refresh(tmp_path: Path) -> None:
    path = encode(tmp_path / "refresh.mp4", options={"x264-params": "keyint=10:intra-refresh=1:bframes=0"})
    for numbers in ([11], [25], [3, 15, 31], [39]):
        assert [number_shown(rgb) for rgb in read(path, numbers)] == numbers


def planes_of(rgb: tuple[int, int, int], kr: float, kb: float, *, full: bool) -> np.ndarray:
    """Stacked 4:2:0 planes of one colour, by the definition in ITU-R BT.601 and BT.709."""
    red, green, blue = np.array(rgb) / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = np.array([(blue - luma) / (1 - kb) / 2, (red - luma) / (1 - kr) / 2])
    y, (u, v) = (luma * 255, chroma * 255 + 128) if full else (16 + luma * 219, chroma * 224 + 128)
    return np.repeat(np.round([y, u, v]).clip(0, 255), [64 * 96, 16 * 96, 16 * 96]).astype(np.uint8).reshape(96, 96)


@both_decoders
@pytest.mark.parametrize(
    ("space", "span", "kr", "kb"),
    [
        (6, 1, 0.299, 0.114),
        (5, 2, 0.299, 0.114),
        (1, 1, 0.2126, 0.0722),
        (1, 2, 0.2126, 0.0722),
        (9, 1, 0.2627, 0.0593),
        (9, 2, 0.2627, 0.0593),
    ],
)
@pytest.mark.parametrize("colour", [(200, 30, 40), (20, 160, 60), (40, 50, 210)])
def test_colours_follow_the_matrix_and_range_that_the_file_names(
    tmp_path: Path, decoder: DecoderName, space: int, span: int, kr: float, kb: float, colour: tuple[int, int, int]
) -> None:
    planes = planes_of(colour, kr, kb, full=span == 2)
    path = encode(
        tmp_path / "colour.mp4", planes=planes, frames=1, colour_space=space, colour_range=span, options={"qp": "1"}
    )
    (rgb,) = read(path, [0], decoder)
    np.testing.assert_allclose(rgb.reshape(-1, 3).mean(0), colour, atol=3)


def test_full_range_under_a_name_without_a_range(tmp_path: Path) -> None:
    """H.264 in full range comes as `yuvj420p`; VP9 comes as `yuv420p` and says it elsewhere."""
    path = tmp_path / "full.webm"
    planes = planes_of((200, 30, 40), 0.299, 0.114, full=True)
    encode(path, codec="libvpx-vp9", planes=planes, frames=1, colour_space=6, colour_range=2, options={"lossless": "1"})
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).format.name == "yuv420p"
    np.testing.assert_allclose(read(path, [0])[0].reshape(-1, 3).mean(0), (200, 30, 40), atol=3)


@pytest.mark.skipif(not ORIGINALS.is_dir(), reason=f"no UCF-101 originals at {ORIGINALS}")
@pytest.mark.parametrize(
    "name", ["Archery/v_Archery_g03_c01", "Surfing/v_Surfing_g18_c03", "HorseRace/v_HorseRace_g04_c03"]
)
@both_decoders
def test_real_videos(name: str, decoder: DecoderName) -> None:
    path = ORIGINALS / f"{name}.avi"
    if not path.exists():
        pytest.skip(f"no {path}")
    expected = counted(path)
    for numbers in ([0], [len(expected) - 1], [13, 14, 37], [30, 31, 32, 33]):
        for number, rgb in zip(numbers, read(path, numbers, decoder), strict=True):
            assert np.abs(rgb.astype(int) - expected[number]).mean() <= 0.5, f"{name}, frame {number}"


@pytest.mark.parametrize("name", ["h264.mp4", "packed.avi", "stream.ts"])
def test_an_open_video_can_be_read_again(make: Callable[[str], Path], name: str) -> None:
    expected = counted(make(name))
    with open_video(make(name)) as video:
        for numbers in ([12, 25], [0], [3], [29], [12]):
            for number, picture in video.read(numbers):
                np.testing.assert_array_equal(upright(picture), expected[number])
                break


@both_decoders
def test_a_still_picture_is_a_video_of_one_frame(tmp_path: Path, decoder: DecoderName) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), np.full((40, 60, 3), (10, 20, 200), np.uint8))
    path = (tmp_path / "still.png").rename(tmp_path / "still.mp4")
    with open_video(path, decoder) as video:
        assert video.frames == 1
    assert read(path, [0], decoder)[0][20, 30].tolist() == [200, 20, 10]


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", frames=7)
    with open_video(path) as video:
        assert video.frames == 7
    encode(path, frames=9)
    with open_video(path) as video:
        assert video.frames == 9


def resident_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * mmap.PAGESIZE / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", ["h264.mp4", "packed.avi"])
def test_decoding_the_same_file_again_and_again_keeps_its_memory(make: Callable[[str], Path], name: str) -> None:
    path = make(name)
    before = 0.0
    for turn in range(400):
        if turn == 100:  # allocators have settled
            before = resident_mb()
        with open_video(path) as video:
            list(video.read([3, 15, 20]))
    assert resident_mb() - before < 15


@needs_torchcodec
def test_what_torchcodec_stumbles_over_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchcodec.decoders import VideoDecoder

    def stumbles(*_: object) -> None:
        raise RuntimeError("Could not push packet to decoder")

    path = encode(tmp_path / "v.mp4")
    monkeypatch.setattr(VideoDecoder, "get_frames_at", stumbles)
    for shown, expected in zip(read(path, [3, 9], "torchcodec"), read(path, [3, 9]), strict=True):
        np.testing.assert_array_equal(shown, expected)


@both_decoders
def test_an_index_of_avi_that_gives_pictures_the_times_of_others_misleads_nobody(
    tmp_path: Path, decoder: DecoderName
) -> None:
    path = encode(tmp_path / "v.avi", codec="mjpeg", pixels="yuvj420p", frames=20)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"idx1") + 8 + 2 * 16 + 8  # entries of 16 bytes: name, flags, place, size
    content[place : place + 4] = b"\xff\xff\xff\x0f"
    path.write_bytes(content)
    right = counted(path)
    for number in (2, 3, 9):
        assert np.abs(read(path, [number], decoder)[0].astype(int) - right[number]).mean() < 1
