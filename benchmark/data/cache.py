"""Decoded frames kept for later epochs, shared by overlapping clips, loader workers and processes.

An LMDB store in a folder of its own: readers take no lock, writers take turns, and a process that is killed leaves
nothing half written. What is there stays, which for epochs that walk through all clips is better than replacing it.

Of each video, what was found sound is kept as a bit a frame: a clip may be served only if all that it spans is sound,
and its frames may have come here with another clip.

A video is known by path, size and time of change, so a changed file is another video. The folder's name covers all
that its bytes depend on: the size of the frames, the code and the libraries that decode and resize and, on Linux, the
boot of the machine, since nothing is forced to the disk and a power failure may leave anything there. Some space is
left for others, so a full disk only ends the filling.
"""

import hashlib
import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np
import torch
from torch import Tensor

from benchmark.data.cache_claim import claim
from benchmark.errors import UserError
from benchmark.wording import counted

_PROCESSES = 1024  # that count apart; of two with one place, counts may be lost
_SPARE_BYTES = 10**9  # left for others, such as batches in memory and checkpoints on a disk; of less than 2 GB, half
_PAGE_BYTES = 4096
_TREE_BYTES = 2**26


def video_key(path: Path) -> int:
    """64-bit name of a video's content: its path, size and time of change.

    Raises:
        OSError: If the file cannot be looked at.
    """
    stat = path.stat()
    text = f"{path.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}"
    return int.from_bytes(hashlib.blake2b(os.fsencode(text), digest_size=8).digest(), "little") | 1  # 0 means empty


