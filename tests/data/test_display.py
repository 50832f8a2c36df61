"""How a stream is shown, against the pictures that FFmpeg's own program makes of it."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from av.video.stream import VideoStream

from benchmark.data.decode import DecodeError, DecoderName, open_video
from benchmark.data.display import orientation
from benchmark.data.preprocess import Orientation, Picture, square_rgb
from tests.generators.decoders import FFMPEG, both_decoders, needs_ffmpeg, read, shown_by_ffmpeg, squares
from tests.generators.encoded import encode, number_shown, numbered_picture, run_ffmpeg, with_matrix

ONE = 1 << 16
B_FRAMES = {"bf": "3", "g": "10", "b_strategy": "0"}
# a, b, c, d of the eight ways to turn and mirror a picture by right angles
RIGHT_ANGLES = [
    (a * ONE, b * ONE, c * ONE, d * ONE)
    for a, b, c, d in itertools.product((-1, 0, 1), repeat=4)
    if abs(a) + abs(b) == 1 and abs(a) == abs(d) and abs(b) == abs(c)
]


def turned(degrees: float) -> tuple[int, int, int, int]:
    angle = np.radians(degrees)
    cosine, sine = round(np.cos(angle) * ONE), round(np.sin(angle) * ONE)
    return cosine, sine, -sine, cosine


@needs_ffmpeg
@both_decoders
@pytest.mark.parametrize("matrix", RIGHT_ANGLES)
def test_turns_and_mirrorings(tmp_path: Path, matrix: tuple[int, int, int, int], decoder: DecoderName) -> None:
    path = with_matrix(encode(tmp_path / "turned.mp4", options=B_FRAMES), *matrix)
    height, width = (64, 96) if matrix[0] else (96, 64)
    expected = shown_by_ffmpeg(path, height, width)
    for number, rgb in zip([0, 17], read(path, [0, 17], decoder), strict=True):
        assert rgb.shape == (height, width, 3)
        assert np.abs(rgb.astype(int) - expected[number]).mean() <= 2


def test_there_are_eight_right_angles() -> None:
    assert len(set(RIGHT_ANGLES)) == 8


@needs_ffmpeg
@pytest.mark.parametrize(
    "matrix",
    [turned(0.4), turned(90.3), turned(-89.8), (2 * ONE, 0, 0, 2 * ONE), (0, 3 * ONE, -ONE // 2, 0), (0, 0, 0, 0)],
)
def test_what_rounds_to_a_right_angle_is_one(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = with_matrix(encode(tmp_path / "turned.mp4"), *matrix)
    (rgb,) = read(path, [17])
    expected = shown_by_ffmpeg(path, *rgb.shape[:2])[17]
    assert np.abs(rgb.astype(int) - expected).mean() <= 2


@both_decoders
@pytest.mark.parametrize("matrix", [turned(45), turned(3), turned(-100), (ONE, ONE // 2, 0, ONE), (ONE, ONE, ONE, ONE)])
def test_other_angles_are_refused(tmp_path: Path, matrix: tuple[int, int, int, int], decoder: DecoderName) -> None:
    path = with_matrix(encode(tmp_path / "turned.mp4"), *matrix)
    with pytest.raises(DecodeError, match="only quarter turns"):
        read(path, [3], decoder)


def test_no_matrix_is_upright() -> None:
    assert orientation(b"") == Orientation()


def with_pixel_shape(path: Path, shape: Fraction) -> Path:
    """A video of pictures numbered from 170, 96x64 pixels of a shape; in AVI and MPEG-TS only the codec says it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        for number in range(20):
            picture = numbered_picture(170 + number, 96, 64)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@needs_ffmpeg
