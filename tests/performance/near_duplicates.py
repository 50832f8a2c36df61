"""How long a million videos' near-duplicates take, how many planted ones are found, and what real videos say.

python -m tests.performance.near_duplicates --videos 1000000
python -m tests.performance.near_duplicates --one FOLDER --other FOLDER   # the same videos, encoded twice
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from benchmark.data.decode import DecodeError, open_video
from benchmark.data.fingerprint import frame_words
from benchmark.data.preprocess import square_rgb
from benchmark.scale.near import FRAMES, near_pairs


def synthetic(videos: int, copies: int, seed: int = 0) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """Random descriptions with as many copies, of 3 to 10 frames that differ in up to 3 bits each."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (videos, FRAMES), dtype=np.uint64) | np.uint64(1)
    rows = rng.permutation(videos)[: 2 * copies].reshape(-1, 2)
    for one, other in rows:
        frames = rng.integers(3, FRAMES + 1)
        noise = np.zeros(frames, np.uint64)
        for _ in range(3):
            noise ^= (np.uint64(1) << rng.integers(1, 64, frames, dtype=np.uint64)) * (rng.random(frames) < 0.7)
        hashes[other, rng.permutation(FRAMES)[:frames]] = hashes[one, :frames] ^ noise
    return hashes, {(int(min(pair)), int(max(pair))) for pair in rows}


def described(path: Path) -> np.ndarray:
    """As the job of a shard describes ten frames, here of the whole video."""
    hashes = np.zeros(FRAMES, np.uint64)
    try:
        with open_video(path) as video:
            numbers = ((np.arange(FRAMES) + 0.5) * video.frames // FRAMES).astype(int)
            for number, picture in video.read(np.unique(numbers).tolist()):
                hashes[numbers == number] = frame_words(square_rgb(picture, 200))[0]
    except DecodeError:
        pass
    return hashes


def calibrated(one: Path, other: Path) -> None:
    """Pairs of one video encoded twice, and pairs of different sources that are taken for one, by frames asked for."""
    first = {path.stem: path for path in sorted(one.glob("*/*.*"))}
    second = {path.stem: path for path in sorted(other.glob("*/*.*")) if path.stem in first}
    names = sorted(second)
    hashes = np.stack([described(files[name]) for files in (first, second) for name in names])
    sources = np.array([name.rpartition("_")[0] for name in names] * 2)
    for least in range(1, 6):
        pairs = near_pairs(hashes, least_frames=least)
        is_same = pairs.second == pairs.first + len(names)
        is_other = sources[pairs.first] != sources[pairs.second]
        print(
            f"{least} frames: {is_same.sum()} of {len(names)} re-encoded videos found; {is_other.sum()} pairs of other "
            f"sources, {len(pairs) - is_same.sum() - is_other.sum()} of the same source"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--one", type=Path)
    parser.add_argument("--other", type=Path)
    given = parser.parse_args()
    if given.one is not None:
        calibrated(given.one, given.other)
        return
    hashes, copies = synthetic(given.videos, 877)
    before, begun, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic(), time.process_time()
    found = near_pairs(hashes, threads=2)
    wall, cpu = time.monotonic() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    held = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    print(
        f"{given.videos:,} videos times {FRAMES} descriptions: {wall:.0f} s, {cpu:.0f} s of processor "
        "time on 2 threads; "
        f"{peak / 1e3:.0f} MB at most, {before / 1e3:.0f} before; {len(held & copies)} of {len(copies)} planted pairs, "
        f"{len(held - copies)} others"
    )


if __name__ == "__main__":
    main()
