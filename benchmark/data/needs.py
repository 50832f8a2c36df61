"""What a data module needs to know of others."""

from typing import Any, Protocol

from torch.utils.data import DataLoader

from benchmark.data.loader import EpochBatches, VideoBatches


class ModelNeeds(Protocol):
    """What a data module reads off the model: the frames of a clip and the side of its input.

    A model may also have `clip_frames`, where a clip of its own is longer than the 16 frames that others share.
    """

    frame_offsets: tuple[int, ...]
    input_side: int


class Loaders(Protocol):
    """What takes the place of a data module's loaders of frames in a fit."""

    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches."""

    def val_dataloader(self) -> DataLoader[Any]:
        """Validation batches."""


class WholeVideoLoaders(Protocol):
    """What takes the place of all loaders of clips for a network that reads whole videos."""

    def training(self, batches: EpochBatches) -> DataLoader[Any]:
        """Training videos."""

    def evaluation(self, batches: VideoBatches) -> DataLoader[Any]:
        """Videos to score."""
