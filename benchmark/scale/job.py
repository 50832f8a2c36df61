"""One shard: its videos decoded once, their clips, contents and hashes written, whole or not at all.

A plain function of its arguments, so that a process here, or a task of Ray on another machine, does the same.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.content import WORDS
from benchmark.data.decode import DecodeError, OpenVideo, open_video
from benchmark.data.fingerprint import fingerprint_of, frame_words
from benchmark.data.sampling import ClipPlan
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.protocol import Protocol
from benchmark.scale.manifest import State
from benchmark.scale.near import FRAMES
from benchmark.scale.pictures import Format, square_of, unpacked_square
from benchmark.scale.scratch import scratch
from benchmark.scale.shards import Layout, Place, ShardWriter
from benchmark.scale.store import Store

_SECONDS_OFF, _SHARE_OFF = 2.0, 0.05  # by which a video may last longer or shorter than its source says

SIDECAR = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("failure", pa.string()),  # why it cannot be read; null where it can
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("index_offset", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("digest", pa.int64(), nullable=False),  # see `benchmark.content.Contents`
        pa.field("prints", pa.binary(8 * WORDS), nullable=False),
        pa.field("hashes", pa.binary(8 * FRAMES), nullable=False),  # of frames spread over the clips
        pa.field("state", pa.string()),  # what `failure` comes to; null where there is none, and in older stores
    ]
)
"""What a shard says of its videos, in a file beside it that is written last."""


def shard_name(number: int) -> str:
    """Name of a shard's file in the store."""
    return f"shards/{number:06d}.shard"


def sidecar_name(number: int) -> str:
    """Name of the file beside it."""
    return f"shards/{number:06d}.parquet"


class WantedVideo(NamedTuple):
    """A video to decode.

    Attributes:
        video_id: Its name.
        path: The file.
        clips: How many of its clips are kept.
        seconds: How long it lasts as its source says, if it does.
    """

    video_id: str
    path: str
    clips: int
    seconds: float | None


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """All that a shard is made of.

    Args:
        store: Where it goes.
        number: Of the shard.
        form: How frames are kept.
        protocol: Where clips lie, and how large frames are.
        videos: Its videos that are there, in order.
    """

    store: Store
    number: int
    form: Format
    protocol: Protocol
    videos: tuple[WantedVideo, ...]


class ShardResult(NamedTuple):
    """What came of a shard.

    Attributes:
        number: Of the shard.
        outcomes: Videos that are not in it, with state and reason.
        size: Bytes of its file.
        clips: That it holds.
    """

    number: int
    outcomes: list[tuple[str, State, str]]
    size: int
    clips: int


class _WrongDurationError(DecodeError):
    """It lasts longer or shorter than its source says."""


def make_shard(job: ShardJob) -> ShardResult:
    """Decode, write, and say what came of it.

    Raises:
        UserError: If the store takes nothing, or a video cannot be read that was fetched.
    """
    outcomes: list[tuple[str, State, str]] = []
    rows = []
    with scratch() as folder:
        file = folder / "shard"
        with ShardWriter(file, job.form) as writer:
            for video in job.videos:
                row = _unread(video)
                try:
                    row |= _written(job, video, writer)
                except DecodeError as error:
                    _digest(video.path)  # refuses a file that is gone by now, which says nothing of the video
                    state: State = "wrong duration" if isinstance(error, _WrongDurationError) else "undecodable"
                    outcomes.append((video.video_id, state, str(error)))
                    row |= {"failure": str(error), "state": state}
                rows.append(row)
            digest = writer.sha256()
        size = file.stat().st_size
        if size:
            job.store.write(shard_name(job.number), file)
        beside = folder / "sidecar"
        table = pa.Table.from_pylist(rows, SIDECAR).replace_schema_metadata({"sha256": digest, "bytes": str(size)})
        pq.write_table(table, beside, compression="zstd")
        job.store.write(sidecar_name(job.number), beside)
    failed = {name for name, _, _ in outcomes}
    clips = sum(video.clips for video in job.videos if video.video_id not in failed)
    return ShardResult(job.number, outcomes, size, clips)


def _unread(video: WantedVideo) -> dict[str, object]:
    return {
        "video_id": video.video_id, "failure": None, "frames": 0, "offset": 0, "index_offset": 0, "end": 0,
        "digest": _digest(video.path), "prints": bytes(8 * WORDS), "hashes": bytes(8 * FRAMES), "state": None,
    }  # fmt: skip


def _digest(path: str) -> int:
    """As `Contents` has it; 0 where the file is empty.

    Raises:
        UserError: If it is not there or cannot be read.
    """
    try:
        if not Path(path).stat().st_size:
            return 0
        return int.from_bytes(bytes.fromhex(file_hash(Path(path)))[:8], "little", signed=True)
    except OSError as error:
        raise UserError(
            f"{path} was fetched and cannot be read now ({error.strerror}); all machines of --ray must see the folders "
            "of --work and --source. Run the same command again to go on"
        ) from None


def _written(job: ShardJob, video: WantedVideo, writer: ShardWriter) -> dict[str, object]:
    hashes = np.zeros(FRAMES, "<u8")
    with open_video(Path(video.path)) as opened:
        _require_duration(opened, video.seconds)
        layout = Layout.of(ClipPlan(job.protocol, video.video_id, opened.frames), video.clips, job.form)
        hashed = np.unique((np.arange(FRAMES) + 0.5) * len(layout.numbers) // FRAMES, return_index=True)

        def squares() -> Iterator[np.ndarray]:
            place_of = dict(zip(hashed[0].astype(int).tolist(), hashed[1].tolist(), strict=True))
            for place, (_, picture) in enumerate(opened.read(layout.numbers.tolist())):
                square = square_of(picture, job.protocol.frame_side)
                if place in place_of:
                    hashes[place_of[place]] = frame_words(unpacked_square(square))[0]
                yield square

        placed: Place = writer.add(layout, squares())
        frames = opened.frames
    prints = fingerprint_of(Path(video.path))
    return {
        "frames": frames,
        **placed._asdict(),
        "prints": bytes(8 * WORDS) if prints is None else prints.astype("<u8").tobytes(),
        "hashes": hashes.tobytes(),
    }


def _require_duration(opened: OpenVideo, said: float | None) -> None:
    if said is None:
        return
    shown = opened.shown_seconds()
    lasts = float(shown[-1] + (np.median(np.diff(shown)) if len(shown) > 1 else 0.0))
    if abs(lasts - said) > max(_SECONDS_OFF, _SHARE_OFF * said):
        raise _WrongDurationError(f"it lasts {lasts:.1f} s and not {said:.1f} s, as its source says")
