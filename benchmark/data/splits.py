"""Which split a video belongs to that was given none: what comes from one source, or shows the same, stays together."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.content import shared
from benchmark.data.content_store import MOST_VIDEOS, contents_of_files
from benchmark.data.found import FoundVideo
from benchmark.data.index import Split
from benchmark.errors import UserError

SHARES: dict[Split, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Expected shares where nothing says which split a video belongs to (section 4.1)."""

_LARGEST = 0.1
"""Share of all videos above which joined ones are in training, unless their class would not be in every split."""

_MIDDLE: dict[Split, float] = {"train": 0.0, "validation": 0.75, "test": 1.0}  # of the hashes that lead there


def hashed_split(name: str, seed: int) -> Split:
    """The split of a video or source group that was given none: 70% train, 10% validation, 20% test by its name.

    A name never moves to another split when others are added or removed.

    Args:
        name: Path relative to the root, or name of the source group, so that a whole group goes to one split.
        seed: Another seed gives another choice.

    Returns:
        "train", "validation" or "test".
    """
    fraction = _fraction(name, seed)
    if fraction < SHARES["train"]:
        return "train"
    return "validation" if fraction < SHARES["train"] + SHARES["validation"] else "test"


def _fraction(name: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]) / 2**64


def source_group_of(video: FoundVideo, pattern: re.Pattern[str]) -> str | None:
    """The source group that a pattern finds in a video's path, within its class, as `Archery/g01`; or None."""
    match = pattern.search(video.path)
    if match is None:
        return None
    text = "/".join(part for part in match.groups() if part is not None) if pattern.groups else match[0]
    return "/".join([*video.labels, text]) if text else None


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of `data.source_group`.

    Raises:
        UserError: If it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"data.source_group is {pattern!r}, which is neither a column of data.annotations nor a pattern: {error}. "
            r"Give a regular expression on the path, such as '_(g\d+)_'"
        ) from None


def alike(root: Path, videos: Sequence[FoundVideo]) -> list[tuple[int, int]] | None:
    """Pairs of videos, by their number, that are one file twice or look the same; None of too many to read."""
    if len(videos) > MOST_VIDEOS:
        return None
    pairs = shared(contents_of_files(root, [video.path for video in videos], verbose=True))
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def split_by_hash(videos: Sequence[FoundVideo], pairs: Iterable[tuple[int, int]], seed: int) -> tuple[list[Split], int]:
    """A split for each video: 70% train, 10% validation, 20% test.

    What is joined by a source group or a pair goes to one split. Without source groups a hash of the path decides; with
    them each class is shared out by itself, in the order of the groups' hashes. What is more than a tenth of all videos
    is in training. A class of three units or more, joined videos counting as one, is in every split: where one lacks
    the class, the unit whose hash is nearest to it goes there, of small units if there are any, else of the smallest.

    So the same videos always have the same splits, but some move when others come and go.

    Args:
        videos: V videos.
        pairs: Numbers of videos that show the same.
        seed: Another seed gives another choice.

    Returns:
        V splits, and the number of videos that go with another one because they show the same.
    """
    units, with_another = _units(videos, pairs)
    classes: dict[tuple[str, ...], list[tuple[float, str, list[int]]]] = defaultdict(list)
    for unit in units:
        name = min(videos[row].source_group or videos[row].path for row in unit)
        classes[videos[unit[0]].labels[:1]].append((_fraction(name, seed), name, unit))
    splits: list[Split] = ["train"] * len(videos)
    for members in classes.values():
        members.sort()
        is_grouped = any(videos[row].source_group for _, _, unit in members for row in unit)
        chosen = _in_shares(members) if is_grouped else [hashed_split(name, seed) for _, name, _ in members]
        # As where a fixed camera makes most videos look the same: the hash could leave next to none to train on.
        large = [len(unit) > _LARGEST * len(videos) for _, _, unit in members]
        chosen = ["train" if is_large else split for is_large, split in zip(large, chosen, strict=True)]
        weights = [len(unit) if is_large else 0 for is_large, (_, _, unit) in zip(large, members, strict=True)]
        _complete(chosen, [fraction for fraction, _, _ in members], weights)
        for (_, _, unit), split in zip(members, chosen, strict=True):
            for row in unit:
                splits[row] = split
    return splits, with_another


def _units(videos: Sequence[FoundVideo], pairs: Iterable[tuple[int, int]]) -> tuple[list[list[int]], int]:
    """Videos that belong together, by their numbers, and how many pairs joined what was apart."""
    parent = list(range(len(videos)))

    def top(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    firsts: dict[str, int] = {}
    for row, video in enumerate(videos):
        if video.source_group is not None:
            parent[row] = top(firsts.setdefault(video.source_group, row))
    joined = 0
    for one, other in pairs:
        first, second = sorted((top(one), top(other)))
        joined += first != second
        parent[second] = first
    units: dict[int, list[int]] = defaultdict(list)
    for row in range(len(videos)):
        units[top(row)].append(row)
    return list(units.values()), joined


def _in_shares(members: Sequence[tuple[float, str, list[int]]]) -> list[Split]:
    """Each unit in turn to the split that lacks most videos."""
    total = sum(len(unit) for _, _, unit in members)
    lacking = {split: share * total for split, share in SHARES.items()}
    chosen: list[Split] = []
    for _, _, unit in members:
        split = max(lacking, key=lambda name: lacking[name])
        lacking[split] -= len(unit)
        chosen.append(split)
    return chosen


def _complete(chosen: list[Split], fractions: Sequence[float], weights: Sequence[int]) -> None:
    """Give a class of three units or more one in every split, in place: the lightest, of these the nearest by hash."""
    if len(chosen) < len(SHARES):
        return
    for split in ("train", "test", "validation"):
        if split not in chosen:
            donors = [place for place, held in enumerate(chosen) if chosen.count(held) > 1]
            place = min(donors, key=lambda place: (weights[place], abs(fractions[place] - _MIDDLE[split])))
            chosen[place] = split
