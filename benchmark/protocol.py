"""What makes two test results comparable, as plain frozen values with a stable hash.

The protocol fixes which clips of a video are scored, how a frame becomes a 200x200 picture, which views of it a
network sees and how scores are averaged. What belongs to one architecture (frame offsets, crop size, normalisation)
is not part of it. This module imports neither torch nor anything else of this package.
"""

import dataclasses
import hashlib
import json
import math
from typing import Literal

View = Literal["upper_left", "upper_left_flipped", "lower_right", "lower_right_flipped", "centre"]
"""A crop of the 200x200 frame at one of three places; `_flipped` mirrors it left to right."""

VERSION = 1
"""How pixels and scores are made today; changes with every pinned frame or probability."""

SECONDS_VERSION = 2
"""The same of protocols that count seconds, which changes alone where only their clips do.

2 knows when the last frame of an MPEG-4 .avi file with B-frames is shown.
"""

PINNED = {
    (1, 1): "2be0abbc4e4c9009cf6106c3d8dd71399cd61064ba9b555f46a4e297458e4a6f",
    (1, 2): "63d35a7f3a7e988964539a09ce750aeda6ecf4c9f82103018b49e534f6c1d8f0",
}
"""By both versions: digest of the pinned videos and of all that is made of them (`benchmark/data/pins.py`)."""

TEST_VIEWS: tuple[View, ...] = ("upper_left", "upper_left_flipped", "lower_right", "lower_right_flipped")


def clip_draw(sampler_seed: int, video_id: str, clip: int) -> int:
    """What decides where a clip begins: the same number for the same seed, video and clip, from 0 to below 2**64."""
    text = f"{sampler_seed}/{video_id}/{clip}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a video becomes scored clips.

    Args:
        clip_frames: Consecutive source frames of a clip (section 4: half a second; 16 frames, see README).
        frame_side: Side of the square, in pixels, to which the centre square of a frame is resized (section 3.3).
        sampler_seed: Seed of the clip positions; apart from the training seed, so that all runs score the same clips.
        clips_per_video: Clips scored in each video (section 4: 20).
        views: Crops and flips of each clip (section 4: 4).
        averaging: How scores are joined; the only rule is the mean of class probabilities, over the views of a clip
            first, then over the clips of a video.
        clip_seconds: How long a clip lasts at any frame rate; its `clip_frames` moments are spread evenly over that
            time, and each reads the frame that is shown then. None counts consecutive frames.
        version: Of the code that makes pixels and scores, 1 for results from before this was recorded.
        stored: What a store of prepared clips has done to the pixels, in words; None where they are those of the files.

    Raises:
        ValueError: If a count is below 1, a clip lasts no time, or no view is given.
    """

    clip_frames: int = 16
    frame_side: int = 200
    sampler_seed: int = 2014
    clips_per_video: int = 20
    views: tuple[View, ...] = TEST_VIEWS
    averaging: Literal["mean_probability"] = "mean_probability"
    clip_seconds: float | None = None
    version: int = 1
    stored: str | None = None

    def __post_init__(self) -> None:
        for name in ("clip_frames", "frame_side", "clips_per_video", "version"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"protocol.{name} is {value}; it must be 1 or more")
        if self.clip_seconds is not None and not 0 < self.clip_seconds < math.inf:
            raise ValueError(
                f"protocol.clip_seconds is {self.clip_seconds}; it must be above 0, or null to count frames"
            )
        if not self.views:
            raise ValueError(f"protocol.views is empty; name at least one of {', '.join(TEST_VIEWS)}, centre")

    def videos_per_batch(self, batch_size: int) -> int:
        """As many whole videos as make about `batch_size` clips, at least one."""
        return max(1, batch_size // self.clips_per_video)

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the fields as sorted JSON.

        Fields that came later are left out while they say what held before them: results keep their hash.
        """
        fields = dataclasses.asdict(self)
        for name, before in (("clip_seconds", None), ("version", 1), ("stored", None)):
            if fields[name] == before:
                del fields[name]
        text = json.dumps(fields, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
