"""What a data module needs to know of others."""

from typing import Any, Protocol

from torch.utils.data import DataLoader


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
