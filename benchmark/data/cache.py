"""Decoded frames kept for later epochs, shared by overlapping clips, loader workers and processes.

One sparse file, mapped into memory by everyone who reads the same videos:

    name | counters | table: hash of (video, frame) -> slot | lengths: video -> frames | owners | slots, a frame each

Nothing is ever moved or overwritten, so reading takes no lock: a slot is filled and signed by its owner before the
one 64-bit word that points to it is written. Writers take turns. A process may be killed anywhere: what it leaves
behind is at worst a slot that nobody finds. The name tells such a file from any other, which is left alone, and nothing
is found by numbers that cannot be. When the slots are used up, what is there stays, which for epochs that walk through
all clips is better than replacing it.

A video is known by path, size and time of change, so a changed file is another video. The file's name covers all
that its bytes depend on: the size of the frames, the code and the libraries that decode and resize, its own layout and,
on Linux, the boot of the machine, since pages that a power failure kept from the disk must never be read. Space is
claimed before it is written to, and some is left for others, so a full disk only ends the filling.
"""

import contextlib
import errno
import hashlib
import mmap
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmark.data.own_files import open_own
from benchmark.errors import UserError

try:
    import fcntl
except ImportError:  # Windows, where `open_cache` makes none
    fcntl = None  # type: ignore[assignment]

_MAGIC = b"clipbench frames 2\n"
_PROCESSES = 1024  # that count hits and misses apart; later ones share the last line
_SPARE_BYTES = 10**9  # left for others, such as batches in memory and checkpoints on a disk; of less than 2 GB, half
_OUT_OF_SPACE = 2 + 2 * _PROCESSES  # the counter that says so
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def video_key(path: Path) -> int:
    """64-bit name of a video's content: its path, size and time of change.

    Raises:
        OSError: If the file cannot be looked at.
    """
    stat = path.stat()
    text = f"{path.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") | 1  # 0 means empty


def turns_of(path: Path) -> Path:
    """The empty file beside a cache that its writers lock in turn.

    Everyone who uses the cache holds a lock of the other kind on the cache itself, and on macOS, BSD and network file
    systems the two kinds exclude each other.
    """
    return path.with_name(f"turns-{path.name}")


def remove_files(path: Path) -> None:
    """Remove a cache; its turns first, or two processes could write to one that is made meanwhile."""
    turns_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


