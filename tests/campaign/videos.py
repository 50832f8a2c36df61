"""Damaged videos: read as decoding in order reads them, or refused with a reason, whichever frames are asked for.

What cannot be found out is that a decoder takes wrong bits for right ones, as those of HEVC and VP9 mostly do. So the
pictures are compared with those that FFmpeg gives for the same damaged file when it decodes it from start to end, and
which it does not report as damaged itself.
"""

import dataclasses
import functools
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.stream import VideoStream

from benchmark.data.container import metadata_options
from benchmark.data.decode import DecodeError, DecoderName, open_video
from benchmark.data.packets import INDEXED
from tests.campaign.attacks import Kind, Outcome, require
from tests.campaign.mutations import MUTATIONS, Source
from tests.generators.decoders import torchcodec_missing, upright
from tests.generators.encoded import encode, encode_packed

CLIP = 16
_STARTS = 4  # clips tried of each file
_LARGEST_DIFFERENCE = 1.0  # mean over a picture; FFmpeg's conversions differ by rounding
_LARGE = 10**6  # pixels
_ENDINGS = (".mp4", ".avi", ".mkv", ".webm", ".ts", ".mpg", ".gif", ".mov", "", ".txt", ".png")

# Encoder and its options by file name.
_CODINGS: dict[str, tuple[str, str, dict[str, str]]] = {
    "mpeg4.avi": ("mpeg4", "yuv420p", {"bf": "2", "g": "12", "qscale": "5", "b_strategy": "0"}),
    "mpeg4.mp4": ("mpeg4", "yuv420p", {"g": "12", "qscale": "5"}),
    "h264.mp4": ("libx264", "yuv420p", {"bf": "3", "g": "12", "b_strategy": "0", "crf": "23"}),
    "h264.mkv": ("libx264", "yuv420p", {"bf": "2", "g": "12", "crf": "25", "preset": "veryfast"}),
    "h264.mov": ("libx264", "yuv420p", {"bf": "2", "g": "250", "crf": "25", "preset": "veryfast"}),
    "h264.flv": ("libx264", "yuv420p", {"bf": "0", "g": "12", "crf": "25", "preset": "veryfast"}),
    "h264.ts": ("libx264", "yuv420p", {"bf": "2", "g": "12", "crf": "25", "preset": "veryfast"}),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "keyint=12:log-level=none", "crf": "25"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"cpu-used": "8", "deadline": "realtime", "g": "12", "b": "200k"}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"g": "12", "bf": "2"}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "moving.gif": ("gif", "rgb8", {}),
}


@dataclasses.dataclass(frozen=True)
class _InOrder:
    """What FFmpeg shows of a file from start to end.

    Args:
        pictures: RGB of each frame, None where FFmpeg reports it damaged or it has another size.
        times: When each is shown, None where unknown.
        faults: Packets that could not be decoded.
        packets: How many there are.
        known: Times of all packets in order, where each has one of its own.
    """

    pictures: list[np.ndarray | None]
    times: list[int | None]
    faults: int
    packets: int
    known: list[int] | None


def prepare(folder: Path) -> list[Source]:
    """Sound videos of many containers and codecs."""
    paths = []
    for name, (codec, pixels, options) in _CODINGS.items():
        paths.append(encode(folder / name, codec=codec, pixels=pixels, options=options, frames=40))
    paths.append(encode_packed(folder / "packed.avi"))
    return [Source(path, [other for other in paths if other != path]) for path in paths]