@both_decoders
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize("shape", [Fraction(2), Fraction(1, 2), Fraction(16, 11)])
def test_pixels_that_are_not_square(tmp_path: Path, suffix: str, shape: Fraction, decoder: DecoderName) -> None:
    path = with_pixel_shape(tmp_path / f"shape.{suffix}", shape)
    expected = shown_by_ffmpeg(path, 64, round(96 * shape))
    for number, square in zip([0, 13], squares(path, [0, 13], 60, decoder), strict=True):
        reference = square_rgb(Picture(rgb=expected[number]), 60)
        assert np.abs(square.astype(int) - reference).mean() <= 6
        squeezed = square_rgb(Picture(rgb=cv2.resize(expected[number], (96, 64))), 60)
        assert np.abs(square.astype(int) - squeezed).mean() > 12


@needs_ffmpeg
def test_pixels_that_are_not_square_in_a_turned_picture(tmp_path: Path) -> None:
    path = with_matrix(with_pixel_shape(tmp_path / "shape.mp4", Fraction(2)), 0, ONE, -ONE, 0)
    expected = shown_by_ffmpeg(path, 192, 64)
    (square,) = squares(path, [13], 60)
    assert np.abs(square.astype(int) - square_rgb(Picture(rgb=expected[13]), 60)).mean() <= 6


def test_the_rounding_of_a_container_is_no_shape(tmp_path: Path) -> None:
    with open_video(with_pixel_shape(tmp_path / "a.mp4", Fraction(4096, 4083))) as video:
        ((_, picture),) = video.read([0])
    assert picture.pixel_shape == 1


def test_a_shape_that_changes_in_mid_stream_is_refused(tmp_path: Path) -> None:
    parts = [with_pixel_shape(tmp_path / f"{k}.h264", shape) for k, shape in enumerate((Fraction(1), Fraction(2)))]
    path = tmp_path / "joined.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_video(path) as video:
        last = video.frames - 1
    assert last > 20
    assert number_shown(read(path, [3])[0]) == 173
    with pytest.raises(DecodeError, match="shape of its pixels changes from 1:1 to 2:1"):
        read(path, [last])


def with_thumbnail(path: Path, *, frames: int, marked: tuple[bool, bool], disposition: Disposition | None) -> Path:
    """Numbered pictures of 96x64 in the second stream, grey ones of 48x32 in the first."""
    with av.open(str(path), "w") as container:
        streams = []
        for (width, height), is_default in zip(((48, 32), (96, 64)), marked, strict=True):
            stream = container.add_stream("libx264", rate=25)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = Disposition.default if is_default else Disposition(0)
            streams.append(stream)
        if disposition is not None:
            streams[0].disposition = disposition
        container.start_encoding()
        for number in range(20):
            if number < frames:
                grey = np.full((32, 48, 3), 90, np.uint8)
                container.mux(streams[0].encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            picture = numbered_picture(number, 96, 64)
            container.mux(streams[1].encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode())
    return path


@both_decoders
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("frames", "marked", "disposition"),
    [
        (1, (False, True), None),
        (1, (True, True), None),
        (1, (True, False), None),
        (1, (True, True), Disposition.default | Disposition.still_image),
        (20, (False, True), None),
        (20, (True, True), None),
        (1, (True, True), Disposition.timed_thumbnails | Disposition.attached_pic),
    ],
)
def test_the_stream_that_is_shown(
    tmp_path: Path,
    suffix: str,
    frames: int,
    marked: tuple[bool, bool],
    disposition: Disposition | None,
    decoder: DecoderName,
) -> None:
    path = with_thumbnail(tmp_path / f"two.{suffix}", frames=frames, marked=marked, disposition=disposition)
    with open_video(path, decoder) as video:
        assert video.frames == 20
    assert [number_shown(rgb) for rgb in read(path, [0, 7, 19], decoder)] == [0, 7, 19]
    if FFMPEG and frames > 1:
        expected = shown_by_ffmpeg(path, 64, 96)
        assert [number_shown(rgb) for rgb in expected[[0, 7, 19]]] == [0, 7, 19]


@needs_ffmpeg
@both_decoders
def test_a_smaller_stream_marked_as_default_is_shown(tmp_path: Path, decoder: DecoderName) -> None:
    path = with_thumbnail(tmp_path / "two.mkv", frames=20, marked=(True, False), disposition=None)
    (rgb,) = read(path, [7], decoder)
    assert rgb.shape == (32, 48, 3)
    assert np.abs(shown_by_ffmpeg(path, 32, 48)[7].astype(int) - rgb).mean() <= 2


