"""Generates the video files of SyntheticActions once, whatever number of processes ask for them at the same time."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import av.video
import numpy as np
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmark.caches import cache_folder
from benchmark.data.synthetic_plan import CLASSES, PlannedVideo, plan
from benchmark.data.synthetic_scenes import FRAMES, HEIGHT, WIDTH, draw_frames
from benchmark.errors import UserError
from benchmark.wording import counted

NAME = "SyntheticActions"
VERSION = 2
"""Changes whenever a frame, its encoding or an annotation does."""

FRAMES_PER_SECOND = 25
ANNOTATION = "annotation.json"
_VIDEOS = "videos"
_THREADS = 2  # Drawing, hashing and encoding all release the interpreter lock.
_QUANTISER = {"appearance": 2, "motion": 12, "detail": 1, "context": 2}
"""At 2 and above, what is rounded away of a fine texture's neighbourhood still tells the texture at half resolution."""

_KEYFRAME_EVERY = {"appearance": 25, "motion": 1, "detail": 50, "context": 25}
"""Frames. Motion is all key frames: a frame predicted from others would show where they were, and so the direction."""


def require_videos(root: Path | None, *, seed: int, source_groups: int) -> Path:
    """The folder of the finished set, generated first where it is not there.

    Several processes may call this at once: one generates, the others wait for it. A set has its final name
    only when it is complete.

    Args:
        root: Folder that holds generated sets; None is the user's cache folder.
        seed: Seed of the set.
        source_groups: Source groups of each class.

    Returns:
        A folder with annotation.json and videos/.

    Raises:
        UserError: If the seed or the number of source groups is out of range, or the folder cannot be written.
    """
    videos = plan(seed, source_groups)
    parent = cache_folder() if root is None else root
    folder = parent / f"{NAME}-v{VERSION}-seed{seed}-g{source_groups:02d}"
    if folder.is_dir():
        return folder
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _generate_beside(folder, videos, seed)
    except OSError as error:
        raise UserError(
            f"{NAME} cannot be generated in {parent}: {error}. Pass a folder that can be written, on a disk with "
            "100 MB to spare, as data.root."
        ) from error
    return folder


def _generate_beside(folder: Path, videos: tuple[PlannedVideo, ...], seed: int) -> None:
    """Generate under another name, which only the holder of the lock uses, and rename at the end."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    generate(unfinished, videos, seed=seed)
    unfinished.rename(folder)


def generate(folder: Path, videos: tuple[PlannedVideo, ...], *, seed: int) -> None:
    """Draw and encode videos and write the annotation file.

    Args:
        folder: Created; must not hold a set already.
        videos: What to draw.
        seed: Seed of the set.
    """
    (folder / _VIDEOS).mkdir(parents=True)
    console = Console(stderr=True)
    console.print(
        f"Generating {NAME}: {counted(len(videos), 'video')}, once, into {folder.parent}", soft_wrap=True, markup=False
    )
    columns = (TextColumn("generating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    digests: list[str] = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("generating", total=len(videos))
        with ThreadPoolExecutor(_THREADS) as pool:
            for digest in pool.map(lambda video: _write_video(folder / _file(video), video, seed), videos):
                digests.append(digest)
                progress.advance(task)
    text = json.dumps(_annotation(videos, seed, digests), indent=1)
    (folder / ANNOTATION).write_text(text, encoding="utf-8")


def read_annotation(folder: Path) -> dict[str, Any]:
    """What the annotation file of a set says.

    Args:
        folder: Folder of a finished set.

    Returns:
        name, version, seed, fingerprint, classes and videos; see the file.

    Raises:
        UserError: If the file is missing or damaged.
    """
    path = folder / ANNOTATION
    try:
        annotation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if annotation["name"] == NAME and annotation["version"] == VERSION:
            return annotation
        problem = f"it describes {annotation['name']} version {annotation['version']}, expected {NAME} {VERSION}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise UserError(f"{path} cannot be used ({problem}). Delete the folder {folder}; it is then generated again.")


def _file(video: PlannedVideo) -> str:
    return f"{_VIDEOS}/{video.video_id}.mp4"


def _annotation(videos: tuple[PlannedVideo, ...], seed: int, digests: list[str]) -> dict[str, Any]:
    rows = [
        {
            "video_id": video.video_id,
            "file": _file(video),
            "labels": list(video.classes),
            "group": CLASSES[video.classes[0]],
            "source_group": video.source_group,
            "camera_motion": video.camera_motion,
            "test_fold": video.test_fold,
            "frames_sha256": digest,
        }
        for video, digest in zip(videos, digests, strict=True)
    ]
    return {
        "name": NAME,
        "version": VERSION,
        "seed": seed,
        "fingerprint": hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16],
        "frames_per_second": FRAMES_PER_SECOND,
        "width": WIDTH,
        "height": HEIGHT,
        "frames": FRAMES,
        "classes": [{"name": name, "group": group} for name, group in CLASSES.items()],
        "videos": rows,
    }


def _write_video(path: Path, video: PlannedVideo, seed: int) -> str:
    """Encode one video; returns the SHA-256 of its frames before encoding."""
    digest = hashlib.sha256()
    _encode(path, CLASSES[video.classes[0]], _hashed(draw_frames(video, seed), digest))
    return digest.hexdigest()


def _hashed(frames: Iterable[np.ndarray], digest: "hashlib._Hash") -> Iterable[np.ndarray]:
    """The same frames; a repeated one is hashed as a repetition, which is quicker and says as much."""
    last = None
    for frame in frames:
        digest.update(b"same" if frame is last else frame.data)
        last = frame
        yield frame


def _encode(path: Path, group: str, frames: Iterable[np.ndarray]) -> None:
    """MPEG-4 part 2 at a constant quantiser and without bidirectional frames."""
    with av.open(path, "w") as container:
        quantiser = str(_QUANTISER[group])
        options = {
            "qmin": quantiser,
            "qmax": quantiser,
            "i_qfactor": "1",
            "flags": "+aic",
            "g": str(_KEYFRAME_EVERY[group]),
            "sc_threshold": "1000000000",
        }
        stream = container.add_stream("mpeg4", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="yuv420p")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