def attack(sources: list[Source], seed: int, folder: Path) -> Outcome:
    """Damage one file in one way, and read clips of it."""
    rng = np.random.default_rng([seed, 7])
    name = list(MUTATIONS)[seed % len(MUTATIONS)]
    source = sources[seed // len(MUTATIONS) % len(sources)]
    what = f"{name} of {source.path.name}"
    suffix = source.path.suffix
    if name == "wrong_ending":
        suffix = str(rng.choice([ending for ending in _ENDINGS if ending != suffix]))
    path = folder / f"video{suffix}"
    path.write_bytes(MUTATIONS[name](rng, bytearray(source.content), source))
    decoder: DecoderName = "torchcodec" if rng.random() < 0.3 and not torchcodec_missing() else "pyav"
    in_order = _in_order(path)
    starts = [int(rng.integers(0, 40)) for _ in range(_STARTS)]
    read = [_check_clip(path, start, decoder, in_order, source, what) for start in starts]
    return Outcome("survived" if any(read) else "refused", what)


def _check_clip(path: Path, start: int, decoder: DecoderName, in_order: _InOrder, source: Source, what: str) -> bool:
    """Whether a clip is read, which must not depend on which of its frames are asked for."""
    chosen = (range(8, 9), range(0, CLIP, CLIP - 1), range(CLIP))
    read = [_read(path, start, offsets, decoder) for offsets in chosen]
    verdicts = [isinstance(found, str) for found in read]
    require(len(set(verdicts)) == 1, f"{what}, clip at {start}, {decoder}: {verdicts} by which frames are asked for")
    for found in read:
        if isinstance(found, str):
            require("\n" not in found and 0 < len(found) < 400, f"{what}: the reason {found!r} is no sentence")
            continue
        for number, picture in found.items():
            is_there = _is_there(picture, number, in_order) or _was_there(picture, number, source.path)
            require(is_there, f"{what}, {decoder}: frame {number} is not what decoding in order shows")
    return not any(verdicts)


def _read(path: Path, start: int, offsets: range, decoder: DecoderName) -> dict[int, np.ndarray] | str:
    try:
        with open_video(path, decoder) as video:
            start = min(start, max(0, video.frames - CLIP))
            span = range(start, min(start + CLIP, video.frames))
            numbers = sorted({min(start + offset, video.frames - 1) for offset in offsets})
            found = {number: _kept(upright(picture)) for number, picture in video.read(numbers, span)}
            require([*found] == numbers, f"asked for {numbers}, got {[*found]}")
            return found
    except DecodeError as error:
        return str(error)


def _kept(picture: np.ndarray) -> np.ndarray:
    """A picture; of a large one, of which there may be many, the size alone."""
    return np.broadcast_to(np.uint8(0), picture.shape) if _is_large(picture.shape) else picture


def _is_large(shape: tuple[int, ...]) -> bool:
    return shape[0] * shape[1] >= _LARGE


def _in_order(path: Path) -> _InOrder:
    pictures: list[np.ndarray | None] = []
    times: list[int | None] = []
    stamps: list[int | None] = []
    faults, has_times = 0, False
    try:
        with av.open(str(path), container_options={"protocol_whitelist": "file"}, **metadata_options()) as container:
            stream = container.streams.best("video")
            if isinstance(stream, VideoStream) and stream.codec_context is not None:
                # AVI has none of its own, and FFmpeg guesses them wrong where there are B-frames.
                guessed = container.format.name == "avi" and stream.codec_context.name in {"mpeg4", "h264"}
                has_times = container.format.name in INDEXED and not guessed
                stream.codec_context.thread_type = "NONE"
                for packet in container.demux(stream):
                    stamps += [packet.pts] if packet.size and not packet.is_discard else []
                    try:
                        frames = packet.decode()
                    except av.error.FFmpegError:
                        faults += 1
                        continue
                    for frame in frames:
                        sound = not frame.is_corrupt and not _is_large((frame.height, frame.width))
                        pictures.append(frame.to_ndarray(format="rgb24") if sound else None)
                        times.append(frame.pts)
    except (av.error.FFmpegError, OSError, ValueError, IndexError):
        pass  # what came before is there
    known = sorted(time for time in stamps if time is not None)
    is_known = has_times and len(stamps) == len(known) == len(set(known))
    return _InOrder(pictures, times, faults, len(stamps), known if is_known else None)


def _is_there(picture: np.ndarray, number: int, in_order: _InOrder) -> bool:
    """Whether a frame is among those that are shown in order, where it has to be.

    Where each packet has a time of its own, that is at the time of that number. Else frames are counted, and those that
    cannot be decoded may be counted or not.
    """
    shown, times = in_order.pictures, in_order.times
    if _is_large(picture.shape):
        return True  # nothing is kept of those
    near: list[int] = []
    if in_order.known is not None and number < len(in_order.known):
        near = [place for place, time in enumerate(times) if time == in_order.known[number]]
    if in_order.known is None or len(shown) != in_order.packets:
        doubtful = in_order.faults + sum(other is None for other in shown) + abs(len(shown) - in_order.packets)
        near += [place for place in range(len(shown)) if abs(place - number) <= 2 + doubtful]
    return any(_is_same(other, picture) for place in near if (other := shown[place]) is not None)


@functools.lru_cache
def _undamaged(path: Path) -> _InOrder:
    return _in_order(path)


def _was_there(picture: np.ndarray, number: int, sound: Path) -> bool:
    """Whether a frame is that of the file before it was damaged.

    After an error PyAV gives back no frames that wait for others, and of VP9 none at all; a decoder that begins at a
    keyframe does.
    """
    pictures = _undamaged(sound).pictures
    own = pictures[number] if number < len(pictures) else None
    return own is not None and _is_same(own, picture)


def _is_same(stored: np.ndarray, picture: np.ndarray) -> bool:
    """Whether two pictures are one, turned or mirrored as a display matrix may say, a damaged one too."""
    for turned in (stored, stored.transpose(1, 0, 2)):
        if turned.shape == picture.shape:
            for seen in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]):
                if np.abs(seen.astype(int) - picture).mean() <= _LARGEST_DIFFERENCE:
                    return True
    return False


VIDEOS = Kind("videos", attack, prepare, size=10_000, seconds=180, share=6)
