"""Contents of a dataset's videos, worked out once and kept in the user's cache folder: 88 bytes a video.

One file a dataset's folder, to which records of a fixed length are added; a video is known by path, size and time of
change, so a changed file is another video.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock

from benchmark.caches import cache_folder
from benchmark.content import WORDS, Contents
from benchmark.data.cache import video_key
from benchmark.data.fingerprint import fingerprint_of
from benchmark.data.index import VideoIndex
from benchmark.files import file_hash
from benchmark.wording import counted

MOST_VIDEOS = 20_000
"""Videos of a dataset whose contents a run works out by itself; of larger ones it takes what `audit` has left."""

RECORD = np.dtype([("video", "<u8"), ("sha256", "u1", 32), ("prints", "<u8", WORDS)])

_VERSION = 1  # another fingerprint needs another number
_BATCH = 256  # videos between two writes
_PATIENCE = 20.0  # seconds; where a system has no locks of its own, a killed process leaves its lock file for ever
_ANNOUNCED = 1000  # videos from which on it is said what takes so long
_unwritten: dict[Path, list[np.ndarray]] = {}  # records of this process, where the cache folder takes none


def store_folder() -> Path:
    """Where the files lie."""
    return cache_folder() / "content"


def contents_of(
    index: VideoIndex, rows: np.ndarray | None = None, *, most: int | None = MOST_VIDEOS, verbose: bool = True
) -> Contents:
    """Contents of videos that are held, worked out where they are not known yet.

    Args:
        index: The dataset.
        rows: (N,) rows of it that have a file; None takes all of those.
        most: Of a dataset that holds more videos only what is known already is given; None sets no limit.
        verbose: Say it where that takes a while.
    """
    held = np.flatnonzero(index.table["path"].is_valid().to_numpy())
    paths = index.table["path"].take(pa.array(held if rows is None else rows)).to_pylist()
    is_bounded = most is not None and len(held) > most
    return contents_of_files(index.root, paths, only_known=is_bounded, verbose=verbose)


def contents_of_files(root: Path, paths: Sequence[str], *, only_known: bool = False, verbose: bool = False) -> Contents:
    """Contents of files, worked out where they are not known yet.

    Args:
        root: Folder that the paths are relative to; its contents are kept together.
        paths: N paths.
        only_known: Work nothing out.
        verbose: Say it where that takes a while.
    """
    of_root = hashlib.blake2b(os.fsencode(root.absolute()), digest_size=8).hexdigest()
    file = store_folder() / f"{of_root}-v{_VERSION}"
    known = np.concatenate([_read(file), *_unwritten.get(file, [])])
    if only_known and not len(known):
        return Contents.nothing(len(paths))
    keys = np.array([_key(root / path) for path in paths], np.uint64)
    is_known = np.isin(keys, known["video"], kind="sort")  # NumPy 2.0's table overflows on keys beyond 63 bits
    lacking = [] if only_known else np.flatnonzero(~is_known & (keys != 0)).tolist()
    if verbose and len(lacking) >= _ANNOUNCED:
        print(f"reading {counted(len(lacking), 'video')} of {root} once, to know them by their content", flush=True)
    new = [known]
    for batch in _batches(root, paths, keys, lacking):
        _append(file, batch)
        new.append(batch)
    records = np.concatenate(new)
    return _contents(records, keys)


def _key(path: Path) -> int:
    """Name of a file's content; 0 where there is none."""
    try:
        return video_key(path) if path.stat().st_size else 0
    except OSError:
        return 0


def _contents(records: np.ndarray, keys: np.ndarray) -> Contents:
    found = Contents.nothing(len(keys))
    if not len(records):
        return found
    order = np.argsort(records["video"], kind="stable")
    place = np.minimum(np.searchsorted(records["video"][order], keys), len(records) - 1)
    held = records[order[place]]
    is_known = held["video"] == keys
    digests = np.ascontiguousarray(held["sha256"][:, :8]).view("<i8")[:, 0]
    found.digests[is_known] = digests[is_known]
    found.prints[is_known] = held["prints"][is_known]
    return found


def _batches(root: Path, paths: Sequence[str], keys: np.ndarray, rows: list[int]) -> Iterator[np.ndarray]:
    """Records of some files, in parts."""

    def record(row: int) -> np.ndarray:
        made = np.zeros(1, RECORD)
        path = root / paths[row]
        try:
            made["sha256"] = np.frombuffer(bytes.fromhex(file_hash(path)), np.uint8)
        except OSError:
            return made[:0]
        made["video"] = keys[row]
        prints = fingerprint_of(path)
        if prints is not None:
            made["prints"] = prints
        return made

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(rows), _BATCH):
            yield np.concatenate(list(pool.map(record, rows[start : start + _BATCH])))


def _read(file: Path) -> np.ndarray:
    """All whole records of a file."""
    try:
        held = file.read_bytes()
    except OSError:
        return np.empty(0, RECORD)
    return np.frombuffer(held[: len(held) // RECORD.itemsize * RECORD.itemsize], RECORD)


def _append(file: Path, records: np.ndarray) -> None:
    """Add records after the whole ones of a killed process; where the folder takes none, this process keeps them."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=_PATIENCE), file.open("ab") as sink:
            sink.truncate(sink.tell() // RECORD.itemsize * RECORD.itemsize)
            sink.write(records.tobytes())
    except (OSError, NotImplementedError):
        _unwritten.setdefault(file, []).append(records)
