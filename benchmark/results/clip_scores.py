"""What a model said of every single clip, and of the validation videos: a file beside the ledger, hashed by the record.

One row a video that could be read. Letters: V videos, C clips of a video, K classes.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from benchmark.errors import UserError
from benchmark.files import file_hash, whole
from benchmark.metrics.arrays import ranks
from benchmark.results.ledger import SCHEMA as LEDGER_SCHEMA
from benchmark.results.ledger import Ledger
from benchmark.results.ledger_size import read_bounded

FILE_NAME = "clips.parquet"

Split = Literal["test", "validation"]
SPLITS: tuple[Split, ...] = ("test", "validation")

SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # test or validation
        pa.field("labels", pa.list_(pa.int32()), nullable=False),  # class numbers, 0-based
        pa.field("scores", pa.list_(pa.float32()), nullable=False),  # C * K class probabilities, clip by clip
    ]
)

MOST_VALUES = 2**31 - 1
"""Class probabilities of one split that a file holds: lists of Arrow are counted in 32 bits."""

_METADATA = b"clipbench.clips"
_FORMAT = 1
_ROWS_AT_ONCE = 1_024
_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Said:
    """What was said of the clips of one split.

    Args:
        video_ids: V names.
        labels: (V, K) bool, multi-hot.
        scores: (V, C, K) float32 class probabilities, the mean over the views of each clip.
    """

    video_ids: list[str]
    labels: np.ndarray
    scores: np.ndarray

    @property
    def video_scores(self) -> np.ndarray:
        """(V, K) float32: the mean over the clips."""
        return mean_of_clips(self.scores)


def mean_of_clips(scores: np.ndarray) -> np.ndarray:
    """(V, C, K) to (V, K) float32, summed in float64 as a test sums."""
    return np.asarray(scores.mean(1, dtype=np.float64).astype(np.float32))


@dataclasses.dataclass(frozen=True)
class ClipScores:
    """Class scores of single clips.

    Args:
        class_names: K names.
        table: Columns of `SCHEMA`.
    """

    class_names: tuple[str, ...]
    table: pa.Table

    @classmethod
    def of(cls, class_names: tuple[str, ...], said: Mapping[Split, Said]) -> "ClipScores":
        """From arrays."""
        parts = [_table(split, part) for split, part in said.items()]
        return cls(class_names, pa.concat_tables([SCHEMA.empty_table(), *parts]))

    def said(self, split: Split) -> Said:
        """Of one split; of a validation that was not scored no video."""
        part = self.table.filter(pc.equal(self.table["split"], split)).combine_chunks()
        classes = len(self.class_names)
        labels, lists = np.zeros((len(part), classes), bool), part["labels"].combine_chunks()
        labels[pc.list_parent_indices(lists).to_numpy(), lists.flatten().to_numpy()] = True
        values = part["scores"].combine_chunks().flatten().to_numpy()
        clips = len(values) // (len(part) * classes) if len(part) else 0
        return Said(part["video_id"].to_pylist(), labels, values.reshape(len(part), clips, classes))

    def write(self, path: Path) -> str:
        """Write the file whole or not at all; returns the SHA-256 of its bytes."""
        about = json.dumps({"format": _FORMAT, "class_names": self.class_names})
        with whole(path) as unfinished:
            parquet.write_table(
                self.table.replace_schema_metadata({_METADATA: about}),
                unfinished,
                row_group_size=_ROWS_AT_ONCE,
                compression="zstd",
                use_dictionary=["split"],
                use_compliant_nested_type=True,  # which names the column below
                # The first bytes of probabilities are alike, the last ones are noise.
                column_encoding={"scores.list.element": "BYTE_STREAM_SPLIT"},
            )
        return file_hash(path)

    @classmethod
    def read(cls, path: Path) -> "ClipScores":
        """Read a file that may come from anyone.

        Raises:
            UserError: If it is none, or its rows contradict each other.
        """
        try:
            with parquet.ParquetFile(path) as file:
                about = json.loads((file.schema_arrow.metadata or {})[_METADATA])
                if file.schema_arrow.remove_metadata() != SCHEMA or about["format"] != _FORMAT:
                    raise ValueError("it has other columns, or is of another format")
            table = read_bounded(path, ("video_id", "split")).replace_schema_metadata(None).cast(SCHEMA)
            table.validate(full=True)
            held = cls(tuple(map(str, about["class_names"])), table)
            problem = next(_contradictions(held), None)
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, OverflowError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0].encode("unicode_escape").decode()
            raise UserError(f"{path} holds no scores of clips, or is damaged ({reason[:300]})") from error
        if problem:
            raise UserError(f"the scores of clips in {path} cannot be right: {problem}")
        return held


def _table(split: Split, said: Said) -> pa.Table:
    videos, size = len(said.video_ids), int(np.prod(said.scores.shape[1:]))
    flat = pa.array(np.ascontiguousarray(said.scores, np.float32).reshape(-1))
    offsets = pa.array(np.arange(videos + 1, dtype=np.int32) * size)
    columns = {
        "video_id": said.video_ids,
        "split": [split] * videos,
        "labels": [np.flatnonzero(row).tolist() for row in said.labels],
        "scores": pa.ListArray.from_arrays(offsets, flat),
    }
    return pa.table(columns, schema=SCHEMA)


def _contradictions(held: ClipScores) -> Iterator[str]:
    """What is wrong with it; each check relies on the ones before it."""
    table, classes = held.table, len(held.class_names)
    if classes < 1 or len(set(held.class_names)) != classes:
        yield "it has no classes, or two of one name"
    for field in SCHEMA:
        column = table[field.name]
        is_list = pa.types.is_list(field.type)
        if column.null_count or (is_list and any(chunk.flatten().null_count for chunk in column.chunks)):
            yield f"a row lacks something of its {field.name}"
    if not set(pc.unique(table["split"]).to_pylist()) <= set(SPLITS):
        yield "a split is neither test nor validation"
    labels = pc.list_flatten(table["labels"])
    if len(labels) and not (pc.min(labels).as_py() >= 0 and pc.max(labels).as_py() < classes):
        yield f"a label is not from 0 to {classes - 1}"
    for split in SPLITS:
        part = table.filter(pc.equal(table["split"], split))
        if len(pc.unique(part["video_id"])) != len(part):
            yield f"a {split} video is in it twice"
        sizes = pc.unique(pc.list_value_length(part["scores"])).to_pylist()
        if len(sizes) > 1 or any(size == 0 or size % classes for size in sizes):
            yield f"{split} videos have other numbers of clips, or a clip has not one score a class"
        for first in range(0, len(part), _ROWS_AT_ONCE):
            rows = part.slice(first, _ROWS_AT_ONCE)["scores"].combine_chunks().flatten().to_numpy().reshape(-1, classes)
            if not (np.isfinite(rows).all() and (rows >= 0).all() and (np.abs(rows.sum(1) - 1) < 1e-2).all()):
                yield "a clip's scores are no probabilities that add up to 1"


def denials(clips: ClipScores, ledger: Ledger) -> list[str]:
    """What a ledger denies of the scores of its clips, one clause each; empty if they are those it was made of."""
    if clips.class_names != ledger.info.class_names:
        return ["the scores of its clips are of other classes than its ledger"]
    said, rows = clips.said("test"), np.flatnonzero(ledger.scored)
    names = [ledger.video_ids[row] for row in rows]
    if said.video_ids != names:
        return ["the scores of its clips are of other videos than its ledger's"]
    if not names:
        return []
    if said.scores.shape[1] != ledger.info.protocol.clips_per_video:
        return [f"it has scores of {said.scores.shape[1]} clips a video, and its protocol has another number"]
    found = []
    if (said.labels != ledger.labels[rows]).any():
        found.append("the scores of its clips have other labels than its ledger")
    if np.abs(said.video_scores - ledger.scores[rows]).max() > _TOLERANCE:
        found.append("the mean of the scores of its clips is not what its ledger says of a video")
    if ledger.has_clips and (clip_ranks(said) != ledger.clip_ranks).any():
        found.append("the ranks in its ledger are not those of the scores of its clips")
    return found


def clips_beside(path: Path, ledger: Ledger) -> ClipScores | None:
    """What was said of a ledger's clips, from the file beside it; None where there is none.

    Args:
        path: Of the ledger.
        ledger: Read from it.

    Raises:
        UserError: If the file is damaged, or of another ledger.
    """
    file = path.with_name(FILE_NAME)
    if not file.is_file():
        return None
    clips = ClipScores.read(file)
    if found := denials(clips, ledger):
        raise UserError(f"{file} does not belong to {path}: {'; '.join(found)}")
    return clips


def clip_ranks(said: Said) -> np.ndarray:
    """(V, C) int64: rank of the best true label of each clip, as a ledger holds it."""
    videos, clips, classes = said.scores.shape
    flat, truth = said.scores.reshape(-1, classes), np.repeat(said.labels, clips, 0)
    return ranks(flat, truth).reshape(videos, clips)


def first_clips(ledger: Ledger, clips: ClipScores, count: int) -> Ledger:
    """The ledger of a test with fewer clips a video: clips are numbered, so that a shorter test has the first of these.

    Args:
        ledger: Of the whole test.
        clips: Its clips.
        count: Clips of each video, 1 to those of the protocol.
    """
    means = iter(mean_of_clips(clips.said("test").scores[:, :count]))
    rows: list[dict[str, Any]] = ledger.table.to_pylist()
    for row in rows:
        if row["status"] == "scored":
            row["scores"] = next(means)
            row["clip_starts"] = row["clip_starts"][:count]
            row["clip_ranks"] = row["clip_ranks"] and row["clip_ranks"][:count]
    protocol = dataclasses.replace(ledger.info.protocol, clips_per_video=count)
    return Ledger(dataclasses.replace(ledger.info, protocol=protocol), pa.Table.from_pylist(rows, LEDGER_SCHEMA))
