"""The committed videos whose frames and scores belong to the protocol's version; run this file to make them.

    python -m tests.generators.pinned_videos [--videos]

It writes what is made of the videos, and with `--videos` the videos themselves. Encoders differ from release to
release, so other bytes come out; the committed files are what counts. A change of either is another version of the
protocol: raise `VERSION` in `benchmark/protocol.py`, or `SECONDS_VERSION` where only videos read by seconds changed,
name the digest that is printed beside it, and say so in CHANGELOG.md.
"""

import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmark.data.pins import FOLDER
from benchmark.runs.pins import reference_now
from tests.generators.decoders import FFMPEG
from tests.generators.encoded import encode, encode_packed, numbered_picture, run_ffmpeg, with_matrix

ONE = 1 << 16
SEED = 2014
B_FRAMES = {"bf": "3", "g": "10", "b_strategy": "0", "crf": "30"}


def painted(number: int, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB: fine stripes and checks that drift over a slow ramp, and the frame's number.

    Stripes of two to six pixels alias where a frame is shrunk carelessly, and the checks have no symmetry, so that a
    frame turned or mirrored is another one. Colours change slowly, as in what cameras see.
    """
    rng = np.random.default_rng([SEED, width, height])
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = np.empty((height, width, 3))
    for channel in range(3):
        slope = 2.5 * columns / width + rng.uniform(-2, 2) * rows / height
        picture[..., channel] = 110 + 60 * np.sin(rng.uniform(0, 6) + slope)
    fine, across, down = 2 * np.pi / rng.uniform(2.5, 6.0), rng.uniform(0.4, 1.0), rng.uniform(-0.6, 0.6)
    stripes = np.sin(fine * (across * columns + down * rows) + rng.uniform(0.5, 2.0) * number)
    picture += (45 * stripes * (columns > width / 3))[..., None]
    checks = (rows // 3 + (columns + number) // 3) % 2
    picture[height // 2 :, : width // 3] += (60 * checks - 30)[height // 2 :, : width // 3, None]
    shown = numbered_picture(number, width, height)
    edge = max(height // 8, 1)
    picture[:edge] = shown[:edge]
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def uneven(frames: int, first: int = 0) -> list[int]:
    """Presentation times in milliseconds."""
    return [int(time) for time in first + np.cumsum(np.random.default_rng(SEED).integers(10, 90, frames))]


def made(path: Path, **options: object) -> Path:
    """A video of 24 painted frames, small enough to be committed."""
    given = {"picture": painted, "frames": 24, "options": B_FRAMES, **options}
    return encode(path, **given)  # type: ignore[arg-type]


def cut(path: Path) -> Path:
    """Its edit list hides the first frames, which decoding has to begin with."""
    with tempfile.TemporaryDirectory() as folder:
        run_ffmpeg(FFMPEG, "-ss", "0.5", "-i", made(Path(folder) / "whole.mp4", frames=40), "-c", "copy", path)
    return path


def packed(path: Path) -> Path:
    """What DivX made; the stream that it was made of goes."""
    encode_packed(path, 25, painted)
    path.with_suffix(".m4v").unlink()
    return path


MPEG4 = {"qscale": "8", "g": "12"}
VIDEOS: dict[str, Callable[[Path], object]] = {
    "mpeg4.avi": lambda p: made(p, codec="mpeg4", width=320, height=240, frames=18, options=MPEG4),
    "mpeg4_b.avi": lambda p: made(p, codec="mpeg4", options={**MPEG4, "bf": "2"}),
    "mpeg4_b.mp4": lambda p: made(p, codec="mpeg4", options={**MPEG4, "bf": "2"}),
    "packed.avi": packed,
    "odd.avi": lambda p: made(p, codec="mpeg4", width=161, height=121, frames=18, options=MPEG4),
    "full_range.avi": lambda p: made(p, codec="mjpeg", pixels="yuvj420p", frames=12, options={"qscale": "9"}),
    "b_frames.mp4": lambda p: made(p, width=320, height=240, frames=20),
    "large.mp4": lambda p: made(p, width=640, height=360, frames=17, options={**B_FRAMES, "crf": "34"}),
    "tall.mp4": lambda p: made(p, width=202, height=360, frames=17, options={**B_FRAMES, "crf": "34"}),
    "near_200.mp4": lambda p: made(p, width=250, height=206, frames=18),
    "open_groups.mp4": lambda p: made(p, options={"x264-params": "crf=30:keyint=10:open-gop=1:bframes=3:b-adapt=0"}),
    "refresh.mp4": lambda p: made(p, options={"x264-params": "crf=30:keyint=10:intra-refresh=1:bframes=0"}),
    "variable_rate.mp4": lambda p: made(p, times=uneven(40), frames=40),
    "variable_rate.mkv": lambda p: made(p, times=uneven(40), frames=40),
    "starts_late.mkv": lambda p: made(p, times=uneven(24, 5000)),
    "starts_before_zero.mp4": lambda p: made(p, times=uneven(24, -700)),
    "edit_list.mp4": cut,
    "rate_15.mp4": lambda p: made(p, rate=15),
    "rate_60.mp4": lambda p: made(p, rate=60, frames=48),
    "short.mp4": lambda p: made(p, frames=7),
    "one_frame.mp4": lambda p: made(p, frames=1),
    "quarter_turn.mp4": lambda p: with_matrix(made(p), 0, ONE, -ONE, 0),
    "half_turn.mp4": lambda p: with_matrix(made(p), -ONE, 0, 0, -ONE),
    "three_quarter_turn.mp4": lambda p: with_matrix(made(p), 0, -ONE, ONE, 0),
    "mirrored.mp4": lambda p: with_matrix(made(p), -ONE, 0, 0, ONE),
    "turned_and_mirrored.mp4": lambda p: with_matrix(made(p), 0, ONE, ONE, 0),
    "full_range.mp4": lambda p: made(p, colour_range=2),
    "bt709.mp4": lambda p: made(p, colour_space=1),
    "ten_bit.mp4": lambda p: made(p, pixels="yuv420p10le"),
    "odd_444.mp4": lambda p: made(p, pixels="yuv444p", width=119, height=85),
    "422.mp4": lambda p: made(p, pixels="yuv422p"),
    "grey.mp4": lambda p: made(p, pixels="gray"),
    "grey.avi": lambda p: made(p, codec="ffv1", pixels="gray", width=64, height=48, frames=5, options={}),
    "interlaced.mp4": lambda p: made(p, options={**B_FRAMES, "x264-params": "tff=1"}),
    "wide_pixels.mkv": lambda p: made(p, pixel_shape=Fraction(16, 11)),
    "narrow_pixels_turned.mp4": lambda p: with_matrix(made(p, pixel_shape=Fraction(1, 2)), 0, ONE, -ONE, 0),
    "h265.mp4": lambda p: made(p, codec="libx265", options={"x265-params": "crf=30:keyint=10:log-level=none"}),
    "vp9.webm": lambda p: made(p, codec="libvpx-vp9", options={"crf": "40", "deadline": "realtime", "cpu-used": "5"}),
    "hidden_pictures.webm": lambda p: made(
        p, codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5", "g": "20"}
    ),
}


def main(arguments: list[str]) -> None:
    """Write the videos where asked for, and what is made of them."""
    FOLDER.mkdir(exist_ok=True)
    if "--videos" in arguments:
        for name, make in VIDEOS.items():
            make(FOLDER / name)
    reference = reference_now()
    reference.write()
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    print(f"{len(VIDEOS)} videos; {size:,} bytes in {FOLDER}; digest {reference.digest}")


if __name__ == "__main__":
    main(sys.argv[1:])
