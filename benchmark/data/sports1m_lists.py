"""The official lists of Sports-1M, read into one Arrow table without a Python row; no video is looked for here."""

import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmark.data.found import can_be_written
from benchmark.data.index import SCHEMA
from benchmark.data.lists import read_lines
from benchmark.errors import DatasetNotFoundError, UserError

log = logging.getLogger(__name__)

LIST_NAMES = {
    "train": ("train_partition.txt", "train_videos.txt"),
    "test": ("test_partition.txt", "test_videos.txt"),
}
"""Names a list goes by: in the official package, and in the older repository."""

ID_BYTES = 11
"""Length of a video's name."""

_VIDEO = rf"(?:https?://(?:www\.)?youtube\.com/watch\?v=|https?://youtu\.be/)?(?P<id>[A-Za-z0-9_-]{{{ID_BYTES}}})"
_LABELS = r"[0-9]{1,6}(?:,[0-9]{1,6})*"
_LINE = re.compile(rf"{_VIDEO} (?P<labels>{_LABELS})")
_BLOCK_BYTES = 2**21


SPLITS = ("train", "validation", "test")
"""In the order in which they are counted."""


def find_list(name: str, folder: Path) -> Path:
    """The training or the test list in a folder of lists.

    Args:
        name: "train" or "test".
        folder: Folder with the lists, or with the official package's folder `original`.

    Returns:
        The list file.

    Raises:
        DatasetNotFoundError: If it goes by none of the accepted names.
    """
    for file in LIST_NAMES[name]:
        for place in (folder, folder / "original"):
            if (place / file).is_file():
                return place / file
    raise DatasetNotFoundError(
        f"Sports-1M's {name} list is neither {' nor '.join(LIST_NAMES[name])} in {folder} or {folder / 'original'}. "
        "Pass the folder that holds the official lists, decompressed, as data.lists."
    )


def read_class_names(folder: Path) -> tuple[str, ...]:
    """The class names of labels.txt, one a line; the first is label 0.

    Args:
        folder: Folder with the lists; labels.txt may also lie one level above it, as in the official package.

    Returns:
        K names.

    Raises:
        DatasetNotFoundError: If there is no labels.txt.
        UserError: If a line before the last names no class.
    """
    for place in (folder, folder.parent):
        if (place / "labels.txt").is_file():
            names = "\n".join(line.strip() for line in read_lines(place / "labels.txt")).rstrip("\n").split("\n")
            if "" in names:
                raise UserError(f"line {names.index('') + 1} of {place / 'labels.txt'} names no class; remove the line")
            if strange := next((name for name in names if not can_be_written(name)), None):
                raise UserError(f"{place / 'labels.txt'} has the class {strange!r}, in which is a control character")
            return tuple(names)
    raise DatasetNotFoundError(
        f"labels.txt, Sports-1M's class names, is neither in {folder} nor in {folder.parent}. Pass the folder that "
        "holds the official lists as data.lists."
    )


def _raise_first_malformed(path: Path, classes: int, cause: str) -> None:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            parts = _LINE.fullmatch(line.rstrip("\r\n"))
            if line.rstrip("\r\n") and (parts is None or max(map(int, parts["labels"].split(","))) >= classes):
                shown = line.rstrip("\r\n")[:200]  # with the spaces that may be what is wrong
                raise UserError(
                    f"line {number} of {path} is {shown!r}; expected a YouTube address or its "
                    f"11-character id, one space, and class numbers from 0 to {classes - 1} joined by commas. Fix or "
                    "remove the line."
                )
    raise UserError(f"{path} cannot be read as a list of Sports-1M: {cause}")


def _checked_columns(batch: pa.RecordBatch, classes: int) -> tuple[pa.Array, pa.Array]:
    video, labels = batch.column("video"), batch.column("labels")
    found = pc.extract_regex(video, f"^{_VIDEO}$")
    if found.null_count or not pc.all(pc.match_substring_regex(labels, f"^{_LABELS}$")).as_py():
        raise pa.ArrowInvalid("a line is not in the official format")
    parts = pc.split_pattern(labels, ",")
    numbers = pc.cast(parts.flatten(), pa.int32())
    if pc.max(numbers).as_py() >= classes:
        raise pa.ArrowInvalid("a class number is too high")
    return pc.struct_field(found, "id"), pa.ListArray.from_arrays(parts.offsets, numbers, type=pa.list_(pa.int32()))


