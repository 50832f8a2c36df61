"""What a file that cannot be read is answered with: one reason, and never another video's frames."""

import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from benchmark.data.decode import DecodeError, DecoderName, open_video
from benchmark.errors import UserError
from tests.generators.decoders import FFMPEG, both_decoders
from tests.generators.encoded import encode, encode_packed, encode_sound, run_ffmpeg

VIDEOS: dict[str, Callable[[Path], Path]] = {
    "h264.mp4": lambda p: encode(p, options={"bf": "3", "g": "10"}),
    "mpeg4.avi": lambda p: encode(p, codec="mpeg4", options={"qscale": "3"}),
    "packed.avi": encode_packed,
    "h264.mkv": lambda p: encode(p, options={"bf": "2", "g": "10"}),
    "vp9.webm": lambda p: encode(p, codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"}),
    "stream.ts": lambda p: encode(p, options={"bf": "2", "g": "10"}),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file by its name, encoded when first asked for."""
    folder = tmp_path_factory.mktemp("videos")

    def made(name: str) -> Path:
        path = folder / name
        return path if path.exists() else VIDEOS[name](path)

    return made


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def half_of(path: Path, whole: Path) -> Path:
    content = whole.read_bytes()
    return write(path, content[: len(content) // 2])


def symlink_loop(path: Path) -> Path:
    other = path.with_name("other")
    path.symlink_to(other)
    other.symlink_to(path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def without_frames(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    return path


UNREADABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty.mp4": (lambda p: write(p, b""), "the file is empty"),
    "missing.mp4": (lambda p: p, "the file does not exist"),
    "folder.mp4": (folder, "it is not a file"),
    "loop.mp4": (symlink_loop, "the file does not exist"),
    "x" * 300: (lambda p: p, "File name too long"),
    "cut.mp4": (lambda p: half_of(p, encode(p.with_name("whole.mp4"))), "Invalid data found"),
    "text.mp4": (lambda p: write(p, b"These are words, not pictures.\n" * 99), "Invalid data found"),
    "text.txt": (lambda p: write(p, b"These are words, not pictures.\n" * 99), "it is not a video"),
    "random.mp4": (lambda p: write(p, np.random.default_rng(0).bytes(50_000)), "Invalid data found"),
    "random.avi": (lambda p: write(p, np.random.default_rng(1).bytes(50_000)), "Invalid data found"),
    "sound.wav": (lambda p: encode_sound(p, "pcm_s16le"), "it is not a video"),
    "sound.mp3": (lambda p: encode_sound(p, "libmp3lame"), "it is not a video"),
    "cover.mp3": (lambda p: encode_sound(p, "libmp3lame", cover=True), "it is not a video"),
    "no_frames.avi": (without_frames, "no frames"),
    "no_frames.mp4": (without_frames, "no video stream"),
}


@both_decoders
@pytest.mark.parametrize("name", list(UNREADABLE))
def test_what_is_no_video_gives_one_reason(tmp_path: Path, decoder: DecoderName, name: str) -> None:
    build, reason = UNREADABLE[name]
    path = build(tmp_path / name)
    with pytest.raises(DecodeError, match=reason) as caught, open_video(path, decoder):
        pass
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_a_file_cut_off_behind_its_index_keeps_its_whole_frames(tmp_path: Path, suffix: str) -> None:
    whole = encode(
        tmp_path / f"whole.{suffix}",
        codec="mpeg4",
        options={"qscale": "2"} | ({"movflags": "faststart"} if suffix == "mp4" else {}),
        width=320,
        height=240,
    )
    if suffix == "mp4":
        if not FFMPEG:
            pytest.skip("no ffmpeg program")
        run_ffmpeg(FFMPEG, "-i", whole, "-c", "copy", "-movflags", "faststart", tmp_path / "front.mp4")
        whole = tmp_path / "front.mp4"
    with av.open(str(whole)) as container:
        expected = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    path = half_of(tmp_path / f"half.{suffix}", whole)
    with open_video(path) as video:
        assert 0 < video.frames < len(expected)
        last = video.frames - 1
    for number in {0, last // 2, last}:
        with open_video(path) as video:
            ((_, picture),) = video.read([number])
            assert picture.yuv is not None
            luma = picture.yuv[0]
        np.testing.assert_array_equal(luma, expected[number][:240])


@pytest.mark.parametrize("name", list(VIDEOS))
def test_damage_in_the_middle_is_a_reason_or_a_frame_of_this_video(
    make: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    content = make(name).read_bytes()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        start, length = int(rng.integers(len(content) // 4, len(content) * 3 // 4)), int(rng.integers(20, 300))
        path = write(tmp_path / name, content[:start] + rng.bytes(length) + content[start + length :])
        try:
            with open_video(path) as video:
                numbers = sorted({0, video.frames // 2, video.frames - 1})
                found = [number for number, _ in video.read(numbers)]
        except DecodeError:
            continue
        assert found == numbers


@pytest.mark.parametrize("error", [ValueError("mine"), OSError("mine"), RuntimeError("mine"), IndexError("mine")])
def test_an_error_of_the_one_who_reads_is_passed_on(make: Callable[[str], Path], error: Exception) -> None:
    def reader() -> None:
        with open_video(make("h264.mp4")) as video:
            for _ in video.read([0, 1]):
                raise error

    with pytest.raises(type(error), match="mine") as caught:
        reader()
    assert caught.value is error


@both_decoders
def test_a_frame_that_is_not_there(make: Callable[[str], Path], decoder: DecoderName) -> None:
    with pytest.raises(DecodeError), open_video(make("h264.mp4"), decoder) as video:
        list(video.read([3, 40]))


def test_a_decoder_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, make: Callable[[str], Path]) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(UserError, match="decoder=pyav"), open_video(make("h264.mp4"), "torchcodec"):
        pass
