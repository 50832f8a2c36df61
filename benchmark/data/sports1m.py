"""Sports-1M: a million YouTube videos of 487 sports (section 4.1), read into one Arrow table without a Python row.

The official package gives a training and a test list. Validation is held out of the training list by a hash of the
video's id, so that it is the same on every machine and whichever of the videos can still be had.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.found import can_be_written
from benchmark.data.index import SCHEMA, VideoIndex
from benchmark.data.lists import read_lines
from benchmark.errors import DatasetNotFoundError, UserError
from benchmark.identity import Identity
from benchmark.wording import counted

log = logging.getLogger(__name__)

LIST_NAMES = {
    "train": ("train_partition.txt", "train_videos.txt"),
    "test": ("test_partition.txt", "test_videos.txt"),
}
"""Names a list goes by: in the official package, and in the older repository."""

SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov")
"""File endings looked for; where a video is there twice, the earlier ending wins."""

PAPER_SHARES = "the paper's split is 70% train, 10% validation, 20% test"

_ID_BYTES = 11
_VIDEO = rf"(?:https?://(?:www\.)?youtube\.com/watch\?v=|https?://youtu\.be/)?(?P<id>[A-Za-z0-9_-]{{{_ID_BYTES}}})"
_LABELS = r"[0-9]{1,6}(?:,[0-9]{1,6})*"
_LINE = re.compile(rf"{_VIDEO} (?P<labels>{_LABELS})")
_SPLITS = ("train", "validation", "test")
_BLOCK_BYTES = 2**21


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
        words[:, :_ID_BYTES] = np.frombuffer(texts, np.uint8, words.shape[0] * _ID_BYTES, start).reshape(-1, _ID_BYTES)
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


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    entries = sorted(root.iterdir())
    # A two-letter folder comes before the flat files, and in every folder the preferred ending comes first.
    for folder in [entry for entry in entries if len(entry.name) == 2 and entry.is_dir()]:
        yield f"{folder.name}/", [file.name for file in folder.iterdir() if file.name.startswith(folder.name)]
    yield "", [entry.name for entry in entries]


def find_videos(root: Path) -> pa.Table:
    """The video files under the root, flat or in folders named after the first two letters of the id.

    Args:
        root: Folder of the videos: `abXXXXXXXXX.mp4` or `ab/abXXXXXXXXX.mp4`.

    Returns:
        Columns video_id and path (string, relative to the root), each id once.

    Raises:
        DatasetNotFoundError: If the root is not a folder.
    """
    if not root.is_dir():
        raise DatasetNotFoundError(f"data.root is {root}, not a folder; pass the folder of Sports-1M's videos.")
    ids: list[pa.Array] = [pa.array([], pa.string())]
    paths: list[pa.Array] = [pa.array([], pa.string())]
    for prefix, names in _folders(root):
        files: dict[str, str] = {}
        for suffix in SUFFIXES:
            for name in names:
                if len(name) == _ID_BYTES + len(suffix) and name.lower().endswith(suffix):
                    files.setdefault(name[:_ID_BYTES], prefix + name)
        ids.append(pa.array(files, pa.string()))
        paths.append(pa.array(files.values(), pa.string()))
    return pa.table({"video_id": pa.chunked_array(ids), "path": pa.chunked_array(paths)}).combine_chunks()


def read_sports1m_index(
    root: Path, *, lists: Path | None = None, validation_share: float = 1 / 8, split_seed: int = 0
) -> VideoIndex:
    """The videos of the official lists; validation is held out of the training list by a hash of the id.

    A video that is in the lists twice counts once: the test list goes before the training list, the earlier line
    before the later one, and what was dropped is logged.

    Args:
        root: Folder of the videos.
        lists: Folder of the lists and labels.txt; None means `root`.
        validation_share: Fraction of the training list that becomes validation, 0 <= share < 1.
        split_seed: Chooses which videos those are; apart from the training seed.

    Returns:
        One row a listed video, without a path where the file is not there.

    Raises:
        DatasetNotFoundError: If the folder or a list is missing.
        UserError: If a line is malformed or the share is not allowed.
    """
    if not 0 <= validation_share < 1:
        raise UserError(f"data.validation_share is {validation_share}; it must be at least 0 and less than 1.")
    folder = root if lists is None else lists
    found = find_videos(root)
    class_names = read_class_names(folder)
    test = read_list(find_list("test", folder), len(class_names))
    train = read_list(find_list("train", folder), len(class_names))
    listed = pa.concat_tables([test, train]).combine_chunks()
    ids = listed["video_id"].chunk(0)
    hashes = id_hashes(ids, split_seed)
    # The upper 53 bits make a float64 in [0, 1) exactly.
    codes = ((hashes >> np.uint64(11)) * 2.0**-53 < validation_share).astype(np.int8)
    codes[: test.num_rows] = _SPLITS.index("test")
    del test, train
    matches = pc.index_in(ids, value_set=found["video_id"].combine_chunks())
    columns = {
        "video_id": ids,
        "path": found["path"].combine_chunks().take(matches),
        "labels": listed["labels"].chunk(0),
        "split": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(_SPLITS)),
        "source_group": pa.nulls(len(ids), pa.string()),
    }
    table = _without_repeats(pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA), hashes)
    index = VideoIndex(Identity("Sports-1M"), root, table, class_names, official_videos=table.num_rows)
    return index


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


def describe_shares(index: VideoIndex) -> str:
    """One line: how the listed videos fall into the splits, present or not, beside the paper's shares."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(index.table["split"].cast("string")).to_pylist()}
    shares = ", ".join(f"{counts.get(name, 0):,} {name} ({counts.get(name, 0) / len(index):.1%})" for name in _SPLITS)
    return f"{index.identity}: the lists name {counted(len(index), 'video')}: {shares}; {PAPER_SHARES}"


class Sports1M(VideoDataModule):
    """Sports-1M by its official lists; the videos that are no longer there are counted (section 4.1).

    Args:
        root: Folder of the videos, flat or in folders named after the first two letters of the id.
        lists: Folder of the official lists and labels.txt; None means `root`.
        validation_share: Fraction of the training list held out for validation.
        split_seed: Chooses which videos those are; apart from `seed`.
        clips_per_video: Clips of each video for each purpose (section 4: 100 for training).
        shared: What every data module takes, see `VideoDataModule`.
    """

    def __init__(
        self,
        root: Path,
        *,
        lists: Path | None = None,
        validation_share: float = 1 / 8,
        split_seed: int = 0,
        clips_per_video: ClipsPerVideo = ClipsPerVideo(train=100),
        **shared: Any,
    ) -> None:
        super().__init__(root, clips_per_video=clips_per_video, **shared)
        self.videos_root, self.lists = root, lists
        self.validation_share, self.split_seed = validation_share, split_seed

    def summary(self) -> str:
        """Two lines: how the lists fall into the splits, beside the paper's shares, and what every dataset says."""
        return f"{describe_shares(self.index)}\n{super().summary()}"

    def read_index(self) -> VideoIndex:
        """Read the official lists and look for their videos."""
        return read_sports1m_index(
            self.videos_root, lists=self.lists, validation_share=self.validation_share, split_seed=self.split_seed
        )
