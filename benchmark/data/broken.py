"""What opening the videos of an index tells before a run: files that cannot be read, classes that cannot be learned."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmark.data.decode import DecodeError, DecoderName, open_video
from benchmark.data.found import listed
from benchmark.data.index import VideoIndex
from benchmark.errors import printable
from benchmark.wording import counted

_NAMED = 5


def find_broken(index: VideoIndex, decoder: DecoderName, most: int = 20_000) -> dict[str, str] | None:
    """Videos held that cannot be opened, with the reason; None if there are more than `most` to open."""
    rows = np.flatnonzero(index.table["path"].is_valid().to_numpy())
    if len(rows) > most:
        return None

    def reason(row: int) -> tuple[str, str | None]:
        video = index.video(row)
        try:
            with open_video(video.path, decoder):
                return video.video_id, None
        except DecodeError as error:
            return video.video_id, str(error)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return {video_id: why for video_id, why in pool.map(reason, rows.tolist()) if why is not None}


def unlearnable_classes(index: VideoIndex, broken: Collection[str]) -> list[str]:
    """Classes without a training video that can be read, in the index's order; none where nothing is to train on.

    Args:
        index: The videos.
        broken: Names of those that cannot be read; those that are not there count, too.
    """
    rows = index.table.take(index.rows("train"))
    if not len(rows):
        return []
    is_broken = pc.is_in(rows["video_id"], pa.array(list(broken), pa.string()))
    can_be_read = pc.and_not(pc.is_valid(rows["path"]), is_broken)
    learned = set(pc.list_flatten(rows["labels"].filter(can_be_read)).to_pylist())
    return [name for number, name in enumerate(index.class_names) if number not in learned]


def what_was_found(index: VideoIndex, decoder: DecoderName) -> str:
    """The index's line with the files that cannot be opened, then a line for classes that cannot be learned."""
    broken = find_broken(index, decoder)
    said = "too many to open each one beforehand" if broken is None else f"{len(broken)} broken"
    lines = [f"{index.summary()}; {said}"]
    named = list((broken or {}).items())[:_NAMED]
    lines += [f"  broken: {printable(f'{video} ({reason})')}" for video, reason in named]
    if classes := unlearnable_classes(index, broken or {}):
        have = counted(len(classes), "class has", "classes have")
        lines.append(f"warning: {have} no training video that can be read, and cannot be learned: {listed(classes)}")
    return "\n".join(lines)
