"""Other ways of reading clips, each by its own public interface, on the same videos as ours and in turns with it.

Every way gives what ours gives: the centre square of ten consecutive frames at 200x200, uint8 RGB. Libraries that leave
the geometry to their user get it from torchvision, as their documentation suggests, and OpenCV from OpenCV. Where a
library lets its threads be chosen it gets one, as a loader worker has one of many.

Every other library finds out about a file each time that it opens it. Ours learns a file's timeline when a process
first opens it and remembers it, so ours races twice: as in the first epoch of a fit, and as in all that follow.
"""

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmark.data.decode import open_video
from benchmark.data.preprocess import square_rgb
from benchmark.data.pyav_video import read_timeline
from benchmark.errors import UserError
from benchmark.speed.bare_decoder import decode_alone
from benchmark.speed.report import Stage

OURS, DECODING_ALONE = "clipbench", "decoding alone"
FIRST_OPENING, OPENED_BEFORE = f"{OURS}, first opening", f"{OURS}, opened before"
CLIP_FRAMES, SIDE = 10, 200

Result = TypeVar("Result")
TrainingPeer = Callable[[Path, int, float], Tensor]
TestPeer = Callable[[Path, float, Sequence[int]], list[Tensor]]


def _ours(path: Path, numbers: Sequence[int]) -> np.ndarray:
    pictures = np.empty((len(numbers), SIDE, SIDE, 3), np.uint8)
    with open_video(path) as video:
        for place, (_, picture) in enumerate(video.read(numbers)):
            square_rgb(picture, SIDE, pictures[place])
    return pictures


def _clipbench(path: Path, start: int, frames_per_second: float) -> Tensor:
    return torch.from_numpy(_ours(path, range(start, start + CLIP_FRAMES)))


def _clipbench_test(path: Path, frames_per_second: float, starts: Sequence[int]) -> list[Tensor]:
    numbers = np.add.outer(np.array(starts), np.arange(CLIP_FRAMES))
    distinct, places = np.unique(numbers, return_inverse=True)  # a frame that clips share is decoded once
    return list(torch.from_numpy(_ours(path, distinct.tolist())[places.reshape(numbers.shape)]))


def _first_opening(path: Path, start: int, frames_per_second: float) -> Tensor:
    read_timeline(path)  # as the first opening of a file does; what is remembered of it stays
    return _clipbench(path, start, frames_per_second)


def _first_opening_test(path: Path, frames_per_second: float, starts: Sequence[int]) -> list[Tensor]:
    read_timeline(path)
    return _clipbench_test(path, frames_per_second, starts)


