"""Tiny real video files, encoded when a test needs them."""

from pathlib import Path

import av
import numpy as np


def write_video(path: Path, *, frames: int = 5, width: int = 64, height: int = 48, title: str = "") -> Path:
    """Encode noise as MPEG-4 part 2, in the container that the file's ending names; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    with av.open(str(path), "w") as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream("mpeg4", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(frames):
            picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def touch(path: Path) -> Path:
    """An empty file, where only the name counts; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path
