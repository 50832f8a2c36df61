"""An index of a few small videos, one of them broken and one missing."""

from pathlib import Path

from benchmark.data.index import VideoIndex
from benchmark.identity import Identity
from tests.generators.encoded import encode

BROKEN, MISSING, SHORT = 2, 4, 1


def small_index(root: Path) -> VideoIndex:
    """Six videos of three classes; row 1 is shorter than a clip, row 2 cannot be read, row 4 is not there."""
    names = [f"v{row}" for row in range(6)]
    for row, frames in {0: 40, 1: 5, 3: 30, 5: 17}.items():
        encode(root / f"v{row}.mp4", frames=frames, options={"g": "10", "bf": "2"})
    (root / "v2.mp4").write_bytes(b"not a video" * 100)
    return VideoIndex.from_columns(
        Identity("Small"),
        root,
        ("A", "B", "C"),
        video_id=names,
        path=[None if row == MISSING else f"{name}.mp4" for row, name in enumerate(names)],
        labels=[[0], [1, 2], [2], [], [0], [1]],
        split=["train", "train", "train", "test", "test", "validation"],
    )
