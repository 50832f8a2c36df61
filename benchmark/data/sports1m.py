"""Sports-1M: a million YouTube videos of 487 sports (section 4.1), read into one Arrow table without a Python row.

The official package gives a training and a test list. Validation is held out of the training list by a hash of the
video's id, so that it is the same on every machine and whichever of the videos can still be had.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import SCHEMA, VideoIndex
from benchmark.data.sports1m_lists import ID_BYTES, SPLITS, listed_videos
from benchmark.errors import DatasetNotFoundError
from benchmark.identity import Identity
from benchmark.wording import counted

SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov")
"""File endings looked for; where a video is there twice, the earlier ending wins."""

PAPER_SHARES = "the paper's split is 70% train, 10% validation, 20% test"


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
                if len(name) == ID_BYTES + len(suffix) and name.lower().endswith(suffix):
                    files.setdefault(name[:ID_BYTES], prefix + name)
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
    class_names, table = listed_videos(root if lists is None else lists, validation_share, split_seed)
    found = find_videos(root)
    matches = pc.index_in(table["video_id"].combine_chunks(), value_set=found["video_id"].combine_chunks())
    paths = found["path"].combine_chunks().take(matches)
    table = table.set_column(SCHEMA.get_field_index("path"), SCHEMA.field("path"), paths)
    return VideoIndex(Identity("Sports-1M"), root, table, class_names, official_videos=table.num_rows)


def describe_shares(index: VideoIndex) -> str:
    """One line: how the listed videos fall into the splits, present or not, beside the paper's shares."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(index.table["split"].cast("string")).to_pylist()}
    shares = ", ".join(f"{counts.get(name, 0):,} {name} ({counts.get(name, 0) / len(index):.1%})" for name in SPLITS)
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