@needs_ffmpeg
@both_decoders
def test_a_cover_picture_beside_the_video_is_passed_over(tmp_path: Path, decoder: DecoderName) -> None:
    plain, cover, path = encode(tmp_path / "plain.mp4"), tmp_path / "cover.png", tmp_path / "covered.mp4"
    cv2.imwrite(str(cover), np.zeros((200, 300, 3), np.uint8))
    parts: list[str | Path] = ["-i", cover, "-i", plain, "-map", "0", "-map", "1", "-c", "copy"]
    run_ffmpeg(FFMPEG, *parts, "-disposition:v:0", "attached_pic", path)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert [number_shown(rgb) for rgb in read(path, [4, 33], decoder)] == [4, 33]


@both_decoders
def test_pictures_of_two_sizes_in_one_stream(tmp_path: Path, decoder: DecoderName) -> None:
    """Each is shown whole."""
    paths = [
        encode(tmp_path / f"{k}.h264", frames=20, width=width, height=height, options={"g": "10", "bf": "0"})
        for k, (width, height) in enumerate(((96, 64), (160, 128)))
    ]
    path, number = tmp_path / "joined.mkv", 0
    with av.open(str(path), "w") as joined:
        stream = None
        for part in paths:
            with av.open(str(part)) as container:
                stream = stream or joined.add_stream_from_template(container.streams.video[0])
                for packet in container.demux(video=0):
                    if packet.size:
                        packet.stream, packet.time_base = stream, Fraction(1, 25)
                        packet.pts = packet.dts = number
                        joined.mux(packet)
                        number += 1
    for asked in ([3], [25], [3, 17, 21, 39]):
        for n, rgb in zip(asked, read(path, asked, decoder), strict=True):
            assert rgb.shape == ((64, 96, 3) if n < 20 else (128, 160, 3))
            assert number_shown(rgb) == n % 20


@needs_ffmpeg
@both_decoders
def test_a_cut_with_open_groups_shows_what_ffmpeg_shows(tmp_path: Path, decoder: DecoderName) -> None:
    """A jump to the keyframe after a leading picture gives another frame than the one asked for."""
    options = {"x265-params": "keyint=10:open-gop=1:bframes=3:b-adapt=0:log-level=none"}
    whole = encode(tmp_path / "whole.mp4", codec="libx265", options=options)
    path = tmp_path / "cut.mp4"
    run_ffmpeg(FFMPEG, "-ss", "0.2", "-i", whole, "-c", "copy", "-tag:v", "hvc1", path)
    expected = [number_shown(rgb) for rgb in shown_by_ffmpeg(path, 64, 96)]
    with open_video(path, decoder) as video:
        assert video.frames == len(expected)
    for number, shown in enumerate(expected):
        assert number_shown(read(path, [number], decoder)[0]) == shown


@needs_ffmpeg
@both_decoders
@pytest.mark.parametrize("case", ["alpha", "interlaced", "grey", "10 bit"])
def test_other_pictures_are_those_of_ffmpeg(tmp_path: Path, case: str, decoder: DecoderName) -> None:
    """Transparency is left out; the fields of interlaced video stay woven, as without a filter."""
    codec, pixels, options, suffix = {
        "alpha": ("qtrle", "argb", {}, "mov"),
        "interlaced": ("libx264", "yuv420p", {"flags": "+ildct+ilme"}, "mp4"),
        "grey": ("libx264", "gray", {}, "mp4"),
        "10 bit": ("libx264", "yuv420p10le", {}, "mkv"),
    }[case]
    path = encode(tmp_path / f"some.{suffix}", codec=codec, pixels=pixels, options=options, frames=12)
    expected = shown_by_ffmpeg(path, 64, 96)
    for number, rgb in zip([0, 7], read(path, [0, 7], decoder), strict=True):
        assert np.abs(rgb.astype(int) - expected[number]).mean() <= 2
