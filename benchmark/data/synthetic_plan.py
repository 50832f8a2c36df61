"""Which videos SyntheticActions consists of: classes, source groups, labels, folds; no picture is drawn here.

Four groups of four classes, each of which asks one question of section 3 of the paper:

    appearance  any single frame tells the class
    motion      two pairs of classes, each the other played backwards: no single frame tells them apart
    detail      textures that halving the resolution destroys: only the fovea stream can tell them apart
    context     patterns around the centre: only the context stream can tell them apart

The four classes of a group share everything but what tells them apart: background, palette, camera path.
"""

import dataclasses
import re
from typing import Literal

import numpy as np

from benchmark.errors import UserError

Group = Literal["appearance", "motion", "detail", "context"]

GROUPS: tuple[Group, ...] = ("appearance", "motion", "detail", "context")

CLASSES: dict[str, Group] = {
    "Discs": "appearance",
    "Tiles": "appearance",
    "Stripes": "appearance",
    "Blobs": "appearance",
    "Expand": "motion",
    "Contract": "motion",
    "Rise": "motion",
    "Sink": "motion",
    "FineColumns": "detail",
    "FineRows": "detail",
    "FineColumnBricks": "detail",
    "FineRowBricks": "detail",
    "BorderColumns": "context",
    "BorderRows": "context",
    "BorderTiles": "context",
    "BorderRings": "context",
}
"""Class names in the order of their numbers, each with its group."""

FOLDS = (1, 2, 3)
CLIPS_PER_SOURCE_GROUP = 2
USUAL_SOURCE_GROUPS, MIN_SOURCE_GROUPS, MAX_SOURCE_GROUPS = 18, 3, 99
CAMERA_MOTION_SHARE = 0.2
_TWO_LABELS: tuple[tuple[Group, Group], ...] = (
    ("context", "appearance"),
    ("detail", "context"),
    ("appearance", "detail"),
)


def generation_seed_of(dataset: str) -> int | None:
    """The seed that the videos of a generated set were drawn from, by the set's name; None for other data."""
    found = re.fullmatch(r"SyntheticActions-v\d+(?:-seed(\d+)-g\d+)?", dataset)
    return None if found is None else int(found[1] or 0)


@dataclasses.dataclass(frozen=True)
class PlannedVideo:
    """One video of the set.

    Args:
        video_id: Class, source group and clip, "v_Expand_g03_c02".
        classes: One or two class names; the first one names the video.
        source: Number of the source group, 1-based; clips of one share background, palette and texture.
        clip: Number of the clip within class and source group, 1-based.
        camera_motion: Whether the picture as a whole drifts.
        test_fold: The one fold that tests on this video, 1 to 3.
    """

    video_id: str
    classes: tuple[str, ...]
    source: int
    clip: int
    camera_motion: bool
    test_fold: int

    @property
    def source_group(self) -> str:
        """Class and source group, "Expand/g03"."""
        return f"{self.classes[0]}/g{self.source:02d}"


def members(group: Group) -> tuple[str, ...]:
    """The four class names of a group, in the order of their numbers."""
    return tuple(name for name, of in CLASSES.items() if of == group)


def test_fold(source: int) -> int:
    """The fold that tests on a source group: every third one, the same for all classes."""
    return (source - 1) % len(FOLDS) + 1


def validation_sources(fold: int, source_groups: int) -> set[int]:
    """Source groups that a fold holds out of its training list: about a sixth of them, at least one.

    Args:
        fold: 1 to 3.
        source_groups: Number of source groups in the set.

    Returns:
        Numbers of source groups, the same for all classes.
    """
    training = [source for source in range(1, source_groups + 1) if test_fold(source) != fold]
    return set(training[:: max(2, min(6, len(training)))])


def plan(seed: int, source_groups: int) -> tuple[PlannedVideo, ...]:
    """All videos of the set.

    Args:
        seed: Seed of the set.
        source_groups: Source groups of each class.

    Returns:
        16 classes x `source_groups` x 2 videos, about 5% of them with two labels and 20% with camera motion.

    Raises:
        UserError: If the number of source groups is out of range, or the seed is negative.
    """
    if not MIN_SOURCE_GROUPS <= source_groups <= MAX_SOURCE_GROUPS:
        raise UserError(
            f"source_groups is {source_groups}; allowed are {MIN_SOURCE_GROUPS} to {MAX_SOURCE_GROUPS}, "
            "so that each of the three folds has one to test on. Change data.source_groups."
        )
    if seed < 0:
        raise UserError(f"generation_seed is {seed}; it must be 0 or more. Change data.generation_seed.")
    second = _second_labels(source_groups)
    videos = []
    for name, group in CLASSES.items():
        moving = _camera_slots(seed, group, source_groups)
        for source in range(1, source_groups + 1):
            for clip in range(1, CLIPS_PER_SOURCE_GROUP + 1):
                more = second.get((name, source)) if clip == CLIPS_PER_SOURCE_GROUP else None
                videos.append(
                    PlannedVideo(
                        video_id=f"v_{name}_g{source:02d}_c{clip:02d}",
                        classes=(name,) if more is None else (name, more),
                        source=source,
                        clip=clip,
                        camera_motion=(source, clip) in moving,
                        test_fold=test_fold(source),
                    )
                )
    return tuple(videos)


def _second_labels(source_groups: int) -> dict[tuple[str, int], str]:
    """Second label of the last clip of (class, source group): three clips for every two source groups, 4.7%."""
    chosen = {}
    for number in range(source_groups * 3 // 2):
        turn, source = divmod(number, source_groups)
        first, second = _TWO_LABELS[(source + turn) % len(_TWO_LABELS)]
        place = source // len(_TWO_LABELS)
        chosen[members(first)[place % 4], source + 1] = members(second)[(place + source + turn) % 4]
    return chosen


def _camera_slots(seed: int, group: Group, source_groups: int) -> set[tuple[int, int]]:
    """(source group, clip) with camera motion: equally many in each class, and the same in the classes of a group."""
    slots = [(s, c) for s in range(1, source_groups + 1) for c in range(1, CLIPS_PER_SOURCE_GROUP + 1)]
    order = np.random.default_rng([seed, 1, GROUPS.index(group)]).permutation(len(slots))
    return {slots[place] for place in order[: round(CAMERA_MOTION_SHARE * len(slots))]}
