"""How well content is recognised on the files of UCF-101: copies found, other videos left alone, and what that costs.

python -m tests.performance.fingerprints FOLDER [--copies 60] [--million]

FOLDER holds files named `v_Class_gNN_cNN.*`, anywhere below it, some of them the same video in two encodings.
"""

import argparse
import itertools
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from benchmark.content import LARGEST_SHARE, Contents, shared
from benchmark.data.content_store import RECORD
from benchmark.data.decode import open_video
from benchmark.data.fingerprint import fingerprint_of
from benchmark.data.preprocess import Picture
from benchmark.files import file_hash

Copy = tuple[int, int, float, bool, str]

COPIES: dict[str, Copy] = {
    # Share cut at each side, height in pixels (0 keeps it), share of the frames cut at each end, mirrored, quality.
    "encoded again, CRF 23": (0, 0, 0.0, False, "23"),
    "encoded again, CRF 38": (0, 0, 0.0, False, "38"),
    "half the size": (0, 120, 0.0, False, "23"),
    "twice the size": (0, 480, 0.0, False, "23"),
    "mirrored": (0, 0, 0.0, True, "23"),
    "2% cut at each side": (2, 0, 0.0, False, "23"),
    "5% cut at each side": (5, 0, 0.0, False, "23"),
    "8% cut at each side": (8, 0, 0.0, False, "23"),
    "10% cut at each side": (10, 0, 0.0, False, "23"),
    "5% cut, mirrored, half the size, CRF 33": (5, 120, 0.0, True, "33"),
    "5% of the frames cut at each end": (0, 0, 0.05, False, "23"),
}


def rgb_of(picture: Picture) -> np.ndarray:
    """(H, W, 3) uint8, by OpenCV from the planes."""
    if picture.rgb is not None:
        return picture.rgb
    assert picture.yuv is not None
    y, u, v = picture.yuv
    planes = np.concatenate([y.reshape(-1), u.reshape(-1), v.reshape(-1)]).reshape(y.shape[0] * 3 // 2, y.shape[1])
    return cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)


def write_copy(source: Path, target: Path, copy: Copy) -> None:
    """Encode a changed copy as H.264."""
    percent, height, ends, is_mirrored, quality = copy
    with open_video(source) as video:
        first = int(video.frames * ends)
        frames = [rgb_of(picture) for _, picture in video.read(range(first, video.frames - first))]
    rows, columns = (round(side * percent / 100) for side in frames[0].shape[:2])
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": quality, "preset": "veryfast"})
        for number, frame in enumerate(frames):
            cut = frame[rows : len(frame) - rows, columns : frame.shape[1] - columns]
            cut = cut[:, ::-1] if is_mirrored else cut
            high = (height or len(cut)) // 2 * 2
            wide = round(cut.shape[1] * high / len(cut)) // 2 * 2
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = wide, high, "yuv420p"
            shown = cv2.resize(np.ascontiguousarray(cut), (wide, high), interpolation=cv2.INTER_AREA).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())


def contents_of_paths(paths: list[Path]) -> Contents:
    """Contents of files, nothing kept."""
    found = Contents.nothing(len(paths))
    for row, path in enumerate(paths):
        found.digests[row] = np.frombuffer(bytes.fromhex(file_hash(path))[:8], "<i8")[0]
        prints = fingerprint_of(path)
        if prints is not None:
            found.prints[row] = prints
    return found


def table_of_pairs(paths: list[Path], contents: Contents) -> Iterator[str]:
    """Of all pairs, by what their names say that they are, how many are found."""
    names = [re.sub(r"^v_", "", path.stem) for path in paths]
    found = shared(contents)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    kinds = {"the same video": 0, "one source group": 0, "one class, other sources": 0, "other classes": 0}
    hits = dict.fromkeys(kinds, 0)
    odd = []
    for one, other in itertools.combinations(range(len(names)), 2):
        first, second = names[one], names[other]
        group, other_group = first.rpartition("_")[0], second.rpartition("_")[0]
        is_class = first.split("_")[0] == second.split("_")[0]
        kind = list(kinds)[0 if first == second else 1 if group == other_group else 2 if is_class else 3]
        kinds[kind] += 1
        if (one, other) in pairs:
            hits[kind] += 1
            odd += [f"{first} and {second}"] if kind in list(kinds)[2:] else []
    for kind, count in kinds.items():
        yield f"{kind:28s}{hits[kind]:8,} of {count:9,}  {hits[kind] / max(count, 1):.4%}"
    yield f"found across sources: {', '.join(odd) or 'none'}"


def table_of_copies(paths: list[Path], contents: Contents, copies: int) -> Iterator[str]:
    """Of changed copies of random videos, how many are found among all, and how many others with them."""
    drawn = np.random.default_rng(0).choice(len(paths), min(copies, len(paths)), replace=False)
    with tempfile.TemporaryDirectory() as folder:
        for name, copy in COPIES.items():
            changed = []
            for row in drawn:
                changed.append(Path(folder, f"{row}.mp4"))
                write_copy(paths[row], changed[-1], copy)
            pairs = shared(contents_of_paths(changed), contents)
            hits = sum(bool(((pairs.first == n) & (pairs.second == row)).any()) for n, row in enumerate(drawn))
            yield f"{name:42s}{hits:5d} of {len(drawn)}"


def million() -> str:
    """Search a made million for copies with 8% of their bits changed, as a test of 1,000 does."""
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 2**63, (1_000_000, 6), dtype=np.uint64) << np.uint64(1) | np.uint64(1)
    held = Contents(rng.integers(1, 2**62, len(prints)), prints)
    flips = (rng.random((1000, 6, 64)) < 0.08) & (np.arange(64) > 0)
    words = np.packbits(flips, axis=-1, bitorder="little").view("<u8")[..., 0]
    asked = Contents(np.zeros(1000, np.int64), prints[:1000] ^ words)
    start = time.perf_counter()
    found = shared(asked, held)
    seconds = time.perf_counter() - start
    hits = (found.first == found.second).sum()
    return (
        f"1,000 videos against a million: {seconds:.1f} s, {hits} of 1,000 found, {len(found) - hits} others; all "
        f"pairs of a million would take about {seconds * 500 / 60:.0f} minutes"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--million", action="store_true")
    asked = parser.parse_args()
    paths = sorted(path for path in asked.folder.rglob("v_*") if path.suffix in {".avi", ".mp4"})
    start = time.perf_counter()
    contents = contents_of_paths(paths)
    print(
        f"{len(paths):,} videos, {(time.perf_counter() - start) / len(paths) * 1000:.1f} ms each; "
        f"{RECORD.itemsize} bytes each; the same if at most {LARGEST_SHARE:.0%} of the bits differ"
    )
    lines = itertools.chain(table_of_pairs(paths, contents), table_of_copies(paths, contents, asked.copies))
    for line in lines:
        print(line, flush=True)
    if asked.million:
        print(million())


if __name__ == "__main__":
    main()
