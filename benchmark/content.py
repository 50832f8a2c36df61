"""What a video is apart from its name: the bytes of its file and what three of its frames look like.

A frame is described by the signs of its 63 lowest frequencies (a DCT of 32x32 grey pixels, 8x8 of it kept), once whole
and once without its outer 5%. Mirroring a frame flips the signs of the odd horizontal frequencies, so that one
description finds both. Everything here is plain numbers; nothing opens a file. Letters: N and M videos.
"""

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np

POSITIONS = (0.2, 0.5, 0.8)
"""Where the frames lie, as shares of the video's length."""

CUTS = (0.0, 0.05)
"""What is left out at each side of a frame, for its two descriptions."""

WORDS = len(POSITIONS) * len(CUTS)
"""64-bit words of a fingerprint: of all frames whole, then of all frames without their borders."""

LARGEST_SHARE = 0.16
"""Of the bits that two fingerprints of one content may differ in; `tests/performance/fingerprints.py` calibrates it."""

_LARGEST_COARSE = 14  # of the 60 lowest bits, which are more robust than the others
_FLAG = np.uint64(1)  # bit 0, where the mean brightness would be: the frame shows something
_KEPT = 8
_LEAST_CONTRAST = 6.0  # standard deviation of grey values, 0 to 255, below which a frame shows nothing
_ROWS, _COLUMNS = 16, 4096  # videos compared at once: what stays in a processor's cache

_VERTICAL, _HORIZONTAL = np.divmod(np.arange(64), _KEPT)
_LOW = np.flatnonzero((_VERTICAL + _HORIZONTAL > 0) & (_VERTICAL + _HORIZONTAL <= 5))


def _word(bits: np.ndarray) -> np.ndarray:
    """(..., 64) bool to (...) uint64, bit 0 first."""
    return np.packbits(bits, axis=-1, bitorder="little").view("<u8")[..., 0].astype(np.uint64)


_MIRRORED = _word(_HORIZONTAL % 2 == 1)


def word_of(frequencies: np.ndarray, contrast: float) -> np.uint64:
    """The description of a frame; 0 where it shows nothing.

    Args:
        frequencies: (8, 8) floating point, the lowest of the DCT of 32x32 grey pixels, vertical ones first.
        contrast: Standard deviation of these pixels, 0 to 255.
    """
    if contrast < _LEAST_CONTRAST:
        return np.uint64(0)
    bits = frequencies.reshape(64) > 0
    bits[0] = True
    return np.uint64(_word(bits))


@dataclasses.dataclass(frozen=True)
class Contents:
    """Content of N videos.

    Args:
        digests: (N,) int64, the first 8 bytes of the SHA-256 of each file; 0 where that is not known.
        prints: (N, 6) uint64, the words of each fingerprint; 0 where there is none.
    """

    digests: np.ndarray
    prints: np.ndarray

    @classmethod
    def nothing(cls, videos: int = 0) -> Self:
        """So many videos of which nothing is known."""
        return cls(np.zeros(videos, np.int64), np.zeros((videos, WORDS), np.uint64))

    @classmethod
    def joined(cls, parts: Sequence["Contents"]) -> Self:
        """All videos of all parts, in order."""
        parts = [cls.nothing(), *parts]
        return cls(np.concatenate([part.digests for part in parts]), np.concatenate([part.prints for part in parts]))

    def __len__(self) -> int:
        return len(self.digests)

    def take(self, rows: np.ndarray) -> "Contents":
        """Some of the videos."""
        return Contents(self.digests[rows], self.prints[rows])

    @property
    def has_print(self) -> np.ndarray:
        """(N,) bool: which videos can be compared by what they show: two frames of three show something."""
        shown = (self.prints[:, : len(POSITIONS)] & _FLAG).sum(1)
        return np.asarray(shown >= len(POSITIONS) - 1)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """P pairs of videos with the same content.

    Args:
        first: (P,) int64, rows of one side, ascending.
        second: (P,) int64, rows of the other.
        difference: (P,) float64, the share of differing bits of the fingerprints; 0 where the bytes are the same.
        same_bytes: (P,) bool.
    """

    first: np.ndarray
    second: np.ndarray
    difference: np.ndarray
    same_bytes: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def shared(first: Contents, second: Contents | None = None) -> Pairs:
    """All pairs of one video of each side whose files are the same, or that show the same.

    Args:
        first: N videos.
        second: M videos, or None for the pairs within the first, each once.
    """
    other = first if second is None else second
    bytes_pairs = _same_bytes(first.digests, other.digests, within=second is None)
    print_pairs, differences = _same_pictures(first, other, within=second is None)
    pairs = np.concatenate([bytes_pairs, print_pairs])
    difference = np.concatenate([np.zeros(len(bytes_pairs)), differences])
    kept = np.unique(pairs, axis=0, return_index=True)[1]  # the first of each pair is the one by its bytes
    return Pairs(pairs[kept, 0], pairs[kept, 1], difference[kept], kept < len(bytes_pairs))


