"""Lists the videos of a dataset that show the same, with a picture of each pair if wanted."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from benchmark.command_line import Parser
from benchmark.commands.chosen_data import add_data, words_of_data
from benchmark.commands.text import aligned
from benchmark.content import Pairs, shared
from benchmark.data.content_store import MOST_VIDEOS, RECORD
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import VideoIndex
from benchmark.errors import printable
from benchmark.results.csv_cells import plain_cell
from benchmark.runs.folder import require_writable
from benchmark.scale.near import FRAMES, LEAST_FRAMES, NearPairs
from benchmark.scale.sports1m_shards import Sports1MShards
from benchmark.wording import counted

COLUMNS = ("first", "second", "kind", "difference", "first_split", "second_split", "first_labels", "second_labels",
           "same_source_group")  # fmt: skip

_SHOWN = 20
_SIDE = 112  # pixels of a frame in a picture


def main(argv: Sequence[str]) -> int:
    """Run `audit --data NAME [options]` and return the exit code: 0 also where pairs were found."""
    parser = Parser(prog="clipbench audit", description="List the videos of a dataset that show the same.")
    add_data(parser)
    parser.add_argument("--output", type=Path, default=Path("audit.csv"), help="Table to write.")
    parser.add_argument("--pictures", type=Path | None, default=None, help="Folder for a picture of each pair.")
    parser.add_argument("--most_pictures", type=int, default=200, help="Most pictures to write, the most alike first.")
    options = parser.parse_args(words_of_data(argv)[0])
    for folder, option in ((options.output.parent, "--output"), (options.pictures, "--pictures")):
        if folder is not None:
            require_writable(folder, option)
    data: VideoDataModule = parser.instantiate(options).data
    index = data.index
    rows = np.flatnonzero(index.table["path"].is_valid().to_numpy())
    is_store = isinstance(data, Sports1MShards)
    # All pairs of a million videos take hours; of a store frames are known that can be sorted.
    contents = data.contents_of(rows, most=MOST_VIDEOS if is_store else None)
    pairs = shared(contents)
    print(index.summary())
    print(
        f"compared {int((contents.digests != 0).sum()):,} of {counted(len(rows), 'video')} by their bytes and "
        f"{int(contents.has_print.sum()):,} by three frames; {RECORD.itemsize} bytes a video are kept for later"
    )
    lines = list(_lines(index, rows, pairs))
    if isinstance(data, Sports1MShards):
        pairs, others = _with_near(pairs, data.near_duplicates(rows))
        lines += list(_lines(index, rows, others, "shares frames"))
        _show_near(others, index, rows)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *([plain_cell(cell) for cell in line] for line in lines)])
    _show(lines)
    print(f"wrote {options.output}")
    if options.pictures is not None:
        order = np.argsort(pairs.difference, kind="stable")[: options.most_pictures]
        for number, place in enumerate(order.tolist(), start=1):
            _write_picture(options.pictures / f"{number:04d}.jpg", data, rows, pairs, place)
        print(f"wrote {counted(len(order), 'picture')} to {options.pictures}")
    return 0


def _with_near(pairs: Pairs, near: NearPairs) -> tuple[Pairs, Pairs]:
    """All pairs, and those alone that share frames and are not known otherwise."""
    known = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    is_new = np.array([pair not in known for pair in zip(near.first.tolist(), near.second.tolist(), strict=True)], bool)
    share = 1 - near.frames[is_new] / FRAMES
    others = Pairs(near.first[is_new], near.second[is_new], share, np.zeros(len(share), bool))
    columns = ("first", "second", "difference", "same_bytes")
    return Pairs(*(np.concatenate([getattr(pairs, name), getattr(others, name)]) for name in columns)), others


def _show_near(near: Pairs, index: VideoIndex, rows: np.ndarray) -> None:
    splits = index.table["split"].cast(pa.string()).take(pa.array(rows)).to_numpy(zero_copy_only=False)
    across = splits[near.first] != splits[near.second]
    videos = len(np.unique(np.concatenate([near.first[across], near.second[across]])))
    print(
        f"{counted(len(near), 'more pair shares', 'more pairs share')} at least {LEAST_FRAMES} of {FRAMES} frames; "
        f"{int(across.sum()):,} are on two sides of the split, {videos:,} of {counted(len(rows), 'video')} "
        "(the paper counts 1,755 of a million with near-duplicate frames)"
    )


def _lines(
    index: VideoIndex, rows: np.ndarray, pairs: Pairs, kind: str = "looks the same"
) -> Iterator[tuple[str, ...]]:
    """A row of the table a pair."""
    table = index.table
    for one, other, difference, is_file in zip(
        pairs.first.tolist(), pairs.second.tolist(), pairs.difference.tolist(), pairs.same_bytes.tolist(), strict=True
    ):
        places = [int(rows[one]), int(rows[other])]
        names, splits, groups = (
            [table[column][place].as_py() for place in places] for column in ("video_id", "split", "source_group")
        )
        labels = ["|".join(index.class_names[n] for n in table["labels"][place].as_py()) for place in places]
        same_group = "unknown" if None in groups else "yes" if groups[0] == groups[1] else "no"
        yield (*names, "same file" if is_file else kind, f"{difference:.3f}", *splits, *labels, same_group)


def _show(lines: Sequence[tuple[str, ...]]) -> None:
    across = [line for line in lines if line[4] != line[5]]
    other_labels = sum(line[6] != line[7] for line in lines)
    same = sum(line[2] == "same file" for line in lines)
    print(
        f"{counted(len(lines), 'pair shows', 'pairs show')} the same, {same:,} of "
        f"them the same file; {len(across):,} are on two sides of the "
        f"split, {sum(line[8] == 'no' for line in lines):,} in two source groups, {other_labels:,} have other labels"
    )
    shown = sorted(lines, key=lambda line: (line[4] == line[5], line[8] != "no", float(line[3])))[:_SHOWN]
    if shown:
        print(aligned(("first", "second", "kind", "splits"), [(*line[:3], f"{line[4]}, {line[5]}") for line in shown]))
    if len(lines) > len(shown):
        print(f"and {len(lines) - len(shown):,} more")


def _write_picture(file: Path, data: VideoDataModule, rows: np.ndarray, pairs: Pairs, place: int) -> None:
    """Frames of both videos, one under the other, with their names."""
    strips = []
    for row in (int(rows[pairs.first[place]]), int(rows[pairs.second[place]])):
        video_id = data.index.video(row).video_id
        strip = _strip(data.shown_frames(video_id))
        name = np.full((24, strip.shape[1], 3), 255, np.uint8)
        shown = printable(video_id).encode("ascii", "replace").decode()[-60:]
        cv2.putText(name, shown, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        strips += [name, strip]
    encoded = cv2.imencode(".jpg", np.concatenate(strips))[1]
    file.write_bytes(encoded.tobytes())


def _strip(frames: np.ndarray | None) -> np.ndarray:
    """(S, 5 S, 3) uint8 BGR of (5, S, S, 3) RGB; grey where there are none."""
    if frames is None:
        return np.full((_SIDE, _SIDE * 5, 3), 128, np.uint8)
    return np.concatenate(list(frames[..., ::-1]), 1)
