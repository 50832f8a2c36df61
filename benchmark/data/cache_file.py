"""Which folder the decoded frames of a run are kept in, and when older ones go."""

import functools
import hashlib
import inspect
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Literal

import cv2

from benchmark.data import (
    cache,
    container,
    decode,
    display,
    packets,
    preprocess,
    pyav_video,
    timeline,
    torchcodec_video,
)
from benchmark.data.cache import FrameCache
from benchmark.data.cache_claim import remove_unused
from benchmark.data.own_files import private_folder
from benchmark.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CacheMode = Literal["off", "memory", "disk", False]  # YAML reads an unquoted `off` as false

_FRAMES_COME_FROM = (cache, container, decode, display, packets, preprocess, pyav_video, timeline, torchcodec_video)

_MEMORY = Path("/dev/shm")  # where Linux keeps files in memory


def open_cache(
    mode: Literal["memory", "disk"],
    folder: Path,
    *,
    owner: str,
    videos: Path,
    decoder: decode.DecoderName,
    side: int,
    capacity_bytes: int,
    made_by: str = "",
) -> FrameCache:
    """The cache of a run.

    Args:
        mode: `disk` is shared by all runs on these videos and outlives them, until the machine is started again;
            `memory` is shared by the processes of one run and goes with it.
        folder: Of `disk`.
        owner: Names the run, the same in all of its processes.
        videos: Folder of the videos.
        decoder: Backend that decodes.
        side: Height and width of a frame in pixels.
        capacity_bytes: See `FrameCache`; a cache of another size on the same videos gives way, unless it is in use.
        made_by: What else the bytes of a frame depend on.

    Raises:
        UserError: If the machine has no memory file system, or the folder cannot be used.
    """
    if fcntl is None:
        raise UserError(f"data.cache is {mode}, which needs a POSIX system; use data.cache=off on this machine")
    if mode == "memory":
        if not _MEMORY.is_dir():
            raise UserError(f"data.cache is memory, which needs {_MEMORY}; use data.cache=disk on this machine")
        folder = private_folder(_MEMORY / f"clipbench-{os.geteuid()}")
    boot_file = Path("/proc/sys/kernel/random/boot_id")
    boot = boot_file.read_text("utf-8").strip() if boot_file.exists() else ""
    machine = f"frames-{_digest(platform.node())}"
    start = f"{machine}-{_digest(boot)}"
    content = _digest(videos.absolute(), decoder, side, _made_by(decoder), made_by, owner if mode == "memory" else "")
    path = folder / f"{start}-{content}-{capacity_bytes}"
    for other in folder.glob(f"{machine}-*"):
        # Of an earlier start of this machine, or of another size; in memory, of a run that was killed.
        is_of_others = other.name.startswith(f"{start}-") and not other.name.startswith(f"{start}-{content}-")
        if other != path and (mode == "memory" or not is_of_others):
            remove_unused(other)
    return FrameCache(path, side, capacity_bytes)


@functools.cache
def _made_by(decoder: decode.DecoderName) -> str:
    """The code and the libraries that the bytes of a frame depend on."""
    sources = [inspect.getsource(module) for module in _FRAMES_COME_FROM]
    libraries = {"pyav": ["av"], "torchcodec": ["av", "torchcodec"]}[decoder]
    return _digest(*sources, *map(metadata.version, libraries), cv2.__version__)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(os.fsencode("\0".join(map(str, parts))), digest_size=6).hexdigest()