def _same_bytes(one: np.ndarray, other: np.ndarray, *, within: bool) -> np.ndarray:
    """(P, 2) int64 rows of equal digests that are known."""
    order = np.argsort(other, kind="stable")
    low, high = np.searchsorted(other[order], one, "left"), np.searchsorted(other[order], one, "right")
    counts = np.where(one == 0, 0, high - low)
    rows = np.repeat(np.arange(len(one)), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs = np.stack([rows, order[np.repeat(low, counts) + offsets]], axis=1).astype(np.int64)
    return pairs[pairs[:, 0] < pairs[:, 1]] if within else pairs


def _same_pictures(first: Contents, second: Contents, *, within: bool) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) int64 rows of fingerprints that differ in few bits, and the share of bits of each."""
    one_rows, other_rows = np.flatnonzero(first.has_print), np.flatnonzero(second.has_print)
    shape = (-1, len(CUTS), len(POSITIONS))
    one, other = first.prints[one_rows].reshape(shape), second.prints[other_rows].reshape(shape)
    pairs, differences = [np.empty((0, 2), np.int64)], [np.empty(0)]
    # Both without their borders says nothing that both with them do not.
    for cut, other_cut in ((0, 0), (0, 1), (1, 0)):
        for mask in (np.uint64(0), _MIRRORED):
            words, others = one[:, cut], other[:, other_cut] ^ (mask & ~_FLAG)
            found = _candidates(_coarse(words), _coarse(others), within=within)
            share = _difference(words[found[:, 0]], others[found[:, 1]])
            pairs.append(found[share <= LARGEST_SHARE])
            differences.append(share[share <= LARGEST_SHARE])
    joined, shares = np.concatenate(pairs), np.concatenate(differences)
    order = np.argsort(shares, kind="stable")
    unique, kept = np.unique(joined[order], axis=0, return_index=True)
    rows = np.stack([one_rows[unique[:, 0]], other_rows[unique[:, 1]]], axis=1)
    return rows.reshape(-1, 2).astype(np.int64), shares[order][kept]


def _coarse(words: np.ndarray) -> np.ndarray:
    """(N, 3) uint64 to (N,) uint64: the 20 lowest bits of each frame."""
    bits = np.unpackbits(np.ascontiguousarray(words).astype("<u8").view(np.uint8), axis=1, bitorder="little")
    low = bits.reshape(-1, len(POSITIONS), 64)[:, :, _LOW].reshape(len(words), len(POSITIONS) * len(_LOW))
    return _word(np.pad(low, ((0, 0), (0, 64 - low.shape[1]))))


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(P, 3) uint64 twice to (P,) float64: the share of differing bits, over frames that show something in both."""
    shown = (one & other & _FLAG) != 0
    bits = np.where(shown, np.bitwise_count(one ^ other), 0).sum(1)
    counted = 63 * shown.sum(1)
    return np.where(shown.sum(1) >= len(POSITIONS) - 1, bits / np.maximum(counted, 1), 1.0)


def _candidates(one: np.ndarray, other: np.ndarray, *, within: bool) -> np.ndarray:
    """(P, 2) int64: pairs that differ in few of their coarse bits; within one side, each once."""

    def block(start: int) -> list[np.ndarray]:
        rows = one[start : start + _ROWS, None]
        found = []
        for column in range(start // _COLUMNS * _COLUMNS if within else 0, len(other), _COLUMNS):
            near = np.bitwise_count(rows ^ other[column : column + _COLUMNS]) <= _LARGEST_COARSE
            if near.any():
                pairs = np.argwhere(near) + np.array([start, column])
                found.append(pairs[pairs[:, 0] < pairs[:, 1]] if within else pairs)
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [part for found in pool.map(block, range(0, len(one), _ROWS)) for part in found]
    return np.concatenate([np.empty((0, 2), np.int64), *parts])
