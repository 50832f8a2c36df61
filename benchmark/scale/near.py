"""Videos of a million that share frames, by 64-bit descriptions of ten frames each; plain numbers, no file is opened.

Two descriptions that differ in at most three bits agree in one of four bands of 16 bits. So they are sorted by each
band in turn, and compared within it. Letters: N videos, P pairs.
"""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

FRAMES = 10
"""Frames of a video that are described, spread evenly over its clips."""

MOST_BITS = 3
"""By which the descriptions of one frame may differ; more could differ in all four bands."""

LEAST_FRAMES = 3
"""Of ten that two videos share before they count as near-duplicates; docs/sports1m.md has what else it would find."""

MOST_VIDEOS = 100
"""A description that more videos have says nothing of any of them: titles, test pictures, a player's black."""

_BANDS = np.arange(4, dtype=np.uint64) * np.uint64(16)
_ROWS = 512  # descriptions compared with all of their band at once
_BLOCK = 4096  # values of a band that one task compares


@dataclasses.dataclass(frozen=True)
class NearPairs:
    """Pairs of videos that share frames.

    Args:
        first: (P,) int64 rows, ascending.
        second: (P,) int64 rows, above `first`.
        frames: (P,) int64, how many of each other's frames they have; the lesser of the two counts.
        stopped: How many descriptions were left out, since too many videos have them.
    """

    first: np.ndarray
    second: np.ndarray
    frames: np.ndarray
    stopped: int

    def __len__(self) -> int:
        return len(self.first)


def near_pairs(hashes: np.ndarray, *, threads: int = 2, least_frames: int = LEAST_FRAMES) -> NearPairs:
    """All pairs of videos that share frames.

    Args:
        hashes: (N, 10) uint64; 0 where a frame shows nothing or there is none.
        threads: That compare at the same time.
        least_frames: Frames of ten that must agree.
    """
    words, owners, stopped = _counted(hashes)
    pairs = [np.empty((0, 2), np.int64)]
    with ThreadPoolExecutor(threads) as pool:
        for band in range(len(_BANDS)):
            keys = (words >> _BANDS[band]).astype(np.uint16)
            order = np.argsort(keys, kind="stable")  # a radix sort
            bounds = np.searchsorted(keys[order], np.arange(2**16 + 1))
            tasks = range(0, 2**16, _BLOCK)
            pairs += pool.map(lambda first: _within(words, order, bounds, first, band), tasks)  # noqa: B023
    near = np.concatenate(pairs)
    return _joined(near, owners, stopped, least_frames)


def _counted(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Distinct descriptions of each video, whose they are, and how many were left out."""
    ordered = np.sort(hashes, axis=1)
    keep = ordered != 0
    keep[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    words, owners = ordered[keep], np.nonzero(keep)[0].astype(np.int32)
    order = np.argsort(words, kind="stable")
    change = np.concatenate([[True], words[order][1:] != words[order][:-1]]) if len(words) else np.zeros(0, bool)
    counts = np.diff(np.concatenate([np.flatnonzero(change), [len(words)]]))
    is_common = np.zeros(len(words), bool)
    is_common[order] = np.repeat(counts > MOST_VIDEOS, counts)
    return words[~is_common], owners[~is_common], int((counts > MOST_VIDEOS).sum())


def _within(words: np.ndarray, order: np.ndarray, bounds: np.ndarray, first: int, band: int) -> np.ndarray:
    """(P, 2) int64 places of descriptions that agree in a band and are near, but for those found in an earlier one."""
    found = [np.empty((0, 2), np.int64)]
    for low, high in _spans(bounds, first):
        members = order[low:high]
        held = words[members]
        for start in range(0, len(held), _ROWS):
            # Those before `start` were compared with these already.
            near = np.bitwise_count(held[start : start + _ROWS, None] ^ held[None, start:]) <= MOST_BITS
            rows, columns = np.nonzero(near)
            later = columns > rows
            found.append(np.stack([members[start + rows[later]], members[start + columns[later]]], 1))
    pairs = np.concatenate(found)
    differing = words[pairs[:, 0]] ^ words[pairs[:, 1]]
    for earlier in _BANDS[:band]:
        is_new = (differing >> earlier).astype(np.uint16) != 0
        pairs, differing = pairs[is_new], differing[is_new]
    return pairs


def _spans(bounds: np.ndarray, first: int) -> Iterator[tuple[int, int]]:
    for value in range(first, first + _BLOCK):
        if bounds[value + 1] - bounds[value] > 1:
            yield int(bounds[value]), int(bounds[value + 1])


def _joined(near: np.ndarray, owners: np.ndarray, stopped: int, least_frames: int) -> NearPairs:
    """Pairs of videos, of pairs of their descriptions."""
    one, other = owners[near[:, 0]].astype(np.int64), owners[near[:, 1]].astype(np.int64)
    apart = one != other
    near, one, other = near[apart], one[apart], other[apart]
    swap = one > other
    places = np.where(swap[:, None], near[:, ::-1], near)
    videos = np.stack([np.minimum(one, other), np.maximum(one, other)], 1)
    if not len(videos):
        none = np.empty(0, np.int64)
        return NearPairs(none, none, none, stopped)
    pairs, number = np.unique(videos, axis=0, return_inverse=True)
    shared = [
        np.bincount(np.unique(np.stack([number.reshape(-1), places[:, side]], 1), axis=0)[:, 0], minlength=len(pairs))
        for side in (0, 1)
    ]
    frames = np.minimum(*shared)
    enough = frames >= least_frames
    return NearPairs(pairs[enough, 0], pairs[enough, 1], frames[enough], stopped)