@dataclass(frozen=True)
class KnownVideo:
    """What is known of a video of which frames are kept.

    Args:
        length: Its frames.
        sound: A bit for each of them, whether it is known to be sound.
    """

    length: int
    sound: bytes

    def are_sound(self, numbers: np.ndarray) -> bool:
        """Whether all of these frames are known to be sound."""
        bits = np.frombuffer(self.sound, np.uint8)[numbers >> 3] >> (7 - (numbers & 7))
        return bool((bits & 1).all())

    def with_sound(self, numbers: np.ndarray) -> "KnownVideo":
        """The same with more of them."""
        are_sound = np.unpackbits(np.frombuffer(self.sound, np.uint8))
        are_sound[numbers] = 1
        return KnownVideo(self.length, np.packbits(are_sound).tobytes())

    @classmethod
    def of(cls, length: int) -> "KnownVideo":
        """A video of so many frames, none of which was looked at."""
        return cls(length, bytes((length + 7) // 8))

    @classmethod
    def unpacked(cls, held: bytes) -> "KnownVideo":
        """From what `packed` made."""
        return cls(int.from_bytes(held[:8], "little"), held[8:])

    @property
    def packed(self) -> bytes:
        """As bytes."""
        return self.length.to_bytes(8, "little") + self.sound


class FrameCache:
    """Frames of one size by (video, frame number).

    Args:
        path: The store's folder, made where it is not there.
        side: Height and width of a frame in pixels.
        capacity_bytes: What all frames together may take; the store adds a few hundredths.
        counts: Of the processes that this one shares them with, or None for its own.

    Raises:
        UserError: If the store cannot be made, or not one frame fits.
    """

    def __init__(self, path: Path, side: int, capacity_bytes: int, counts: Tensor | None = None) -> None:
        self.path, self.side, self.capacity_bytes = path, side, capacity_bytes
        self._frame_bytes = side * side * 3
        self._stored_bytes = (self._frame_bytes // _PAGE_BYTES + 2) * _PAGE_BYTES  # with a share of the tree
        self.slots = capacity_bytes // self._frame_bytes
        if self.slots < 1:
            raise UserError(
                f"data.cache_gb is {capacity_bytes / 1e9:g}, which holds no frame of {side}x{side}; raise it"
            )
        # Hits and misses, a line a process; the line after them says whether space ran out.
        self._counts = torch.zeros(_PROCESSES + 1, 2, dtype=torch.int64) if counts is None else counts
        self._counts.share_memory_()  # type: ignore[no-untyped-call]
        self._opened: _Store | None = None
        _ = self._store

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the same store, and counts with this one."""
        return type(self), (self.path, self.side, self.capacity_bytes, self._counts)

    @property
    def _store(self) -> "_Store":
        """The store, opened by this very process: LMDB must not be used across a fork."""
        held = self._opened
        if held is None or held.process != os.getpid():
            held = self._opened = _Store.of(self.path, self.slots * self._stored_bytes + _TREE_BYTES)
        return held

    def known(self, video: int) -> KnownVideo | None:
        """What is known of a video, if any of its frames is kept."""
        store = self._store
        with store.environment.begin(store.videos) as reading:
            found = reading.get(_key(video))
        return None if found is None else KnownVideo.unpacked(found)

    def read(self, video: int, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, side, side, 3) uint8 of n frames, and (n,) bool which of them are kept; the others hold anything.

        Args:
            video: From `video_key`.
            numbers: (n,) frame numbers.
        """
        store = self._store
        pictures = np.empty((len(numbers), self.side, self.side, 3), np.uint8)
        is_kept = np.zeros(len(numbers), bool)
        with store.environment.begin(store.frames, buffers=True) as reading:
            for place, number in enumerate(numbers.tolist()):
                found = reading.get(_key(video, number))
                if found is not None:
                    pictures[place].reshape(-1)[:] = np.frombuffer(found, np.uint8)
                    is_kept[place] = True
        kept = int(is_kept.sum())
        self._counts[os.getpid() % _PROCESSES] += torch.tensor([kept, len(numbers) - kept])
        return pictures, is_kept

    def add(
        self, video: int, length: int, numbers: np.ndarray, pictures: np.ndarray, sound: np.ndarray | None = None
    ) -> None:
        """Keep frames, as many as there is room for.

        Args:
            video: From `video_key`.
            length: Frames of the video.
            numbers: (n,) frame numbers.
            pictures: (n, side, side, 3) uint8.
            sound: Numbers of frames that are sound, kept or not; None where nobody asks.
        """
        # Seen without the lock that writers take in turn. What is sound of a video that is there costs no space.
        if self.is_full and (sound is None or self.known(video) is None):
            return
        if not self._leaves_room(len(numbers)):
            self._counts[_PROCESSES] = 1
            return
        store = self._store
        try:
            with store.environment.begin(store.frames, write=True) as writing:
                room = self.slots - writing.stat(store.frames)["entries"]
                for number, picture in zip(numbers.tolist(), np.ascontiguousarray(pictures), strict=True):
                    if room < 1:
                        break
                    room -= writing.put(_key(video, number), picture.data, overwrite=False)
                self._note(writing, video, length, numbers[:0] if sound is None else sound)
        except (lmdb.DiskError, lmdb.MapFullError):
            self._counts[_PROCESSES] = 1

    def _note(self, writing: lmdb.Transaction, video: int, length: int, sound: np.ndarray) -> None:
        """Keep what is known of a video."""
        videos = self._store.videos
        found = writing.get(_key(video), db=videos)
        known = KnownVideo.of(length) if found is None else KnownVideo.unpacked(bytes(found))
        more = known.with_sound(sound)
        if found is None or more != known:
            writing.put(_key(video), more.packed, db=videos)

    def keeps(self, video: int, numbers: np.ndarray) -> np.ndarray:
        """(n,) bool: which of n frames are kept; this is not counted.

        Args:
            video: From `video_key`.
            numbers: (n,) frame numbers.
        """
        store = self._store
        with store.environment.begin(store.frames, buffers=True) as reading:
            return np.array([reading.get(_key(video, number)) is not None for number in numbers.tolist()], bool)

    @property
    def is_full(self) -> bool:
        """Whether no frame fits any more."""
        return self.used_bytes + self._frame_bytes > self.capacity_bytes

    def _leaves_room(self, frames: int) -> bool:
        free, spare = self._space()
        return free - frames * self._frame_bytes >= spare

    def _space(self) -> tuple[int, int]:
        """Bytes that are free where it is, and how many of them it leaves to others."""
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize, min(_SPARE_BYTES, space.f_blocks * space.f_frsize // 2)

    @property
    def free_when_full(self) -> int:
        """Bytes that will be free where it is once it has taken all that it may."""
        _ = self._store  # which makes the folder
        free, spare = self._space()
        wanted = (self.slots - self.used_bytes // self._frame_bytes) * self._stored_bytes
        return max(free - wanted, min(free, spare))

    def summary(self) -> str:
        """One line: frames that this process and its loaders took from the cache, and what it holds."""
        hits, misses = self.hits_and_misses
        share = f"{hits / (hits + misses):.1%}" if hits + misses else "none"
        end = ""
        if self.is_full:
            end = " and is full; raise data.cache_gb to keep the others"
        elif self._counts[_PROCESSES].any():
            end = f"; it kept no more, since what is free in {self.path.parent} is left for others"
        return (
            f"frame cache {self.path}: {share} of {counted(hits + misses, 'frame')} came from it; it holds "
            f"{self.used_bytes / 1e9:.2f} of {self.capacity_bytes / 1e9:.2f} GB{end}"
        )

    @property
    def used_bytes(self) -> int:
        """What the kept frames take."""
        store = self._store
        with store.environment.begin() as reading:
            return int(reading.stat(store.frames)["entries"]) * self._frame_bytes

    @property
    def hits_and_misses(self) -> tuple[int, int]:
        """Frames asked for that were kept, and that were not, by this process and its loaders."""
        hits, misses = self._counts[:_PROCESSES].sum(0).tolist()
        return hits, misses


_open = weakref.WeakValueDictionary[Path, "_Store"]()
_opening = threading.Lock()  # a process must not open a store twice, and its threads may ask for it at the same time


def _renew_lock() -> None:
    """A thread that held the lock is not there in a process that was forked off."""
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class _Store:
    """A store that this process has open, once however many ask for it.

    Raises:
        UserError: If it cannot be opened.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.process = os.getpid()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._in_use = claim(path)
            # A store that is open keeps its space when its files are removed.
            weakref.finalize(self, os.close, self._in_use)
            self.environment = lmdb.open(
                str(path), map_size=most_bytes, max_dbs=2, max_readers=4096, mode=0o600, sync=False, readahead=False
            )
            self.environment.reader_check()  # places of processes that were killed
            weakref.finalize(self, self.environment.close)
            self.frames = self.environment.open_db(b"frames")
            self.videos = self.environment.open_db(b"videos")
        except (OSError, lmdb.Error) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise UserError(f"data.cache cannot use {path}: {said}; change data.cache_dir") from error

    @classmethod
    def of(cls, path: Path, most_bytes: int) -> "_Store":
        """The store in a folder, opened if this process has not done so."""
        with _opening:
            held = _open.get(path)
            if held is not None and held.process == os.getpid() and path.is_dir():
                return held
            if held is not None:  # of the process that this one was forked from, or of a run that is over
                held.environment.close()
            made = _open[path] = cls(path, most_bytes)
            return made


def _key(video: int, *number: int) -> bytes:
    return b"".join(part.to_bytes(8, "big") for part in (video, *number))
