"""Small videos that show something: blobs of brightness that drift, and changed copies of them."""

from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream


def scene(seed: int, frames: int = 20, width: int = 160, height: int = 120) -> np.ndarray:
    """(T, H, W, 3) uint8: a picture of a few low frequencies, of the seed's own, that drifts sideways."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (width * 5 // 4, height), interpolation=cv2.INTER_CUBIC)
    steps = np.linspace(0, width // 4, frames).astype(int)
    return np.stack([wide[:, step : step + width] for step in steps])


def write_frames(
    path: Path, frames: np.ndarray, *, codec: str = "mpeg4", options: dict[str, str] | None = None
) -> Path:
    """Encode (T, H, W, 3) uint8 frames; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"threads": "1", **(options or {})})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def write_scene(path: Path, seed: int) -> Path:
    """Encode the scene of a seed."""
    return write_frames(path, scene(seed), options={"qscale": "3"})
