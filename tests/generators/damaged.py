"""Videos in which single bits are wrong, as a bad disk or transfer leaves them."""

from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

# File name: encoder and its options. What HEVC and VP9 decode from wrong bits is mostly valid to their decoders.
CODINGS: dict[str, tuple[str, dict[str, str]]] = {
    "mpeg4.avi": ("mpeg4", {"bf": "2", "g": "30", "qscale": "5", "b_strategy": "0"}),
    "mpeg4.mp4": ("mpeg4", {"bf": "0", "g": "30", "qscale": "5"}),
    "h264.mp4": ("libx264", {"bf": "3", "g": "30", "b_strategy": "0", "crf": "23"}),
    "h264.mkv": ("libx264", {"bf": "2", "g": "30", "crf": "25", "preset": "veryfast"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=30:log-level=none", "crf": "25"}),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime", "g": "30", "b": "400k"}),
}
FRAMES, HEIGHT, WIDTH = 60, 120, 160


def moving_texture(path: Path, name: str) -> Path:
    """A video of a texture that wanders behind a square that moves."""
    codec, options = CODINGS[name]
    rng = np.random.default_rng(5)
    texture = rng.integers(0, 255, (70, 80, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            left, top = int(60 + 50 * np.sin(number / 9)), int(40 + 30 * np.cos(number / 7))
            picture = texture[top : top + HEIGHT, left : left + WIDTH].copy()
            picture[45:75, 2 * number : 2 * number + 30] = (255, 40, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def flip_bits(whole: Path, path: Path, seed: int) -> Path:
    """Copy a video with one to four bits of its packets inverted."""
    rng = np.random.default_rng(seed)
    content = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for _ in range(int(rng.integers(1, 5))):
        position, size = packets[int(rng.integers(len(packets)))]
        assert position is not None
        # Past the headers, mostly: a packet's first bytes are few of many.
        content[position + int(rng.integers(min(size - 1, 12), size))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return path
