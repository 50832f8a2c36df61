"""What a checkpoint has seen by its content, whatever it was called, and which videos of a split show the same."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.content import WORDS, Contents, shared
from benchmark.data.synthetic_plan import generation_seed_of
from benchmark.wording import counted

MOST_ALIKE = 0.01
"""Share of the videos tested that may look like ones that were trained on before a test is refused.

Fingerprints may err: of 63,000 pairs of one class and other sources they find 4, which do show the same.
"""

_NAMED = 5

Parts = dict[str, "SeenContent"]
"""Contents by the dataset that they were seen in, see `_key`."""


@dataclasses.dataclass(frozen=True)
class SeenContent:
    """Videos of one dataset that a checkpoint has seen.

    Args:
        contents: Of N videos of which something is known.
        trained: (N,) bool; it was chosen on the others.
    """

    contents: Contents
    trained: np.ndarray

    def joined(self, other: "SeenContent") -> "SeenContent":
        """Both, each video once."""
        both = Contents.joined([self.contents, other.contents])
        trained = np.concatenate([self.trained, other.trained])
        rows = np.column_stack([both.digests.view(np.uint64), both.prints, trained.astype(np.uint64)])
        kept = np.unique(rows, axis=0, return_index=True)[1]
        return SeenContent(both.take(kept), trained[kept])


def joined(one: Parts, other: Parts) -> Parts:
    """All that either holds."""
    names = sorted({*one, *other})
    return {
        name: one[name].joined(other[name]) if name in one and name in other else one.get(name) or other[name]
        for name in names
    }


def _key(index: Any) -> str:
    """The dataset's name; a split of one's own of videos called the same is told from the official lists."""
    name = str(index.identity.dataset)
    return name if index.official_videos is not None else f"{name} (own split)"


def own_content(data: Any) -> Parts:
    """What the videos show that a data module trains and validates on, as far as that is known."""
    parts = [data.contents(split) for split in ("train", "validation")]
    both = Contents.joined(parts)
    trained = np.arange(len(both)) < len(parts[0])
    known = np.flatnonzero((both.digests != 0) | both.has_print)
    return {_key(data.index): SeenContent(both.take(known), trained[known])} if len(known) else {}


def packed(parts: Parts) -> dict[str, dict[str, Tensor]]:
    """As a checkpoint holds it: 57 bytes a video."""
    return {
        name: {
            "digests": torch.from_numpy(seen.contents.digests.copy()),
            "prints": torch.from_numpy(seen.contents.prints.view(np.int64).copy()),
            "trained": torch.from_numpy(seen.trained.copy()),
        }
        for name, seen in parts.items()
    }


def unpacked(held: object) -> Parts:
    """The same from a file that may come from anyone; what cannot be understood is left out."""
    found: Parts = {}
    for name, part in held.items() if isinstance(held, Mapping) else ():
        keys = ("digests", "prints", "trained")
        tensors: list[Any] = [part.get(key) for key in keys] if isinstance(part, Mapping) else []
        kinds = ((torch.int64, 1), (torch.int64, 2), (torch.bool, 1))
        if (
            isinstance(name, str)
            and len(tensors) == len(kinds)
            and all(isinstance(t, Tensor) and (t.dtype, t.ndim) == kind for t, kind in zip(tensors, kinds, strict=True))
            and len({len(tensor) for tensor in tensors}) == 1
            and tensors[1].shape[1] == WORDS
        ):
            digests, prints, trained = (tensor.numpy() for tensor in tensors)
            found[name] = SeenContent(Contents(digests.copy(), prints.copy().view(np.uint64)), trained.copy())
    return found


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Videos of a split whose content was seen.

    Args:
        videos: Number of videos of the split.
        by_bytes: How many of them could be compared by their bytes.
        by_print: How many of them could be compared by what they show.
        against: Number of videos they were compared with.
        same_file: Names of those whose very file was seen.
        alike: Names of those that only look like one that was seen.
        other_files: How many of the first are not owed to official lists that have one content on both sides.
        other_alike: The same of the second.
    """

    videos: int
    by_bytes: int = 0
    by_print: int = 0
    against: int = 0
    same_file: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    other_files: int = 0
    other_alike: int = 0

    @property
    def found(self) -> int:
        """Number of videos whose content was seen."""
        return len(self.same_file) + len(self.alike)

    @property
    def is_too_much(self) -> bool:
        """Whether a test would say little about new videos; what official lists share does not count."""
        return self.other_files > 0 or self.other_alike > MOST_ALIKE * self.videos

    def __str__(self) -> str:
        named = [*(f"{n} (the same file)" for n in self.same_file[:_NAMED]),
                 *(f"{n} (looks the same)" for n in self.alike[:_NAMED])]  # fmt: skip
        more = ", ..." if self.found > len(named) else ""
        return f"{self.found} of {counted(self.videos, 'video')}: {', '.join(named)}{more}"

    @property
    def why_allowed(self) -> str:
        """Why a test goes on where content was seen, in words."""
        if self.other_files or self.other_alike:
            return f"a test with up to {MOST_ALIKE:.0%} of look-alikes goes on"
        return "the dataset's own official lists have it on both sides, so the test goes on"

    @property
    def checked(self) -> str:
        """What was compared, in words."""
        if not self.against:
            return "not done, as the checkpoint knows what it was trained on by name alone"
        part = "" if self.by_bytes >= self.videos else (
            "; the others were not read yet: `clipbench audit` with the same --data does that once"
        )  # fmt: skip
        return (
            f"{self.by_bytes:,} of {counted(self.videos, 'test video')} compared with the {self.against:,} seen "
            f"by their bytes, {self.by_print:,} by three frames{part}"
        )


def overlap(seen: Parts, data: Any, split: str, *, only_trained: bool = False) -> Overlap:
    """Which videos of a data module's split show what was seen.

    Args:
        seen: What was.
        data: A `VideoDataModule`.
        split: Name of the split.
        only_trained: Leave out what a checkpoint was merely chosen on.
    """
    index = data.index
    rows = index.rows(split)
    if not seen or not len(rows):
        return Overlap(len(rows))
    own: Contents = data.contents(split)
    same_file, alike, other_files, other_alike = np.zeros((4, len(rows)), bool)
    against = by_print = 0
    for name, part in seen.items():
        held = part.contents.take(np.flatnonzero(part.trained)) if only_trained else part.contents
        pairs = shared(own, held)
        same, similar = pairs.first[pairs.same_bytes], pairs.first[~pairs.same_bytes]
        if _are_drawn_apart(name, _key(index)):
            similar = similar[:0]
        else:
            by_print = int(own.has_print.sum())
        same_file[same], alike[similar] = True, True
        if name != _key(index) or index.official_videos is None:
            other_files[same], other_alike[similar] = True, True
        against += len(held)
    names = index.table["video_id"].take(rows).to_pylist()
    return Overlap(
        len(rows),
        int((own.digests != 0).sum()),
        by_print,
        against,
        tuple(names[n] for n in np.flatnonzero(same_file)),
        tuple(names[n] for n in np.flatnonzero(alike & ~same_file)),
        int(other_files.sum()),
        int((other_alike & ~other_files).sum()),
    )


def _are_drawn_apart(one: str, other: str) -> bool:
    """Whether both are generated sets of different seeds, whose simple scenes look alike by chance."""
    seeds = generation_seed_of(one), generation_seed_of(other)
    return None not in seeds and seeds[0] != seeds[1]
