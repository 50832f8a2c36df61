"""Which frames a clip covers: numbers in, integers out; nothing here touches a file.

A clip's position is a function of (sampler seed, video id, clip number) and the video's length alone, so every
strategy, worker, machine and epoch sees the same clips. An epoch only chooses which clip numbers are visited, in
which order.

    video of 40 frames, clip of 16:   start = floor(u * 25),  u in [0, 1) drawn from the hash
    |----------------[################]-------|

A protocol that counts seconds draws the start alike, among the frames from which a whole clip is left, and reads the
frames that are shown at evenly spaced moments from there.
"""

import dataclasses
import functools
import math

import numpy as np

from benchmark.protocol import Protocol, clip_draw

_ROUNDING = 0.001  # seconds; what containers round times to


@dataclasses.dataclass(frozen=True)
class ClipPlan:
    """Where the clips of one video lie, and which of its frames they read.

    Args:
        protocol: Length of a clip and sampler seed.
        video_id: Name of the video within its dataset.
        frames: Frames of the video.
        seconds: (frames,) ascending float64, when each is shown; needed where the protocol counts seconds.
        starts: First frame of each clip; none where they are drawn.
    """

    protocol: Protocol
    video_id: str
    frames: int
    seconds: np.ndarray | None = None
    starts: tuple[int, ...] = ()

    def start(self, clip: int) -> int:
        """First source frame of a clip."""
        protocol = self.protocol
        if self.starts:
            return self.starts[clip]
        if protocol.clip_seconds is None:
            return clip_start(protocol.sampler_seed, self.video_id, clip, self.frames, protocol.clip_frames)
        left = self._end - self._shown + _ROUNDING >= protocol.clip_seconds
        return clip_start(protocol.sampler_seed, self.video_id, clip, int(left.sum()), 1)

    def numbers(self, start: int, offsets: tuple[int, ...]) -> list[int]:
        """Source frames that a clip reads at offsets from 0 to below the protocol's `clip_frames`."""
        protocol = self.protocol
        if protocol.clip_seconds is None:
            return frame_numbers(start, offsets, self.frames)
        moments = self._shown[start] + np.array(offsets) * (protocol.clip_seconds / protocol.clip_frames)
        found: list[int] = (np.searchsorted(self._shown, moments + _ROUNDING, "right") - 1).tolist()
        return found

    @property
    def is_short(self) -> bool:
        """Whether the video is shorter than a clip, so that its last frame is repeated."""
        if self.protocol.clip_seconds is None:
            return self.frames < self.protocol.clip_frames
        return bool(self._end - self._shown[0] + _ROUNDING < self.protocol.clip_seconds)

    @functools.cached_property
    def _shown(self) -> np.ndarray:
        if self.seconds is None:
            raise ValueError("the protocol counts seconds; say when the frames are shown")
        return self.seconds

    @functools.cached_property
    def _end(self) -> float:
        """When the last frame ends: it is shown as long as most are."""
        return float(self._shown[-1] + (np.median(np.diff(self._shown)) if self.frames > 1 else 0.0))


def clip_start(sampler_seed: int, video_id: str, clip: int, video_frames: int, clip_frames: int) -> int:
    """First source frame of a clip.

    Args:
        sampler_seed: Seed of the protocol, apart from the training seed.
        video_id: Name of the video within its dataset.
        clip: Number of the clip within the video, from 0.
        video_frames: Frames of the video.
        clip_frames: Consecutive frames of a clip (section 4: half a second).

    Returns:
        A start from 0 to `max(video_frames - clip_frames, 0)`, each equally likely over hashes.
    """
    return (clip_draw(sampler_seed, video_id, clip) * (max(video_frames - clip_frames, 0) + 1)) >> 64


def frame_numbers(start: int, offsets: tuple[int, ...], video_frames: int) -> list[int]:
    """Source frames read at `offsets` after `start`; past the end of the video its last frame is repeated."""
    return [min(start + offset, video_frames - 1) for offset in offsets]


def visited_clips(seed: int, epoch: int, videos: int, clips_per_video: int, clips_per_epoch: int) -> np.ndarray:
    """Clip numbers that an epoch visits in each video, (videos, clips_per_epoch) int64.

    Each video walks through all its clip numbers, in an order of its own, before any comes again.
    """
    rng = np.random.default_rng([seed, 0])
    coprime = np.array([a for a in range(1, clips_per_video + 1) if math.gcd(a, clips_per_video) == 1])
    step = coprime[rng.integers(len(coprime), size=(videos, 1))]
    first = rng.integers(clips_per_video, size=(videos, 1))
    turn = epoch * clips_per_epoch + np.arange(clips_per_epoch)
    visited: np.ndarray = (first + step * (turn % clips_per_video)) % clips_per_video
    return visited


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A permutation of `count` positions for one epoch, (count,) int64."""
    return np.random.default_rng([seed, 1, epoch]).permutation(count)
