"""What the table of a million videos takes before the first clip is asked for.

python -m tests.performance.million_rows
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.needs import ClipNeeds
from benchmark.scale.catalogue import VIDEOS
from benchmark.scale.settings import VIDEOS_FILE, StoreSettings
from benchmark.scale.sports1m_shards import Sports1MShards
from benchmark.scale.store import Store

ROWS, CLASSES, VIDEOS_PER_SHARD = 1_000_000, 487, 256


def write_store(folder: Path) -> None:
    """The tables of a store without shards."""
    rng = np.random.default_rng(0)

    def words(names: list[str], shares: list[float]) -> pa.Array:
        codes = pa.array(rng.choice(len(names), ROWS, p=shares), pa.int8())
        return pa.DictionaryArray.from_arrays(codes, pa.array(names))

    offsets = np.sort(rng.integers(0, 2**37, ROWS))
    one_each = pa.array(np.arange(ROWS + 1), pa.int32())
    columns = {
        "video_id": pa.array(np.char.mod("%011x", rng.integers(0, 2**43, ROWS))),
        "labels": pa.ListArray.from_arrays(one_each, pa.array(rng.integers(0, CLASSES, ROWS), pa.int32())),
        "split": words(["train", "validation", "test"], [0.7, 0.1, 0.2]),
        "state": words(["fetched", "dead", "undecodable"], [0.7, 0.29, 0.01]),
        "reason": pa.array([""] * ROWS),
        "shard": pa.array(np.arange(ROWS) // VIDEOS_PER_SHARD, pa.int32()),
        "frames": pa.array(rng.integers(100, 20000, ROWS), pa.int32()),
        "offset": pa.array(offsets),
        "index_offset": pa.array(offsets + 30_000_000),
        "end": pa.array(offsets + 30_003_000),
    }
    pq.write_table(pa.table(columns, schema=VIDEOS), folder / VIDEOS_FILE, compression="zstd")
    names = tuple(f"class {number}" for number in range(CLASSES))
    StoreSettings("exact", ClipsPerVideo(100, 1, 4, 20), 2014, VIDEOS_PER_SHARD, names, "", ROWS).write(
        Store(str(folder))
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder))
        print(f"{VIDEOS_FILE}: {(Path(folder) / VIDEOS_FILE).stat().st_size / 1e6:.0f} MB")
        for _ in range(5):
            begun, cpu = time.monotonic(), time.process_time()
            data = Sports1MShards(folder, clips_per_video=ClipsPerVideo(100, 2, 4, 20), num_workers=0)
            data.serve(ClipNeeds((8,), 170))
            _ = data.places
            next(iter(data.training_batches()))
            print(f"{time.monotonic() - begun:.2f} s, {time.process_time() - cpu:.2f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