class FrameCache:
    """Frames of one size by (video, frame number).

    Args:
        path: The file, made where it is not there.
        side: Height and width of a frame in pixels.
        capacity_bytes: What all frames together may take; the table adds about one part in a thousand.

    Raises:
        UserError: If the file cannot be made, or not one frame fits.
    """

    def __init__(self, path: Path, side: int, capacity_bytes: int) -> None:
        self.path, self.side, self.capacity_bytes = path, side, capacity_bytes
        self._frame_bytes = side * side * 3
        self.slots = capacity_bytes // self._frame_bytes
        if self.slots < 1:
            raise UserError(
                f"data.cache_gb is {capacity_bytes / 1e9:g}, which holds no frame of {side}x{side}; raise it"
            )
        places = 1 << (2 * self.slots - 1).bit_length()
        sizes: dict[str, tuple[tuple[int, ...], str]] = {
            "name": ((len(_MAGIC),), "u1"),
            "counters": ((3 + 2 * _PROCESSES,), "<i8"),
            "table": ((places,), "<u8"),
            "lengths": ((places, 2), "<u8"),
            "owners": ((self.slots, 2), "<u8"),
            "frames": ((self.slots, side, side, 3), "u1"),
        }
        starts, end = {}, 0
        for name, (shape, dtype) in sizes.items():
            starts[name] = end
            end += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 4096) * 4096
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open_own(path, make=True)
            # A file that is open keeps its space when it is removed.
            self._close = weakref.finalize(self, os.close, self._file)
            self._turns = open_own(turns_of(path), make=True)
            self._close_turns = weakref.finalize(self, os.close, self._turns)
            fcntl.flock(self._file, fcntl.LOCK_SH)  # held as long as anyone uses the file
            with self._turn():
                self._sign()
            os.ftruncate(self._file, end)
            self._claim(0, starts["frames"])
            mapped = mmap.mmap(self._file, end)
        except OSError as error:
            raise UserError(
                f"data.cache cannot use {path}: {error.strerror or error}; change data.cache_dir"
            ) from error
        parts = {name: np.ndarray(shape, dtype, mapped, starts[name]) for name, (shape, dtype) in sizes.items()}
        self._counters, self._table, self._lengths = parts["counters"], parts["table"], parts["lengths"]
        self._owners, self._frames = parts["owners"], parts["frames"]
        self._first_byte, self._mask = starts["frames"], np.uint64(places - 1)
        self._process, self._line = 0, 0
        self._before = self.hits_and_misses

    def _sign(self) -> None:
        """Write the name into a new file, and refuse one that has another."""
        if os.fstat(self._file).st_size == 0:
            os.pwrite(self._file, _MAGIC, 0)
        elif os.pread(self._file, len(_MAGIC), 0) != _MAGIC:
            raise OSError(0, "it holds something else than frames; remove it")

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the same file."""
        return type(self), (self.path, self.side, self.capacity_bytes)

    def length(self, video: int) -> int | None:
        """Frames of a video, if any of them is kept."""
        for place in self._places(video):
            key, frames = self._lengths[place].tolist()
            if key == video and frames:
                return int(frames)
            if key == 0:
                return None
        return None

    def find(self, video: int, numbers: np.ndarray) -> np.ndarray:
        """Slots of frames, (n,) int64; -1 where a frame is not kept.

        Args:
            video: From `video_key`.
            numbers: (n,) frame numbers.
        """
        slots = self._lookup(video, numbers)
        found = int((slots >= 0).sum())
        line = self._counting_line()
        self._counters[2 + 2 * line] += found
        self._counters[3 + 2 * line] += len(slots) - found
        return slots

    def read(self, slots: np.ndarray) -> np.ndarray:
        """(n, side, side, 3) uint8 of n slots; not to be written to, as it may be the cache itself."""
        if len(slots) == slots[-1] - slots[0] + 1 and (np.diff(slots) == 1).all():
            kept = self._frames[slots[0] : slots[-1] + 1]
            kept.flags.writeable = False
            return kept
        scattered: np.ndarray = self._frames[slots]
        return scattered

    def add(self, video: int, length: int, numbers: np.ndarray, pictures: np.ndarray) -> None:
        """Keep frames, as many as there is room for.

        Args:
            video: From `video_key`.
            length: Frames of the video.
            numbers: (n,) frame numbers.
            pictures: (n, side, side, 3) uint8.
        """
        with self._turn():
            # Another process may have been quicker.
            new = np.flatnonzero(self._lookup(video, numbers) < 0)
            first = self._used
            new = new[: self.slots - first]
            if not len(new):
                return
            try:
                self._claim(self._first_byte + first * self._frame_bytes, len(new) * self._frame_bytes)
            except OSError:
                self._counters[_OUT_OF_SPACE] = 1
                return
            self._counters[0] = first + len(new)
            self._frames[first : first + len(new)] = pictures[new]
            self._owners[first : first + len(new)] = np.stack(
                [np.full(len(new), video, np.uint64), numbers[new].astype(np.uint64)], 1
            )
            hashes = self._hashes(video, numbers[new])
            words = _word(hashes, np.arange(first, first + len(new), dtype=np.uint64))
            for word, place in zip(words, hashes & self._mask, strict=True):
                for _ in range(len(self._table)):
                    if not self._table[place]:
                        self._table[place] = word
                        break
                    place = (place + np.uint64(1)) & self._mask
            for place in self._places(video):
                if self._lengths[place, 0] in (0, video):
                    self._lengths[place] = video, length
                    break

    def summary(self) -> str:
        """One line: frames taken from the cache since this process opened it, and what it holds."""
        hits, misses = (now - before for now, before in zip(self.hits_and_misses, self._before, strict=True))
        share = f"{hits / (hits + misses):.1%}" if hits + misses else "none"
        end = ""
        if self.used_bytes + self._frame_bytes > self.capacity_bytes:
            end = " and is full; raise data.cache_gb to keep the others"
        elif self._counters[_OUT_OF_SPACE]:
            end = f"; it kept no more, since what is free in {self.path.parent} is left for others"
        return (
            f"frame cache {self.path}: {share} of {hits + misses:,} frames came from it; it holds "
            f"{self.used_bytes / 1e9:.2f} of {self.capacity_bytes / 1e9:.2f} GB{end}"
        )

    @property
    def used_bytes(self) -> int:
        """What the kept frames take."""
        return self._used * self._frame_bytes

    @property
    def _used(self) -> int:
        """Slots that are taken."""
        return min(max(int(self._counters[0]), 0), self.slots)

    @property
    def hits_and_misses(self) -> tuple[int, int]:
        """Frames asked for that were kept, and that were not, by all processes since the file was made."""
        hits, misses = self._counters[2:_OUT_OF_SPACE].reshape(-1, 2).sum(0).tolist()
        return hits, misses

    def _hashes(self, video: int, numbers: np.ndarray) -> np.ndarray:
        """(n,) uint64, of which the low bits choose a place in the table and the high ones are kept in it."""
        mixed = np.uint64(video) ^ (numbers.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        hashed: np.ndarray = mixed ^ (mixed >> np.uint64(29))
        return hashed

    def _lookup(self, video: int, numbers: np.ndarray) -> np.ndarray:
        slots, hashes = np.full(len(numbers), -1, np.int64), self._hashes(video, numbers)
        waiting, places = np.arange(len(numbers)), hashes & self._mask
        for _ in range(len(self._table)):
            if not len(waiting):
                break
            words = self._table[places[waiting]]
            slot = (words & np.uint64(0xFFFFFFFF)).astype(np.int64) - 1
            is_likely = (slot >= 0) & (slot < self.slots) & (words == _word(hashes[waiting], slot.astype(np.uint64)))
            owners = self._owners[np.where(is_likely, slot, 0)]
            is_found = is_likely & (owners[:, 0] == video) & (owners[:, 1] == numbers[waiting].astype(np.uint64))
            slots[waiting[is_found]] = slot[is_found]
            waiting = waiting[~is_found & (words != 0)]
            places[waiting] = (places[waiting] + np.uint64(1)) & self._mask
        return slots

    def _places(self, video: int) -> Iterator[int]:
        """Where a video's length may stand, in the order in which to look."""
        places = len(self._lengths)
        first = (video * int(_GOLDEN) >> 20) % places
        yield from ((first + step) % places for step in range(places))

    def _counting_line(self) -> int:
        """This process's own line of counters."""
        if self._process != os.getpid():
            with self._turn():
                self._line = min(max(int(self._counters[1]), 0), _PROCESSES - 1)
                self._counters[1] += 1
            self._process = os.getpid()
        return self._line

    def _claim(self, start: int, count: int) -> None:
        """Let the file system set bytes aside; writing where it has none left would kill the process.

        Raises:
            OSError: If too little is left, or nothing for others.
        """
        space = os.fstatvfs(self._file)
        spare = min(_SPARE_BYTES, space.f_blocks * space.f_frsize // 2)
        if space.f_bavail * space.f_frsize - count < spare:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file, start, count)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Alone among all processes, not among threads; the lock of a process that is killed is given up."""
        fcntl.lockf(self._turns, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._turns, fcntl.LOCK_UN)


def _word(hashed: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """Upper half of a hash and a slot, counted from 1, in one word that is written at once."""
    word: np.ndarray = (hashed >> np.uint64(32) << np.uint64(32)) | (slot + np.uint64(1))
    return word
