"""Seconds and peak memory of `rescore` on a ledger of the size of Sports-1M's test set.

python tests/performance/rescore_scale.py [videos] [classes]
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmark.protocol import Protocol
from benchmark.results.ledger import FILE_NAME, SCHEMA, Ledger, LedgerInfo

CLIPS, FAILED_SHARE, SEVERAL_SHARE, SKILL = 20, 0.01, 0.05, 4.0
ROWS_AT_ONCE = 10_000


def batch(rng: np.random.Generator, first: int, videos: int, classes: int) -> pa.Table:
    """Some rows of a random ledger."""
    labels = rng.integers(0, classes, (videos, 2))
    several = rng.random(videos) < SEVERAL_SHARE
    true = np.zeros((videos, classes), bool)
    true[np.arange(videos), labels[:, 0]] = True
    true[np.flatnonzero(several), labels[several, 1]] = True
    odds = np.exp(rng.normal(size=(videos, classes), scale=1.5) + SKILL * true * rng.random((videos, 1)))
    scores = (odds / odds.sum(1, keepdims=True)).astype(np.float32)
    best = np.where(true, scores, 0).max(1, keepdims=True)
    rank = 1 + ((scores >= best) & ~true).sum(1)
    ranks = np.clip(rank[:, None] + rng.integers(-2, 3, (videos, CLIPS)), 1, classes - 1).astype(np.int32)
    failed = pa.array(rng.random(videos) < FAILED_SHARE)
    starts = np.tile(np.arange(CLIPS, dtype=np.int32) * 16, videos)

    def lists(values: np.ndarray, length: int) -> pa.Array:
        offsets = np.arange(0, values.size + 1, length, dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()), mask=failed)

    columns = {
        "video_id": pa.array([f"v{first + row:07d}" for row in range(videos)]),
        "labels": pa.array([np.flatnonzero(row) for row in true], pa.list_(pa.int32())),
        "source_group": pa.nulls(videos, pa.string()),
        "status": pc.if_else(failed, "failed", "scored"),
        "reason": pc.if_else(failed, "it holds no frames", pa.scalar(None, pa.string())),
        "scores": lists(scores, classes),
        "clip_starts": lists(starts, CLIPS),
        "clip_ranks": lists(ranks, CLIPS),
    }
    return pa.table(columns, SCHEMA)


def main(videos: int = 200_000, classes: int = 487) -> None:
    """Generate a ledger, rescore it in a process of its own, and print what that took."""
    rng = np.random.default_rng(0)
    parts = [batch(rng, first, min(ROWS_AT_ONCE, videos - first), classes) for first in range(0, videos, ROWS_AT_ONCE)]
    info = LedgerInfo(
        dataset="Made",
        fold=None,
        classes=None,
        fingerprint="0123456789abcdef",
        held_videos=videos,
        official_videos=videos + 1000,
        class_names=tuple(f"class {number}" for number in range(classes)),
        class_groups=None,
        protocol=Protocol(clips_per_video=CLIPS),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE_NAME
        Ledger(info, pa.concat_tables(parts)).write(path)
        parts.clear()
        print(f"{videos:,} videos of {classes} classes, {path.stat().st_size / 2**20:,.0f} MiB on disk", flush=True)
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "benchmark", "rescore", str(path)], check=True)
        seconds = time.perf_counter() - begin
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
    print(f"\n{seconds:.1f} s ({usage.ru_utime + usage.ru_stime:.1f} s of processor time), peak {peak / 2**30:.2f} GiB")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
