"""What all video datasets share: loaders, splits and what the model needs to see."""

import dataclasses
import functools
import shutil
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmark.caches import cache_folder
from benchmark.clip import ClipBatch, FeatureBatch
from benchmark.content import Contents
from benchmark.data.agreement import require_same_index
from benchmark.data.broken import what_was_found
from benchmark.data.cache import FrameCache
from benchmark.data.cache_file import CacheMode, open_cache
from benchmark.data.class_groups import read_class_groups
from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.content_store import MOST_VIDEOS, contents_of
from benchmark.data.decode import DecoderName, require_decoder
from benchmark.data.index import Split, VideoIndex
from benchmark.data.loader import EpochBatches, VideoBatches
from benchmark.data.loaders import ClipLoaders, Loaders
from benchmark.data.needs import ClipNeeds, ModelNeeds, Process, clip_frames, require_needs
from benchmark.data.options import require_options
from benchmark.data.preprocess import Augmentation
from benchmark.data.spread_frames import evenly, spread_frames
from benchmark.data.workers import require_start_method
from benchmark.errors import UserError
from benchmark.protocol import SECONDS_VERSION, TEST_VIEWS, VERSION, Protocol, View
from benchmark.wording import counted, say

_SHOWN_SIDE = 112  # pixels of a frame in a picture