def _square(frames: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 200, 200, C) uint8, by torchvision."""
    from torchvision.transforms.v2 import functional

    short = min(frames.shape[-2:])
    resized: Tensor = functional.resize(functional.center_crop(frames, [short, short]), [SIDE, SIDE], antialias=True)
    return resized.to(torch.uint8).permute(0, 2, 3, 1)


def _clips_of(frames: Tensor) -> list[Tensor]:
    return list(frames.reshape(-1, CLIP_FRAMES, *frames.shape[1:]))


def _pytorchvideo(path: Path, start: int, frames_per_second: float) -> Tensor:
    return _pytorchvideo_test(path, frames_per_second, [start])[0]


def _pytorchvideo_test(path: Path, frames_per_second: float, starts: Sequence[int]) -> list[Tensor]:
    from pytorchvideo.data.encoded_video import EncodedVideo

    video = EncodedVideo.from_path(str(path), decode_audio=False, decoder="pyav")
    clips = []
    for start in starts:  # half a frame early, so that rounding of times loses none
        clip = video.get_clip((start - 0.5) / frames_per_second, (start + CLIP_FRAMES - 0.5) / frames_per_second)
        # It hands out float32; what is resized as uint8 is resized several times as fast.
        clips.append(_square(clip["video"].permute(1, 0, 2, 3).to(torch.uint8)))
    video.close()
    return clips


def _torchcodec(path: Path, start: int, frames_per_second: float) -> Tensor:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), seek_mode="approximate", num_ffmpeg_threads=1)
    return _square(decoder.get_frames_in_range(start, start + CLIP_FRAMES).data)


def _torchcodec_in_bulk(path: Path, frames_per_second: float, starts: Sequence[int]) -> list[Tensor]:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), seek_mode="approximate", num_ffmpeg_threads=1)
    numbers = [start + frame for start in starts for frame in range(CLIP_FRAMES)]
    return _clips_of(_square(decoder.get_frames_at(numbers).data))


def _decord(path: Path, start: int, frames_per_second: float) -> Tensor:
    return _decord_test(path, frames_per_second, [start])[0]


def _decord_test(path: Path, frames_per_second: float, starts: Sequence[int]) -> list[Tensor]:
    decord = importlib.import_module("decord")
    reader = decord.VideoReader(str(path), num_threads=1)
    pictures = reader.get_batch([start + frame for start in starts for frame in range(CLIP_FRAMES)]).asnumpy()
    return _clips_of(_square(torch.from_numpy(pictures).permute(0, 3, 1, 2)))


def _opencv(path: Path, start: int, frames_per_second: float) -> Tensor:
    return _opencv_test(path, frames_per_second, [start])[0]


def _opencv_test(path: Path, frames_per_second: float, starts: Sequence[int]) -> list[Tensor]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    clips = []
    for start in starts:
        capture.set(cv2.CAP_PROP_POS_FRAMES, start)
        pictures = np.empty((CLIP_FRAMES, SIDE, SIDE, 3), np.uint8)
        for place in range(CLIP_FRAMES):
            is_read, picture = capture.read()
            if not is_read:
                raise RuntimeError(f"frame {start + place} could not be read")
            height, width = picture.shape[:2]
            short = min(height, width)
            top, left = (height - short) // 2, (width - short) // 2
            square = cv2.cvtColor(picture[top : top + short, left : left + short], cv2.COLOR_BGR2RGB)
            method = cv2.INTER_AREA if short > 1.25 * SIDE else cv2.INTER_LINEAR  # as ours
            pictures[place] = cv2.resize(square, (SIDE, SIDE), interpolation=method)
        clips.append(torch.from_numpy(pictures))
    capture.release()
    return clips


def _decoding_alone(path: Path, start: int, frames_per_second: float) -> Tensor:
    decode_alone(path, start, start + CLIP_FRAMES - 1, frames_per_second)
    return torch.empty(0, SIDE, SIDE, 3, dtype=torch.uint8)


def _decoding_alone_test(path: Path, frames_per_second: float, starts: Sequence[int]) -> list[Tensor]:
    decode_alone(path, min(starts), max(starts) + CLIP_FRAMES - 1, frames_per_second)
    return []


def _one_by_one(peer: TrainingPeer) -> TestPeer:
    """Each clip of a test by an opening of the file of its own."""
    return lambda path, frames_per_second, starts: [peer(path, start, frames_per_second) for start in starts]


TRAINING_PEERS: dict[str, TrainingPeer] = {
    FIRST_OPENING: _first_opening,
    OPENED_BEFORE: _clipbench,
    "pytorchvideo": _pytorchvideo,
    "torchcodec": _torchcodec,
    "decord": _decord,
    "opencv": _opencv,
    DECODING_ALONE: _decoding_alone,
}
"""A training clip: (path, first frame, frames a second) to (10, 200, 200, 3) uint8; the limit gives no frames."""

TEST_PEERS: dict[str, TestPeer] = {
    FIRST_OPENING: _first_opening_test,
    OPENED_BEFORE: _clipbench_test,
    "pytorchvideo": _pytorchvideo_test,
    "torchcodec, one open a clip": _one_by_one(_torchcodec),
    "torchcodec, in bulk": _torchcodec_in_bulk,
    "decord": _decord_test,
    "opencv": _opencv_test,
    DECODING_ALONE: _decoding_alone_test,
}
"""A test's clips of one video: (path, frames a second, first frames) to as many (10, 200, 200, 3) uint8."""

_INSTALL = {
    "pytorchvideo": ("pytorchvideo.data.encoded_video", "pip install 'clipbench[zoo]'"),
    "torchcodec": ("torchcodec.decoders", "pip install 'clipbench[torchcodec]', and FFmpeg's libraries"),
    "decord": ("decord", "pip install decord, where there is a wheel for this Python"),
}


