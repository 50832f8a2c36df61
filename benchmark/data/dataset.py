"""Joins index, sampling, decoding and preprocessing into samples, and samples into batches.

Letters: n clips of one video, B clips of a batch, T frames, H height, W width, C channels (RGB), K classes.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch.utils.data import Dataset

from benchmark.clip import ClipBatch, Failure
from benchmark.data.cache import FrameCache, KnownVideo, video_key
from benchmark.data.decode import DecodeError, DecoderName, OpenVideo, open_video
from benchmark.data.index import Video, VideoIndex
from benchmark.data.laps import lap
from benchmark.data.preprocess import Augmentation, augment, square_rgb
from benchmark.data.sampling import ClipPlan
from benchmark.errors import UserError
from benchmark.protocol import Protocol, View

_Key = tuple[int, int, int]  # epoch or draw, row, clip


@dataclasses.dataclass(frozen=True)
class Sample:
    """Clips of one video.

    Args:
        row: Row of the video in the index.
        labels: Class numbers.
        frames: (n, T, H, W, C) uint8.
        clips: n clip numbers.
        starts: n first source frames.
        padded: Whether the video is shorter than a clip.
    """

    row: int
    labels: tuple[int, ...]
    frames: np.ndarray
    clips: Sequence[int]
    starts: Sequence[int]
    padded: bool


@dataclasses.dataclass(frozen=True)
class ClipReader:
    """Reads clips of a video as a strategy wants them.

    Args:
        protocol: Clip length, frame size and sampler seed.
        frame_offsets: T frames read in each clip, counted from its first frame.
        decoder: Backend that decodes.
        cache: Keeps decoded frames, or None.

    Raises:
        UserError: If an offset is outside the clip.
    """

    protocol: Protocol
    frame_offsets: tuple[int, ...]
    decoder: DecoderName = "pyav"
    cache: FrameCache | None = None

    reads_files: ClassVar[bool] = True
    """Whether each video is a file that a decoder opens."""

    def __post_init__(self) -> None:
        if not self.frame_offsets or not all(0 <= t < self.protocol.clip_frames for t in self.frame_offsets):
            raise UserError(
                f"frame_offsets are {self.frame_offsets}; each must be from 0 to {self.protocol.clip_frames - 1}, "
                "the frames of a clip. Change the model's frame_offsets"
            )

    def plan(self, video: Video, frames: int, shown_seconds: Callable[[], np.ndarray]) -> ClipPlan:
        """Where the clips of a video of so many frames lie; when they are shown is asked only where seconds count."""
        name, counts = video.sampled_as or video.video_id, self.protocol.clip_seconds is None
        return ClipPlan(self.protocol, name, frames, None if counts else shown_seconds(), video.starts)

    def read(self, video: Video, clips: Sequence[int], ahead: Sequence[int] = ()) -> Sample:
        """Clips of a video; a frame that several clips share is decoded once. The frames must not be written to.

        Args:
            video: The video.
            clips: Their numbers.
            ahead: Clips that will be wanted later: where anything has to be decoded, the cache is given theirs too.

        Raises:
            DecodeError: If the file cannot be read.
        """
        with contextlib.ExitStack() as stack:
            held = _SquareFrames(video, self, stack)
            plan = self.plan(video, held.length, held.shown_seconds)
            starts = [plan.start(clip) for clip in clips]
            numbers, span = self._frames(plan, starts)
            distinct, places = np.unique(numbers, return_inverse=True)
            later = functools.partial(self._frames_of, plan, ahead) if ahead else None
            lap("open")
            pictures = held.read(distinct, span, later)
        lap("open")  # closing goes with it
        # What is usual in training, one clip without a repeated frame, is there already.
        is_one_clip = len(clips) == 1 and np.array_equal(distinct, numbers[0])
        frames = pictures[None] if is_one_clip else pictures[places.reshape(numbers.shape)]
        return Sample(video.row, video.labels, frames, clips, starts, plan.is_short)

    def _frames(self, plan: ClipPlan, starts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Frames of clips that begin there: (n, T) that are read, and ascending all that have to be sound."""
        read = np.array([plan.numbers(start, self.frame_offsets) for start in starts])
        return read, np.unique([plan.numbers(start, tuple(range(self.protocol.clip_frames))) for start in starts])

    def _frames_of(self, plan: ClipPlan, clips: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The same of clips by their numbers, both ascending."""
        read, span = self._frames(plan, [plan.start(clip) for clip in clips])
        return np.unique(read), span

    def read_each(
        self, wanted: Sequence[tuple[Video, Sequence[int]]], ahead: Sequence[Sequence[int]] | None = None
    ) -> Iterator[Sample | Failure]:
        """Clips of each of some videos, in order; a reader may fetch them together.

        Args:
            wanted: Videos, and which of their clips.
            ahead: Other clips of each video that will be wanted later, if that is known.
        """
        for number, (video, clips) in enumerate(wanted):
            try:
                yield self.read(video, clips, ahead[number] if ahead else ())
            except DecodeError as error:
                yield Failure(video.row, video.video_id, str(error))

    def expect(self, wanted: Sequence[tuple[Video, Sequence[int]]]) -> None:
        """Told which clips `read_each` is probably asked for next; a reader may fetch them already."""


Later = Callable[[], tuple[np.ndarray, np.ndarray]]
"""Works out which frames will be wanted later, and which have to be sound for them."""


class _SquareFrames:
    """The square frames of one video, from the cache where they are kept; the file is opened only where needed.

    Args:
        video: The video.
        reader: Says how it is decoded, and where frames are kept.
        closing: Closes the file.
    """

    def __init__(self, video: Video, reader: ClipReader, closing: contextlib.ExitStack) -> None:
        self.path, self.reader, self.closing = video.path, reader, closing

    @functools.cached_property
    def opened(self) -> OpenVideo:
        """The file."""
        return self.closing.enter_context(open_video(self.path, self.reader.decoder))

    @functools.cached_property
    def key(self) -> int:
        """Name of the file's content in the cache."""
        try:
            return video_key(self.path)
        except FileNotFoundError:
            raise DecodeError("the file does not exist") from None
        except OSError as error:
            raise DecodeError(f"the file cannot be looked at: {error.strerror}") from None

    @functools.cached_property
    def length(self) -> int:
        """Frames of the video."""
        return self.opened.frames if self.known is None else self.known.length

    @functools.cached_property
    def known(self) -> KnownVideo | None:
        """What the cache knew of the video when it was first asked."""
        return None if self.reader.cache is None else self.reader.cache.known(self.key)

    def shown_seconds(self) -> np.ndarray:
        """When the frames are shown, which no cache keeps."""
        return self.opened.shown_seconds()

    def read(self, numbers: np.ndarray, span: np.ndarray, later: Later | None = None) -> np.ndarray:
        """(n, side, side, 3) uint8 of n ascending frame numbers; not to be written to.

        It fails unless the whole span is sound, wherever the frames come from: those that the cache has may be there
        for a clip that spans others.
        """
        cache = self.reader.cache
        if cache is None:
            return self._decode(numbers, span)
        pictures, is_kept = cache.read(self.key, numbers)
        if not is_kept.all() or self.known is None or not self.known.are_sound(span):
            pictures[~is_kept] = self._kept(cache, numbers[~is_kept], span, later)
        return pictures

    def _kept(self, cache: FrameCache, numbers: np.ndarray, span: np.ndarray, later: Later | None) -> np.ndarray:
        """The same of frames that the cache is given, and those that are wanted later on the way.

        There may be none, where only the span has to be looked at.
        """
        wanted = numbers
        if later is not None and not cache.is_full:
            more, more_span = later()
            wanted = np.union1d(numbers, more[~cache.keeps(self.key, more)])
        whole = span if wanted is numbers else np.union1d(span, more_span)
        try:
            decoded = self._decode(wanted, whole)
        except DecodeError:
            if wanted is numbers:
                raise
            self.__dict__.pop("opened", None)  # whatever the damage has left it in
            return self._kept(cache, numbers, span, None)
        cache.add(self.key, self.length, wanted, decoded, whole)
        return decoded[np.searchsorted(wanted, numbers)]

    def _decode(self, numbers: np.ndarray, span: np.ndarray) -> np.ndarray:
        side = self.reader.protocol.frame_side
        pictures = np.empty((len(numbers), side, side, 3), np.uint8)
        for place, (_, picture) in enumerate(self.opened.read(numbers.tolist(), span.tolist())):
            lap("decode")
            square_rgb(picture, side, pictures[place])
            lap("convert and resize")
        return pictures


class TrainingClips(Dataset[Sample | Failure]):
    """One clip a sample, varied at random; keys are (epoch, row, clip).

    Args:
        index: The videos.
        reader: How clips are read.
        side: Side of the random region in pixels: the model's input.
        seed: Seed of the augmentation, which is a function of (seed, epoch, row, clip).
        augmentation: How clips vary.
        visited: Clips of a video that come in an epoch, by epoch and row: what has a cache decodes them together.
    """

    def __init__(
        self,
        index: VideoIndex,
        reader: ClipReader,
        side: int,
        seed: int,
        augmentation: Augmentation = Augmentation(),
        visited: Callable[[int, int], Sequence[int]] | None = None,
    ) -> None:
        self.index, self.reader, self.side, self.seed = index, reader, side, seed
        self.augmentation = augmentation
        self.visited = visited if reader.cache is not None else None

    def __getitem__(self, key: _Key) -> Sample | Failure:
        return self._read([key])[0]

    def __getitems__(self, keys: Sequence[_Key]) -> list[Sample | Failure]:
        """The samples of a batch, which PyTorch asks for at once."""
        if type(self).__getitem__ is not TrainingClips.__getitem__:  # a subclass makes samples of its own
            return [self[key] for key in keys]
        return self._read(keys, getattr(keys, "coming", ()))

    def _read(self, keys: Sequence[_Key], coming: Sequence[_Key] = ()) -> list[Sample | Failure]:
        ahead = [self.visited(epoch, row) for epoch, row, _ in keys] if self.visited is not None else None
        read = self.reader.read_each(self._wanted(keys), ahead)
        self.reader.expect(self._wanted(coming))
        return [self._varied(sample, *key) for sample, key in zip(read, keys, strict=True)]

    def _wanted(self, keys: Sequence[_Key]) -> list[tuple[Video, Sequence[int]]]:
        return [(self.index.video(row), [clip]) for _, row, clip in keys]

    def _varied(self, sample: Sample | Failure, epoch: int, row: int, clip: int) -> Sample | Failure:
        if isinstance(sample, Failure):
            return sample
        rng = augmentation_rng(self.seed, epoch, row, clip)
        frames = augment(sample.frames[0], self.side, rng, self.augmentation)
        lap("cut")
        return dataclasses.replace(sample, frames=frames[None])


def augmentation_rng(seed: int, turn: int, row: int, clip: int) -> np.random.Generator:
    """Source of the crop and flip of a clip; a turn is an epoch, or one of a few draws that epochs take in turn."""
    return np.random.default_rng([seed, 2, turn, row, clip])


class VideoClips(Dataset[Sample | Failure]):
    """All clips of a video a sample, decoded together; keys are rows.

    Args:
        index: The videos.
        reader: How clips are read; its protocol says how many.
    """

    def __init__(self, index: VideoIndex, reader: ClipReader) -> None:
        self.index, self.reader = index, reader

    def __getitem__(self, row: int) -> Sample | Failure:
        return self._read([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[Sample | Failure]:
        """The samples of a batch, which PyTorch asks for at once."""
        if type(self).__getitem__ is not VideoClips.__getitem__:  # a subclass makes samples of its own
            return [self[row] for row in rows]
        return self._read(rows, getattr(rows, "coming", ()))

    def _read(self, rows: Sequence[int], coming: Sequence[int] = ()) -> list[Sample | Failure]:
        read = self.reader.read_each(self._wanted(rows))
        self.reader.expect(self._wanted(coming))
        return list(read)

    def _wanted(self, rows: Sequence[int]) -> list[tuple[Video, Sequence[int]]]:
        clips = range(self.reader.protocol.clips_per_video)
        return [(self.index.video(row), clips) for row in rows]


@dataclasses.dataclass(frozen=True)
class Collate:
    """Joins samples into a batch; a batch in which nothing could be read has no clips but the right shapes.

    Args:
        num_classes: K.
        frames: T.
        side: Height and width of the frames in pixels.
        views: Views of each clip that the model is to score.
    """

    num_classes: int
    frames: int
    side: int
    views: tuple[View, ...]

    def __call__(self, samples: Sequence[Sample | Failure]) -> ClipBatch:
        """A batch of all clips of the samples that could be read."""
        read = [sample for sample in samples if isinstance(sample, Sample)]
        counts = [len(sample.clips) for sample in read]
        labels = torch.zeros(len(read), self.num_classes)
        for position, sample in enumerate(read):
            labels[position, list(sample.labels)] = 1
        empty = np.empty((0, self.frames, self.side, self.side, 3), np.uint8)
        repeat = torch.tensor(counts, dtype=torch.int64)
        return ClipBatch(
            frames=torch.from_numpy(np.concatenate([empty, *(sample.frames for sample in read)])),
            labels=labels.repeat_interleave(repeat, 0),
            rows=torch.tensor([sample.row for sample in read], dtype=torch.int64).repeat_interleave(repeat),
            clips=torch.tensor([clip for sample in read for clip in sample.clips], dtype=torch.int64),
            starts=torch.tensor([start for sample in read for start in sample.starts], dtype=torch.int64),
            padded=torch.tensor([sample.padded for sample in read], dtype=torch.bool).repeat_interleave(repeat),
            views=self.views,
            failures=[sample for sample in samples if isinstance(sample, Failure)],
        )
