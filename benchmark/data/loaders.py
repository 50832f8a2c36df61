"""Loaders of a data module: its own, which read clips from videos, and what takes their place."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from torch.utils.data import DataLoader

from benchmark.clip import ClipBatch
from benchmark.data.cache import FrameCache
from benchmark.data.dataset import ClipReader, Collate, TrainingClips, VideoClips
from benchmark.data.drawn_clips import DrawnClips, chunks
from benchmark.data.index import Split
from benchmark.data.loader import EpochBatches, ResumableLoader, VideoBatches
from benchmark.data.workers import require_shared_memory, worker_options
from benchmark.protocol import Protocol as ScoringProtocol

if TYPE_CHECKING:
    from benchmark.data.datamodule import VideoDataModule


class Loaders(Protocol):
    """Makes the loaders of a data module, which says what each batch is of; another one may take the place of its own.

    Args:
        gives_frames: Whether batches hold frames, which the whole network sees.
        draws: Augmentations of each training clip, as `EpochBatches` takes them.
    """

    gives_frames: bool
    draws: int | None

    def training(self, batches: EpochBatches) -> DataLoader[Any]:
        """Training batches."""

    def evaluation(self, split: Split, batches: VideoBatches) -> DataLoader[Any]:
        """Videos to score, of one split."""


class ClipLoaders:
    """Loaders of clips that are read from videos.

    Args:
        data: Says how clips are cut, and what the network needs of them.
    """

    gives_frames = True
    draws: int | None = None

    def __init__(self, data: "VideoDataModule") -> None:
        self.data = data

    def training(self, batches: EpochBatches) -> ResumableLoader:
        """Random clips, augmented."""
        data, side = self.data, self.data.needs.input_side
        clips = TrainingClips(
            data.index, self._random_clips(), side, data.seed, data.augmentation, visited=batches.visited
        )
        return ResumableLoader(clips, batch_sampler=batches, **self._centre())  # type: ignore[arg-type]  # collated

    def drawn(self, keys: np.ndarray) -> DataLoader[ClipBatch]:
        """Training clips in chosen draws of their augmentation; each batch is one of `chunks(keys)`."""
        data, side = self.data, self.data.needs.input_side
        clips = DrawnClips(data.index, self._random_clips(), side, data.seed, data.augmentation)
        batches = [[chunk] for chunk in chunks(keys, data.batch_size)]
        return DataLoader(clips, batch_sampler=batches, **self._centre())  # type: ignore[arg-type]  # collated

    def evaluation(self, split: Split, batches: VideoBatches) -> DataLoader[ClipBatch]:
        """All clips of each video, each in all views; those of validation come from the cache where there is one."""
        data, offsets, is_validation = self.data, self.data.needs.frame_offsets, split == "validation"
        protocol = data.validation_protocol if is_validation else data.test_protocol
        reader = self.reader(protocol, data.frame_cache if is_validation else None)
        return DataLoader(
            VideoClips(data.index, reader),  # type: ignore[arg-type]  # collated
            batch_sampler=batches,
            collate_fn=Collate(data.num_classes, len(offsets), protocol.frame_side, protocol.views),
            **self._workers(max(data.batch_size, protocol.clips_per_video), protocol.frame_side),
        )

    def reader(self, protocol: ScoringProtocol, cache: FrameCache | None) -> ClipReader:
        """What reads the clips of files, for those loaders."""
        return ClipReader(protocol, self.data.needs.frame_offsets, self.data.decoder, cache)

    def _random_clips(self) -> ClipReader:
        return self.reader(self.data.test_protocol, self.data.frame_cache)

    def _centre(self) -> dict[str, Any]:
        """What loaders of training clips have in common."""
        needs = self.data.needs
        collate = Collate(self.data.num_classes, len(needs.frame_offsets), needs.input_side, ("centre",))
        return {"collate_fn": collate, **self._workers(self.data.batch_size, needs.input_side)}

    def _workers(self, clips: int, side: int) -> dict[str, Any]:
        """Of a loader whose batches hold up to so many clips of this side in pixels."""
        data = self.data
        cache = data.__dict__.get("frame_cache") if data.cache == "memory" else None  # of tests there is none
        left = None if cache is None else cache.free_when_full
        require_shared_memory(clips * len(data.needs.frame_offsets) * side**2 * 3, data.num_workers, left)
        return worker_options(data.num_workers, data.multiprocessing_context, data.device)
