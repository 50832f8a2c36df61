"""How fast training clips of ten frames are read, decoded and from the frame cache, one process and one thread.

    python -m tests.performance.cached_clips FOLDER [--clips 300]

Each pass reads other random clips. Prints clips/s (medians over the passes) of decoding, of the pass that fills the
cache, of reading kept 200x200 clips and of kept clips cut to a network's 170x170, with their ratios to decoding.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.data.cache import FrameCache
from benchmark.data.dataset import ClipReader
from benchmark.data.index import Video
from benchmark.data.preprocess import augment
from benchmark.protocol import Protocol

PROTOCOL, OFFSETS, PASSES, SIDE = Protocol(), tuple(range(3, 13)), 5, 170


def measure(folder: Path, clips: int) -> dict[str, list[float]]:
    """Clips/s of each pass, by way of reading.

    Args:
        folder: Videos, in any depth.
        clips: Clips a pass.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".avi", ".mp4"})
    videos = [Video(row, path.stem, path, ()) for row, path in enumerate(paths)]
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        plain = ClipReader(PROTOCOL, OFFSETS)
        kept = ClipReader(PROTOCOL, OFFSETS, cache=FrameCache(Path(scratch) / "frames", PROTOCOL.frame_side, 4 * 10**9))
        for video in videos:
            plain.read(video, [0])  # learns the timelines, so that no pass pays for them

        def timed(name: str, read: Callable[[Video, int], object], work: list[tuple[Video, int]]) -> None:
            start = time.perf_counter()
            for video, clip in work:
                read(video, clip)
            rates.setdefault(name, []).append(len(work) / (time.perf_counter() - start))

        def cut(video: Video, clip: int) -> np.ndarray:
            return augment(kept.read(video, [clip]).frames[0], SIDE, np.random.default_rng(clip))

        for number in range(PASSES):
            rng = random.Random(number)
            work = [(rng.choice(videos), rng.randrange(50)) for _ in range(clips)]
            timed("decoded", lambda video, clip: plain.read(video, [clip]), work)
            timed("filling the cache", lambda video, clip: kept.read(video, [clip]), work)
            timed("from the cache", lambda video, clip: kept.read(video, [clip]).frames.copy(), work)
            timed("from the cache, cut", cut, work)
    return rates


def show(rates: dict[str, list[float]]) -> None:
    """Print medians over the passes."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        print(f"{name:20s} {median:7.0f} clips/s ({spread})  {median / medians['decoded']:.2f}x decoding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=300)
    options = parser.parse_args()
    show(measure(options.folder, options.clips))


if __name__ == "__main__":
    main()
