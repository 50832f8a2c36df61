"""Shows a network videos that it cannot know by name, size, time, place or order, with changed copies among them."""

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.data.blinded import BlindedVideo, BlindedVideos, write_blinded
from benchmark.data.decode import DecodeError, open_video
from benchmark.data.disguise import Change, changed_copy, plain_copy
from benchmark.data.index import Video
from benchmark.data.sampling import ClipPlan
from benchmark.protocol import Protocol
from benchmark.results.ledger import Ledger

Kind = Literal["video", "copy", "repeat"]

_SHARED = ("clips_per_video", "test_views", "sampler_seed", "clip_seconds", "decoder")
_CUTS, _FIRST, _QUALITIES = (0.01, 0.04), (1, 8), (18, 26)
_JITTER = 3  # frames


@dataclasses.dataclass(frozen=True)
class Shown:
    """A file as a network sees it.

    Args:
        kind: The video itself, a changed copy, or the video once more.
        place: Of the video in the sample.
        file: Where it is.
        starts: First frame of each clip; none for whole videos.
    """

    kind: Kind
    place: int
    file: Path
    starts: tuple[int, ...]


def clip_starts(video: Video, protocol: Protocol) -> tuple[int, ...]:
    """Where the protocol has the clips of a video begin.

    Raises:
        DecodeError: If it cannot be read.
    """
    with open_video(video.path) as opened:
        counts = protocol.clip_seconds is None
        name, seconds = video.sampled_as or video.video_id, None if counts else opened.shown_seconds()
        plan = ClipPlan(protocol, name, opened.frames, seconds)
        return tuple(plan.start(clip) for clip in range(protocol.clips_per_video))


class Blinding:
    """Files of a sample of videos under random names.

    Args:
        folder: Where they are made.
        rng: Draws names and changes.
    """

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder, self.rng = folder, rng
        folder.mkdir(parents=True)

    def _name(self, suffix: str) -> Path:
        return self.folder / f"{self.rng.bytes(8).hex()}{suffix}"

    def video(self, place: int, source: Path, starts: Sequence[int]) -> Shown:
        """The video itself, where its container allows of another size."""
        target = self._name(source.suffix.lower())
        plain_copy(source, target, int(self.rng.integers(8, 40_000)))
        return Shown("video", place, target, tuple(starts))

    def copy(self, place: int, source: Path, starts: Sequence[int]) -> Shown | None:
        """A changed copy whose clips begin within a few frames of the video's; None if it cannot be encoded."""
        draw, target = self.rng, self._name(".mp4")
        change = Change(
            float(draw.uniform(*_CUTS)), int(draw.integers(*_FIRST, endpoint=True)), int(draw.integers(*_QUALITIES))
        )
        try:
            left_out = changed_copy(source, target, change)
            with open_video(target) as opened:
                frames = opened.frames
        except DecodeError:
            return None
        moved = np.array(starts, np.int64) - left_out + draw.integers(-_JITTER, _JITTER, len(starts), endpoint=True)
        # The last start of the video is where its last whole clip begins.
        last = max(0, min(frames - 1, max(starts, default=0) - left_out))
        return Shown("copy", place, target, tuple(np.clip(moved, 0, last).tolist()))

    def shown(self, chosen: Sequence[Shown], repeated: Sequence[Shown], class_names: Sequence[str]) -> "Showing":
        """Videos and copies in random order, then some once more, each under a new name in a folder of its own."""
        parts = [
            [chosen[n] for n in self.rng.permutation(len(chosen))],
            [dataclasses.replace(repeated[n], kind="repeat") for n in self.rng.permutation(len(repeated))],
        ]
        root = self._name("")
        root.mkdir()
        held: dict[str, Shown] = {}
        for one in (*parts[0], *parts[1]):
            target = root / f"{self.rng.bytes(8).hex()}{one.file.suffix}"
            if one.kind == "repeat":  # of another size again
                plain_copy(one.file, target, int(self.rng.integers(8, 40_000)))
            else:
                _link(one.file, target)
            held[target.name] = one
        write_blinded(root, class_names, [BlindedVideo(name, one.starts) for name, one in held.items()])
        return Showing(root, list(held.values()), [Path(name).stem for name in held])


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


@dataclasses.dataclass(frozen=True)
class Showing:
    """What one test is shown.

    Args:
        root: Folder of the files.
        files: In order.
        names: Of the files, which are all that the test's ledger knows.
    """

    root: Path
    files: list[Shown]
    names: list[str]

    def data_settings(self, recorded: Mapping[str, Any], batch_size: int, workers: int) -> dict[str, Any]:
        """The data of a test's configuration: of the recorded one only what decides the scores."""
        options = {name: recorded[name] for name in _SHARED if name in recorded}
        own = {"root": str(self.root.absolute()), "batch_size": batch_size, "num_workers": workers}
        path = f"{BlindedVideos.__module__}.{BlindedVideos.__qualname__}"
        return {"class_path": path, "init_args": {**options, **own}}

    def scores(self, ledger: Ledger, kind: Kind, sample: int) -> np.ndarray:
        """(sample, K) float32 class probabilities of one kind, NaN where there is none or the video failed."""
        rows = {name: row for row, name in enumerate(ledger.video_ids)}
        found = np.full((sample, len(ledger.info.class_names)), np.nan, np.float32)
        for name, one in zip(self.names, self.files, strict=True):
            if one.kind == kind:
                found[one.place] = ledger.scores[rows[name]]
        return found

    def places(self, kind: Kind) -> np.ndarray:
        """(n,) int64: places of the sample that are shown in one kind, ascending."""
        return np.array(sorted(one.place for one in self.files if one.kind == kind), np.int64)