class VideoDataModule(L.LightningDataModule):
    """Clips of labelled videos for training, validation, testing and prediction.

    A subclass implements `read_index`. The frames and the input size that the model wants are read from it, so that
    they are never configured twice. Outside a Trainer, loaders give all 16 frames of a clip at 170x170, or what a
    network given to `serve` needs.

    Example:
        >>> data = SyntheticActions(fold=1).serve(SlowFusion(16))
        >>> batch = next(iter(data.train_dataloader()))  # batch.frames (32, 10, 170, 170, 3), batch.labels (32, 16)

    Args:
        root: Folder of the videos.
        batch_size: Clips a batch; for validation and testing as many whole videos as make about that many clips.
        num_workers: Loader processes; 0 loads in the main process.
        multiprocessing_context: How they start: `fork`, `spawn` or `forkserver`, where the system has it; None is
            Python's own choice. The same batches either way.
        clips_per_video: Clips of each video for each purpose.
        test_views: Views of each clip for testing and prediction (section 4: 4).
        augmentation: How training clips vary.
        seed: Seed of order, choice of clips and augmentation in training.
        sampler_seed: Seed of the clip positions, apart from `seed`; part of the protocol.
        clip_seconds: How long a clip lasts, at any frame rate; None takes consecutive frames, 16 for most networks.
        class_groups: CSV or Parquet file with the columns class and group, by which average precision is also told;
            None takes the groups that the dataset has, if any.
        decoder: Backend that decodes.
        cache: Where the decoded frames of training and validation are kept for later epochs: `memory` goes with the
            run, `disk` is shared by all runs on these videos, `off` decodes every time. The same bytes either way. With
            one, an epoch's clips of a video are decoded together.
        cache_gb: Most that the frames kept may take, in units of 10^9 bytes; a frame of 200x200 takes 0.00012.
        cache_dir: Folder of the disk cache; None is `frames` in the user's cache folder.
    """

    frames_made_by = ""  # what the bytes of a frame depend on besides file and decoder

    def __init__(
        self,
        root: Path | None,
        *,
        batch_size: int = 32,
        num_workers: int = 2,
        multiprocessing_context: str | None = None,
        clips_per_video: ClipsPerVideo = ClipsPerVideo(),
        test_views: Sequence[View] = TEST_VIEWS,
        augmentation: Augmentation = Augmentation(),
        seed: int = 0,
        sampler_seed: int = 2014,
        clip_seconds: float | None = None,
        class_groups: Path | None = None,
        decoder: DecoderName = "pyav",
        cache: str | bool = "off",
        cache_gb: float = 8.0,
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__()
        require_options(batch_size, num_workers, test_views, seed, sampler_seed, clip_seconds, cache, cache_gb)
        self.root, self.class_groups = root, class_groups
        self.cache, self.cache_gb, self.cache_dir = cast(CacheMode, cache), cache_gb, cache_dir
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.multiprocessing_context = require_start_method(multiprocessing_context)
        self.clips_per_video, self.augmentation, self.decoder = clips_per_video, augmentation, decoder
        self.scored_rows: frozenset[int] = frozenset()  # of videos that a test which goes on has scored before
        # Who makes the loaders; another may take the place.
        self.loaders: Loaders = ClipLoaders(self)
        self._served: ModelNeeds = ClipNeeds()  # what loaders outside a Trainer give
        # Whether `setup` says what it found.
        self.says_what_it_found = True
        self._test_protocol = Protocol(
            sampler_seed=sampler_seed,
            clips_per_video=clips_per_video.test,
            views=tuple(test_views),
            clip_seconds=clip_seconds,
            version=VERSION if clip_seconds is None else SECONDS_VERSION,
        )
        self._validation_protocol = dataclasses.replace(
            self._test_protocol, clips_per_video=clips_per_video.validation, views=("centre",)
        )

    @property
    def test_protocol(self) -> Protocol:
        """How test videos become scored clips; once the model is known, with the length of clip that it needs."""
        return self._with_clip_of_model(self._test_protocol)

    @property
    def validation_protocol(self) -> Protocol:
        """The same of validation videos."""
        return self._with_clip_of_model(self._validation_protocol)

    def _with_clip_of_model(self, protocol: Protocol) -> Protocol:
        return dataclasses.replace(protocol, clip_frames=clip_frames(self._model(), protocol.clip_frames))

    def serve(self, network: ModelNeeds) -> Self:
        """Let loaders outside a Trainer give the frames that a network reads, as large as it takes them.

        Args:
            network: Has `frame_offsets` and `input_side`, as every architecture has once it is made.

        Returns:
            This data module, from which a Trainer that it was used by is taken off.

        Raises:
            UserError: If the network does not say what it needs, or reads whole videos.
        """
        if getattr(network, "reads_whole_videos", False):
            raise UserError(f"{type(network).__name__} reads whole videos, whose loaders only a Trainer makes")
        self._served = require_needs(network, self._test_protocol.frame_side)
        self.trainer = None
        return self

    @abstractmethod
    def read_index(self) -> VideoIndex:
        """Find the videos; called once a process."""

    @functools.cached_property
    def index(self) -> VideoIndex:
        """The videos, read when first asked for."""
        index = self.read_index()
        if self.class_groups is None:
            return index
        return dataclasses.replace(index, class_groups=read_class_groups(self.class_groups, index.class_names))

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return len(self.index.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the model's outputs."""
        return self.index.class_names

    @property
    def groups(self) -> dict[str, list[int]]:
        """Class numbers of each group; empty where the dataset has none."""
        return self.index.groups()

    def contents(self, split: Split) -> Contents:
        """What the videos of a split show, one for each of `index.rows(split)`; of large datasets, what is known."""
        return self.contents_of(self.index.rows(split))

    def contents_of(self, rows: np.ndarray, *, most: int | None = MOST_VIDEOS) -> Contents:
        """The same of some rows; where more than `most` videos are held, what is known."""
        return contents_of(self.index, rows, most=most)

    def shown_frames(self, video_id: str) -> np.ndarray | None:
        """Five frames of a video for a picture of it, (5, S, S, 3) uint8 RGB; None where they cannot be read."""
        video = self.index.find(video_id)
        return None if video is None else spread_frames(video.path, evenly(5), _SHOWN_SIDE, self.decoder)

    def setup(self, stage: str) -> None:
        """Read what the model needs and say what was found."""
        require_decoder(self.decoder)
        wanted: dict[str, list[Split]] = {"fit": ["train"], "validate": ["validation"], "test": ["test"]}
        splits, process = wanted.get(stage, ["predict", "test"]), Process.of(self.trainer)
        require_same_index(lambda: self._index_with(splits), process.count)
        if process.rank == 0 and self.says_what_it_found:
            say(self.summary())

    def _index_with(self, splits: list[Split]) -> VideoIndex:
        """The index, if it has a video of these splits."""
        if not any(len(self.index.rows(split)) for split in splits):
            raise UserError(
                f"no video of the {splits[-1]} split of {self.index.identity} is held under {self.index.root}; "
                "change data.root, or the fold or class subset"
            )
        return self.index

    def summary(self) -> str:
        """What the index found, which of the files held cannot be opened, and which classes cannot be learned."""
        return what_was_found(self.index, self.decoder)

    def train_dataloader(self) -> DataLoader[Any]:
        """Random clips, augmented, in an order of each epoch's own."""
        return self.loaders.training(self.training_batches(self.loaders.draws))

    def training_batches(self, draws: int | None = None) -> EpochBatches:
        """Which clips an epoch visits, in which order, in which of `draws` augmentations."""
        process = Process.of(self.trainer)
        batches = EpochBatches(
            self.index.rows("train"),
            self.batch_size,
            clips_per_video=1 if self.reads_whole_videos else self.clips_per_video.train,
            clips_per_epoch=1 if self.reads_whole_videos else self.clips_per_video.train_epoch,
            seed=self.seed,
            rank=process.rank,
            processes=process.count,
            draws=draws,
        )
        if not len(batches):
            raise UserError(
                f"{self.index.identity} has too few training clips for {process.count} processes; "
                "lower trainer.devices or raise clips_per_video.train_epoch"
            )
        return batches

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation clips of each validation video; empty where nothing is held out."""
        return self._video_loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        """All clips of each test video, each in all views."""
        return self._video_loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """All clips of each video to predict, or of the test videos where there are none, each in all views."""
        return self._video_loader("predict" if len(self.index.rows("predict")) else "test")

    def _video_loader(self, split: Split) -> DataLoader[Any]:
        process, rows = Process.scoring(self.trainer), self.index.rows(split)
        if self.scored_rows:
            rows = rows[~np.isin(rows, list(self.scored_rows))]
        if 0 < len(rows) < process.count:
            held = counted(len(rows), f"{split} video")
            raise UserError(f"{held} cannot be shared by {process.count} processes; lower trainer.devices")
        protocol = self.validation_protocol if split == "validation" else self.test_protocol
        videos = self.batch_size if self.reads_whole_videos else protocol.videos_per_batch(self.batch_size)
        return self.loaders.evaluation(split, VideoBatches(rows, videos, rank=process.rank, processes=process.count))

    @functools.cached_property
    def frame_cache(self) -> FrameCache | None:
        """Decoded frames of training and validation, shared by all processes of the run; None where none are kept."""
        if not self.cache or self.cache == "off":
            return None
        return open_cache(
            self.cache,
            self.cache_dir or cache_folder() / "frames",
            owner=str(Path("" if self.trainer is None else self.trainer.default_root_dir).absolute()),
            videos=self.index.root,
            decoder=self.decoder,
            side=self.test_protocol.frame_side,
            capacity_bytes=int(self.cache_gb * 1e9),
            made_by=self.frames_made_by,
        )

    def teardown(self, stage: str) -> None:
        """Say what the cache was good for; a cache in memory goes."""
        held, process = self.__dict__.pop("frame_cache", None), Process.of(self.trainer)
        if held is None:
            return
        if process.rank == 0:
            print(held.summary(), flush=True)
        if process.local_rank == 0 and self.cache == "memory":  # each machine has its own
            shutil.rmtree(held.path, ignore_errors=True)

    def on_exception(self, exception: BaseException) -> None:
        """A run that is stopped removes its cache in memory, too."""
        self.teardown("fit")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Send a batch without waiting for it, and without the GPU's waiting for it where it has work left."""
        if isinstance(batch, ClipBatch | FeatureBatch):
            return batch.sent(device)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    @property
    def device(self) -> str:
        """Kind of device that batches go to; a GPU that does not train does not count."""
        return "cpu" if self.trainer is None else str(self.trainer.strategy.root_device.type)

    @property
    def needs(self) -> ModelNeeds:
        """What the network that is fed reads of a clip."""
        return require_needs(self._model(), self.test_protocol.frame_side)

    @property
    def reads_whole_videos(self) -> bool:
        """Whether the network that is fed takes videos and no clips."""
        return bool(getattr(self._model(), "reads_whole_videos", False))

    def _model(self) -> object:
        """What is fed."""
        return self._served if self.trainer is None else self.trainer.lightning_module
