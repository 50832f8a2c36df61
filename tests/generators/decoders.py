"""What tests of decoding share: which decoders and programs there are, and frames as they are shown."""

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from benchmark.data.decode import DecoderName, open_video, require_decoder
from benchmark.data.preprocess import Picture, square_rgb
from benchmark.errors import UserError
from tests.generators.encoded import run_ffmpeg

FFMPEG = shutil.which("ffmpeg") or ""
needs_ffmpeg = pytest.mark.skipif(not FFMPEG, reason="no ffmpeg program")


def torchcodec_missing() -> str:
    try:
        require_decoder("torchcodec")
    except UserError as error:
        return str(error)
    return ""


needs_torchcodec = pytest.mark.skipif(bool(torchcodec_missing()), reason=torchcodec_missing()[:80])
both_decoders = pytest.mark.parametrize("decoder", ["pyav", pytest.param("torchcodec", marks=needs_torchcodec)])


def counted(path: Path) -> list[np.ndarray]:
    """All frames in order, (H, W, 3) uint8 RGB, decoded without any seeking."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def upright(picture: Picture) -> np.ndarray:
    """RGB of a picture as a player shows it, but for the shape of its pixels, by FFmpeg's conversion of the planes."""
    if picture.rgb is not None:
        rgb = picture.rgb
    else:
        assert picture.yuv is not None
        height, width = picture.yuv[0].shape
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, values in zip(frame.planes, picture.yuv, strict=True):
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : plane.width] = values
            plane.update(padded.tobytes())
        rgb = frame.to_ndarray(format="rgb24")
    return picture.orientation.shown(rgb)


def read(path: Path, numbers: list[int], decoder: DecoderName = "pyav") -> list[np.ndarray]:
    with open_video(path, decoder) as video:
        pairs = list(video.read(numbers))
    assert [number for number, _ in pairs] == numbers
    return [upright(picture) for _, picture in pairs]


def squares(path: Path, numbers: list[int], side: int, decoder: DecoderName = "pyav") -> list[np.ndarray]:
    """What a network gets, (side, side, 3) uint8."""
    with open_video(path, decoder) as video:
        return [square_rgb(picture, side) for _, picture in video.read(numbers)]


def shown_by_ffmpeg(path: Path, height: int, width: int) -> np.ndarray:
    """(n, height, width, 3) uint8: every frame as FFmpeg's program shows it, in pixels as wide as they are high."""
    shape = f"scale=w={width}:h={height}:flags=bicubic,setsar=1"
    shown = run_ffmpeg(
        FFMPEG, "-i", path, "-vf", shape, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"
    )
    return np.frombuffer(shown, np.uint8).reshape(-1, height, width, 3)
