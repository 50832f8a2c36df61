"""The pinned videos: small odd files whose clips and frames belong to the protocol's version.

Their clips are read as those of any test, and compared with what they were when the version was made. Letters: n clips
that begin at different frames, T frames, P pixels.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch

from benchmark.clip import cut_view
from benchmark.data.dataset import ClipReader
from benchmark.data.decode import DecodeError, DecoderName
from benchmark.data.index import Video
from benchmark.protocol import Protocol

FOLDER = Path(__file__).parent / "pinned"
REFERENCE = FOLDER / "reference.npz"
OFFSETS = (0, 15)
VIEW_SIDE = 178
SCORED_CLIPS = 2
"""Clips of each video, from the first, that the pinned network scores."""

COUNTING_FRAMES, COUNTING_SECONDS = Protocol(), Protocol(clip_seconds=0.5)
TIMED = (
    "b_frames.mp4", "edit_list.mp4", "mpeg4_b.avi", "packed.avi", "rate_15.mp4", "rate_60.mp4", "starts_late.mkv",
    "variable_rate.mkv", "variable_rate.mp4",
)  # fmt: skip
"""Videos that are read by a protocol that counts seconds too."""

_SECONDS = ", seconds"
_PIXELS = 48
_LARGEST = 255


@dataclasses.dataclass(frozen=True)
class PinnedVideo:
    """What a protocol makes of a pinned video.

    Args:
        name: File, and `, seconds` where the protocol counts them.
        starts: (clips_per_video,) int64, first frame of each clip; empty if the video could not be read.
        frames: (n, T, 200, 200, 3) uint8 RGB, the clips that begin at different frames, by their start.
        scored: (SCORED_CLIPS, T, 200, 200, 3) uint8 RGB, the first clips; zeros if the video could not be read.
    """

    name: str
    starts: np.ndarray
    frames: np.ndarray
    scored: np.ndarray

    @property
    def counts_seconds(self) -> bool:
        """Which of the two protocols read it."""
        return self.name.endswith(_SECONDS)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the starts, of every frame, and of the four views of the first clip."""
        digest = hashlib.sha256(self.starts.astype(np.int64).tobytes())
        digest.update(self.frames.data)
        first = torch.from_numpy(self.frames[:1])
        for view in COUNTING_FRAMES.views:
            digest.update(cut_view(first, view, VIEW_SIDE).contiguous().numpy().data)
        return digest.digest()

    @property
    def pixels(self) -> np.ndarray:
        """(n, T, P, 3) uint8: some pixels of every frame, in other places in each."""
        rng = np.random.RandomState([2014, *self.name.encode()])  # whose numbers stay what they are in any NumPy
        clips, frames = np.arange(len(self.frames))[:, None, None], np.arange(self.frames.shape[1])[:, None]
        rows, columns = rng.randint(self.frames.shape[2], size=(2, *self.frames.shape[:2], _PIXELS))
        found: np.ndarray = self.frames[clips, frames, rows, columns]
        return found


def video_files() -> list[Path]:
    """The files, by name."""
    return sorted(path for path in FOLDER.iterdir() if path.suffix in {".avi", ".mkv", ".mp4", ".webm"})


def pinned_videos(decoder: DecoderName) -> Iterator[PinnedVideo]:
    """Every pinned video as a test reads it; first all by the protocol that counts frames."""
    for protocol, ending in ((COUNTING_FRAMES, ""), (COUNTING_SECONDS, _SECONDS)):
        reader = ClipReader(protocol, OFFSETS, decoder)
        for path in video_files():
            if ending and path.name not in TIMED:
                continue
            try:
                sample = reader.read(Video(0, path.name, path, ()), range(protocol.clips_per_video))
            except DecodeError:
                side = protocol.frame_side
                black = np.zeros((SCORED_CLIPS, len(OFFSETS), side, side, 3), np.uint8)
                yield PinnedVideo(path.name + ending, np.empty(0, np.int64), black[:0], black)
                continue
            starts = np.array(sample.starts)
            distinct = np.unique(starts, return_index=True)[1]
            yield PinnedVideo(path.name + ending, starts, sample.frames[distinct], sample.frames[:SCORED_CLIPS])


@dataclasses.dataclass(frozen=True)
class Reference:
    """What the protocol's version says of the pinned videos, V of them, with K probabilities.

    Args:
        names: V names, as `PinnedVideo` has them.
        digests: (V, 32) uint8.
        starts: (V, clips_per_video) int64.
        clips: (V,) int64, n of each video.
        pixels: (sum of n, T, P, 3) uint8.
        probabilities: (videos by the protocol that counts frames, SCORED_CLIPS, K) float32.
    """

    names: np.ndarray
    digests: np.ndarray
    starts: np.ndarray
    clips: np.ndarray
    pixels: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of(cls, videos: Sequence[PinnedVideo], probabilities: np.ndarray) -> Self:
        """What is true now."""
        return cls(
            names=np.array([video.name for video in videos]),
            digests=np.stack([np.frombuffer(video.digest, np.uint8) for video in videos]),
            starts=np.stack([video.starts for video in videos]),
            clips=np.array([len(video.frames) for video in videos]),
            pixels=np.concatenate([video.pixels for video in videos]),
            probabilities=probabilities,
        )

    def write(self, path: Path = REFERENCE) -> None:
        """Leave the file."""
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    @classmethod
    @functools.cache
    def read(cls) -> Self:
        """The committed one."""
        with np.load(REFERENCE, allow_pickle=False) as file:
            return cls(**file)

    @property
    def digest(self) -> str:
        """SHA-256 of what is in it and of the videos, the same however the file was written."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)).tobytes())
        for path in video_files():
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def deviation(self, video: PinnedVideo) -> tuple[float, int]:
        """Largest mean difference of a frame's values, and largest difference of one; 255 where nothing compares."""
        row = int(np.flatnonzero(self.names == video.name)[0])
        if not np.array_equal(video.starts, self.starts[row]):
            return _LARGEST, _LARGEST
        if video.digest == self.digests[row].tobytes():
            return 0.0, 0
        first = int(self.clips[:row].sum())
        pinned = self.pixels[first : first + len(video.frames)]
        away = np.abs(video.pixels.astype(np.int16) - pinned)
        # What differs may lie between the pixels that are kept.
        return max(float(away.mean((2, 3)).max()), 1 / away[0, 0].size), max(int(away.max()), 1)
