"""Small encoded videos whose frames carry their own number, and files that only look like videos."""

import struct
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream

BITS = 8

Painter = Callable[[int, int, int], np.ndarray]


def numbered_picture(number: int, width: int, height: int) -> np.ndarray:
    """RGB picture, (H, W, 3) uint8: upper half the number as bright and dark columns, lower half a colour ramp."""
    picture = np.full((height, width, 3), 100, np.uint8)
    picture[..., 0] = np.linspace(40, 200, width)
    picture[..., 1] = np.linspace(40, 200, height)[:, None]
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    for bit in range(BITS):
        picture[: height // 2, edges[bit] : edges[bit + 1]] = 230 if number >> bit & 1 else 25
    return picture


def number_shown(rgb: np.ndarray) -> int:
    """The number that `numbered_picture` drew."""
    height, width = rgb.shape[:2]
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    upper = rgb[: height // 2, :, 1]
    return sum(int(upper[:, edges[bit] : edges[bit + 1]].mean() > 128) << bit for bit in range(BITS))


def encode(
    path: Path,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    width: int = 96,
    height: int = 64,
    frames: int = 40,
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    colour_space: int | None = None,
    colour_range: int | None = None,
    planes: np.ndarray | None = None,
    audio: bool = False,
    picture: Painter = numbered_picture,
    rate: int = 25,
    pixel_shape: Fraction | None = None,
) -> Path:
    """A video of numbered or other pictures, or of one given picture.

    Args:
        path: The file; its suffix chooses the container.
        codec: Encoder.
        pixels: Pixel format.
        width: Width in pixels.
        height: Height in pixels.
        frames: Number of frames.
        options: Encoder's options.
        times: Presentation times in milliseconds; evenly spaced without them.
        colour_space: FFmpeg's number of the colour matrix to write down.
        colour_range: FFmpeg's number of the range of values to write down.
        planes: Stacked planes of a picture in `pixels`, shown in every frame instead of numbers.
        audio: Whether half a second of silence goes along.
        picture: Paints a frame, (height, width, 3) uint8 RGB, from its number, width and height.
        rate: Frames a second, where there are no times.
        pixel_shape: Width of a pixel as a multiple of its height, to write down.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if colour_space is not None:
            stream.codec_context.colorspace = colour_space
        if colour_range is not None:
            stream.codec_context.color_range = colour_range
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        sound = container.add_stream("aac", rate=44100) if audio else None
        for number in range(frames):
            if planes is None:
                frame = av.VideoFrame.from_ndarray(picture(number, width, height), format="rgb24")
            else:
                frame = av.VideoFrame.from_ndarray(planes, format=pixels)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            add_silence(container, sound)
    return path


def add_silence(container: av.container.OutputContainer, sound: AudioStream) -> None:
    """About half a second without sound."""
    for block in range(20):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
        frame.rate, frame.pts = 44100, block * 1152
        container.mux(sound.encode(frame))
    container.mux(sound.encode())


def encode_sound(path: Path, codec: str, *, cover: bool = False) -> Path:
    """A file of silence, with a cover picture if asked for."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=44100)
        assert isinstance(sound, AudioStream)
        if cover:
            add_cover(container)
        add_silence(container, sound)
    return path


def add_cover(container: av.container.OutputContainer) -> None:
    """A still picture that belongs to the file and not to its contents."""
    picture = container.add_stream("png", rate=1)
    assert isinstance(picture, VideoStream)
    picture.width, picture.height, picture.pix_fmt = 32, 32, "rgb24"
    picture.disposition = Disposition.attached_pic
    container.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 200, np.uint8))))
    container.mux(picture.encode())


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into an MP4 file's track header (ISO 14496-12, 8.3.2)."""
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:at] + matrix + content[at + 36 :])
    return path


def encode_packed(path: Path, frames: int = 31, picture: Painter = numbered_picture) -> Path:
    """MPEG-4 in AVI the way DivX packed it: a B-frame rides in the packet of the frame that it refers to.

    The packet that would have held it holds a frame that says "nothing coded" instead.
    """
    options = {"bf": "1", "qscale": "3"}
    plain = encode(path.with_suffix(".m4v"), codec="mpeg4", frames=frames, options=options, picture=picture)
    with av.open(str(plain)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
        start = packets[0].index(b"\x00\x00\x01\xb6")
        packets[0] = packets[0][:start] + b"\x00\x00\x01\xb2DivX503b1393p" + packets[0][start:]
        position = 0
        while position < len(packets):
            # The two bits behind a frame's start code are its kind; 2 is a B-frame.
            following = packets[position + 1] if position + 1 < len(packets) else b""
            if following and following[following.index(b"\x00\x00\x01\xb6") + 4] >> 6 == 2:
                chunks = [packets[position] + following, b"\x00\x00\x01\xb6\x50\x01\x7f"]
            else:
                chunks = [packets[position]]
            for chunk in chunks:
                packet = av.Packet(chunk)
                packet.stream, packet.dts, packet.time_base = stream, position, Fraction(1, 25)
                packet.pts, packet.duration, packet.is_keyframe = position, 1, position == 0
                container.mux(packet)
                position += 1
    return path


def run_ffmpeg(ffmpeg: str, *arguments: str | Path) -> bytes:
    """What the program writes to its standard output."""
    command = [ffmpeg, "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