def read_list(path: Path, classes: int) -> pa.Table:
    """Ids and labels of one list file.

    Args:
        path: File of lines `address labels` or `id labels`; labels are 0-based and joined by commas.
        classes: Number of classes K; labels are below it.

    Returns:
        Columns video_id (string) and labels (list of int32), one row a line, blank lines left out.

    Raises:
        UserError: If the file cannot be read, or a line is malformed; it names file, line number and content.
    """
    ids: list[pa.Array] = []
    labels: list[pa.Array] = []
    try:
        with pa.memory_map(str(path)) as source:
            batches = csv.open_csv(
                source,
                csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, column_names=["video", "labels"]),
                csv.ParseOptions(delimiter=" ", quote_char=False),
                csv.ConvertOptions(column_types={"video": pa.string(), "labels": pa.string()}),
            )
            for batch in batches:
                checked = _checked_columns(batch, classes)
                ids.append(checked[0])
                labels.append(checked[1])
    except pa.ArrowInvalid as cause:
        _raise_first_malformed(path, classes, str(cause))
    except OSError as cause:
        raise UserError(
            f"{path} cannot be read: {cause.strerror or cause}; allow reading it, or give another file"
        ) from cause
    if not ids:
        raise UserError(f"{path} names no video, it holds blank lines alone; use the official list, decompressed")
    return pa.table({"video_id": pa.chunked_array(ids), "labels": pa.chunked_array(labels)}).combine_chunks()


def id_hashes(ids: pa.Array, seed: int) -> np.ndarray:
    """A 64-bit number for each id, a pure function of the id and the seed, computed for all at once.

    The first 8 and the last 3 bytes of the id pass one after the other through the finaliser of SplitMix64.

    Args:
        ids: N strings of 11 bytes.
        seed: Another seed gives other numbers.

    Returns:
        (N,) uint64, evenly spread; different for different ids in all likelihood, but not with certainty.
    """
    words = np.zeros((len(ids), 16), np.uint8)
    if len(ids):
        _, offsets, texts = ids.buffers()
        start = int(np.frombuffer(offsets, np.int32)[ids.offset])
        words[:, :ID_BYTES] = np.frombuffer(texts, np.uint8, words.shape[0] * ID_BYTES, start).reshape(-1, ID_BYTES)
    mixed = np.full(len(ids), seed % 2**64, np.uint64)
    for word in words.view("<u8").astype(np.uint64, copy=False).T:
        mixed = _splitmix(mixed ^ word)
    return mixed


def _splitmix(words: np.ndarray) -> np.ndarray:
    state: np.ndarray = words + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return state


def listed_videos(
    folder: Path, validation_share: float = 1 / 8, split_seed: int = 0
) -> tuple[tuple[str, ...], pa.Table]:
    """The videos of the official lists, wherever they may be.

    Args:
        folder: Folder of the lists and labels.txt.
        validation_share: Fraction of the training list that becomes validation, 0 <= share < 1.
        split_seed: Chooses which videos those are.

    Returns:
        K class names, and columns of an index without paths, one row a listed video.

    Raises:
        DatasetNotFoundError: If a list is missing.
        UserError: If a line is malformed or the share is not allowed.
    """
    if not 0 <= validation_share < 1:
        raise UserError(f"data.validation_share is {validation_share}; it must be at least 0 and less than 1.")
    class_names = read_class_names(folder)
    test = read_list(find_list("test", folder), len(class_names))
    train = read_list(find_list("train", folder), len(class_names))
    listed = pa.concat_tables([test, train]).combine_chunks()
    ids = listed["video_id"].chunk(0)
    hashes = id_hashes(ids, split_seed)
    # The upper 53 bits make a float64 in [0, 1) exactly.
    codes = ((hashes >> np.uint64(11)) * 2.0**-53 < validation_share).astype(np.int8)
    codes[: test.num_rows] = SPLITS.index("test")
    del test, train
    columns = {
        "video_id": ids,
        "path": pa.nulls(len(ids), pa.string()),
        "labels": listed["labels"].chunk(0),
        "split": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(SPLITS)),
        "source_group": pa.nulls(len(ids), pa.string()),
    }
    table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    return class_names, _without_repeats(table, hashes)


def _without_repeats(table: pa.Table, hashes: np.ndarray) -> pa.Table:
    # Equal ids have equal hashes, so only rows that share a hash need their texts compared.
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(counts[inverse] > 1)
    seen: set[str] = set()
    keep = np.ones(len(table), bool)
    for row, video_id in zip(suspects, table["video_id"].take(pa.array(suspects)).to_pylist(), strict=True):
        keep[row] = video_id not in seen
        seen.add(video_id)
    if keep.all():
        return table
    log.warning("Sports-1M's lists repeat video ids; %s later lines of such ids are dropped", f"{(~keep).sum():,}")
    return table.filter(pa.array(keep))
