"""Gives a network whole videos, each as its histograms, in place of the clips of any data module.

Letters: B videos of a batch, F numbers that describe one, K classes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.clip import Failure, VideoBatch
from benchmark.data.container import DecodeError
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import Split, VideoIndex
from benchmark.data.loader import EpochBatches, ResumableLoader, VideoBatches
from benchmark.data.workers import worker_options
from benchmark.histograms.features import DIMENSIONS
from benchmark.histograms.filling import Histograms, count_all, describe_all, learned_words
from benchmark.histograms.store import Descriptions, store_folder
from benchmark.histograms.words import Words

Item = tuple[int, np.ndarray] | Failure


class CountsWords(Protocol):
    """What is read off the network: where descriptions are kept, how they are made, and the words."""

    stride: int
    words_seed: int
    store: Path | None
    has_words: Tensor

    @property
    def words(self) -> dict[str, Words]:
        """The words by feature."""

    def take_words(self, words: Mapping[str, Words]) -> None:
        """Count by these words from now on."""


class WholeVideos(L.Callback):
    """Works out what is missing of the videos of a fit or test, learns words where there are none, and loads both."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take the place of the data module's loaders of clips; loaders given by hand stay."""
        data: VideoDataModule | None = trainer.datamodule  # type: ignore[attr-defined]
        if data is not None:
            data.loaders = HistogramLoaders(cast(CountsWords, pl_module), data)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Learn the words of the training videos; those of a fit that goes on are in place."""
        data: VideoDataModule | None = trainer.datamodule  # type: ignore[attr-defined]
        if data is None:
            return
        network = cast(CountsWords, pl_module)
        if trainer.local_rank == 0:  # on each machine
            prepare(network, data)
        trainer.strategy.barrier("words")
        if trainer.local_rank != 0:  # everything is there now
            prepare(network, data)


def prepare(network: CountsWords, data: VideoDataModule) -> None:
    """Bring a network to where its training may begin: features of training and validation, and words of the former.

    Args:
        network: Takes the words, if it has none.
        data: The videos.
    """
    descriptions, training = descriptions_of(network, data), data.index.rows("train")
    rows = np.concatenate([training, data.index.rows("validation")])
    videos = [data.index.video(int(row)) for row in rows]
    describe_all(descriptions, videos, data.num_workers)
    if not network.has_words:
        network.take_words(learned_words(descriptions, videos[: len(training)], network.words_seed))
    count_all(Histograms(descriptions, network.words), videos, data.num_workers)


def descriptions_of(network: CountsWords, data: VideoDataModule) -> Descriptions:
    """Where what is measured in these videos for this network is kept."""
    return Descriptions(network.store or store_folder(), data.decoder, network.stride)


class HistogramLoaders:
    """Loaders of the histograms of whole videos.

    Args:
        network: Has the words.
        data: Has the videos.
    """

    gives_frames = False
    draws: int | None = None

    def __init__(self, network: CountsWords, data: VideoDataModule) -> None:
        self.network, self.data = network, data

    def training(self, batches: EpochBatches) -> ResumableLoader:
        """Training videos, each once an epoch."""
        return ResumableLoader(self._videos(), batch_sampler=batches, collate_fn=self._collate(), **self._workers())  # type: ignore[arg-type]  # collated

    def evaluation(self, split: Split, batches: VideoBatches) -> DataLoader[VideoBatch]:
        """Each video once; those of which nothing is known yet are looked at first."""
        videos = [self.data.index.video(int(row)) for row in batches.rows]
        describe_all(descriptions_of(self.network, self.data), videos, self.data.num_workers)
        return DataLoader(self._videos(), batch_sampler=batches, collate_fn=self._collate(), **self._workers())  # type: ignore[arg-type]  # collated

    def _videos(self) -> "_Videos":
        made = Histograms(descriptions_of(self.network, self.data), self.network.words)
        return _Videos(self.data.index, made)

    def _collate(self) -> "_Collate":
        return _Collate(self.data.index, self.data.num_classes)

    def _workers(self) -> dict[str, Any]:
        return worker_options(self.data.num_workers, self.data.multiprocessing_context, self.data.device)


@dataclasses.dataclass(frozen=True)
class _Videos(Dataset[Item]):
    """Histograms by row, or by (epoch, row, clip) of a training sampler.

    Args:
        index: The videos.
        made: Their histograms.
    """

    index: VideoIndex
    made: Histograms

    def __getitem__(self, key: int | tuple[int, int, int]) -> Item:
        row = key if isinstance(key, int) else key[1]
        video = self.index.video(row)
        try:
            return row, self.made.get(video)
        except DecodeError as error:
            return Failure(row, video.video_id, str(error))


@dataclasses.dataclass(frozen=True)
class _Collate:
    """Joins videos into a batch.

    Args:
        index: Knows their labels.
        num_classes: K.
    """

    index: VideoIndex
    num_classes: int

    def __call__(self, items: Sequence[Item]) -> VideoBatch:
        """A batch of the videos that could be read."""
        read = [item for item in items if not isinstance(item, Failure)]
        labels = torch.zeros(len(read), self.num_classes)
        for place, (row, _) in enumerate(read):
            labels[place, list(self.index.video(row).labels)] = 1
        rows = torch.tensor([row for row, _ in read], dtype=torch.int64)
        values = np.stack([values for _, values in read]) if read else np.empty((0, DIMENSIONS), np.float32)
        return VideoBatch(
            features=torch.from_numpy(values),
            first_layer=0,
            labels=labels,
            rows=rows,
            clips=torch.zeros_like(rows),
            failures=[item for item in items if isinstance(item, Failure)],
        )