def library_of(name: str) -> str:
    """`torchcodec` of `torchcodec, in bulk`."""
    return name.partition(",")[0]


def choose_peers(wanted: Sequence[str] | str | None) -> tuple[list[str], dict[str, str]]:
    """Libraries to compare with, and those that are not there with what to install.

    Args:
        wanted: Names, or `all` for whatever is installed; None and no names compare with nobody.

    Returns:
        Names of libraries, ours and the limit among them, and the missing ones.

    Raises:
        UserError: If a name is unknown, or a library that was asked for by name cannot be imported.
    """
    named = [wanted] if isinstance(wanted, str) else list(wanted or [])
    if not named:
        return [], {}
    known = list(dict.fromkeys(map(library_of, TRAINING_PEERS)))
    if unknown := [name for name in named if name not in {*known, "all"}]:
        offered = [name for name in known if name != OURS]
        raise UserError(f"speed.compare names {', '.join(unknown)}; allowed are all, {', '.join(offered)}")
    missing = {}
    for name in known if "all" in named else named:
        if reason := _why_missing(name):
            missing[name] = reason
    for name in named:
        if name in missing:
            raise UserError(f"speed.compare names {name}, which {missing[name]}; install it, or leave it out")
    chosen = {*(known if "all" in named else named), OURS, DECODING_ALONE} - missing.keys()
    return [name for name in known if name in chosen], missing


def _why_missing(name: str) -> str:
    if name not in _INSTALL:
        return ""
    module, install = _INSTALL[name]
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return f"is not installed ({install})"
    except (ImportError, OSError, RuntimeError) as error:
        return f"cannot be loaded: {(str(error).strip().splitlines() or ['no reason given'])[0][:120]} ({install})"
    return ""


def race(
    ways: Mapping[str, Callable[..., object]],
    rounds: Sequence[Sequence[tuple[object, ...]]],
    *,
    clips: int = 1,
    failed: dict[str, str] | None = None,
) -> dict[str, Stage]:
    """Time several ways of doing the same work, in an order that turns from round to round; rates by name.

    Args:
        ways: By name.
        rounds: Arguments of each call, for each round; every way gets all of them.
        clips: That one call reads.
        failed: Where ways that cannot do the work are left with the reason, and then raise nothing.

    Raises:
        UserError: If a way cannot do the work, and no list of failures is asked for.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    with _one_thread():
        for number, calls in enumerate(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                if name not in seconds:
                    continue
                try:
                    if not number:
                        _call(name, ways[name], calls[0])  # what is imported and set up once is nobody's speed
                    start = time.perf_counter()
                    for arguments in calls:
                        _call(name, ways[name], arguments)
                    seconds[name].append(time.perf_counter() - start)
                except UserError as error:
                    if failed is None:
                        raise
                    failed[name] = f"({error})"
                    del seconds[name]
    counts = tuple(clips * len(calls) for calls in rounds)
    return {name: Stage(name, counts, tuple(held)) for name, held in seconds.items()}


def _call(name: str, way: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
    try:
        return way(*arguments)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{name} cannot read {arguments[0]} ({type(error).__name__}: {reason}); leave it out of speed.compare"
        ) from error


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch with one thread, as in a loader worker."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def grey_level_differences(names: Sequence[str], clips: Sequence[tuple[Path, int, float]]) -> dict[str, float]:
    """Mean absolute difference of each library's frames to ours, 0 to 255; where it is small they read the same frames.

    Args:
        names: Libraries, as `choose_peers` gives them.
        clips: Arguments of each call.

    Raises:
        UserError: If a library cannot read them.
    """
    found = {}
    with _one_thread():
        ours = [_clipbench(*clip).float() for clip in clips]
        for name in names:
            if name not in {OURS, DECODING_ALONE}:
                theirs = [_call(name, TRAINING_PEERS[name], clip).float() for clip in clips]
                if any(mine.shape != other.shape for mine, other in zip(ours, theirs, strict=True)):
                    found[name] = float("nan")  # not as many frames as were asked for
                    continue
                apart = [float((mine - other).abs().mean()) for mine, other in zip(ours, theirs, strict=True)]
                found[name] = sum(apart) / len(apart)
    return found
