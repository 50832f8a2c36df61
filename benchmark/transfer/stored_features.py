"""What frozen layers make of the clips, read in place of frames: each clip in a few draws of crop and flip.

A key is (row, clip, draw), as in `data/drawn_clips.py`.
Letters: N keys, B clips of a batch, F features, K classes.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.clip import Failure, FeatureBatch
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import Split
from benchmark.data.loader import EpochBatches, ResumableLoader, VideoBatches


@dataclasses.dataclass
class StoredFeatures:
    """Features of training clips and of validation.

    Args:
        keys: (N, 3) int64, (row, clip, draw), ascending.
        values: (N, F), in the order of the keys.
        draws: Augmentations of each clip.
        first_layer: Number of the layer, in the model's `head_layers`, that the features are the input of.
        labels: Class numbers of each row that has a key.
        failures: Chunks of a video that could not be read; their keys are not among the N.
        validation: All batches of validation.
    """

    keys: np.ndarray
    values: Tensor
    draws: int
    first_layer: int
    labels: Mapping[int, Sequence[int]]
    failures: dict[int, Failure]
    validation: list[FeatureBatch]

    def __post_init__(self) -> None:
        self._span = 1 + self.keys.max(0, initial=0)
        self._codes = self._code(self.keys)

    def _code(self, keys: np.ndarray) -> np.ndarray:
        return np.asarray((keys[:, 0] * self._span[1] + keys[:, 1]) * self._span[2] + keys[:, 2])

    def batch(self, keys: np.ndarray, num_classes: int) -> FeatureBatch:
        """The features of some keys (B, 3), less those of clips that could not be read.

        Raises:
            KeyError: If a key was never stored.
        """
        places = np.searchsorted(self._codes, self._code(keys)).clip(max=max(0, len(self._codes) - 1))
        held = (self.keys[places] == keys).all(1) if len(self.keys) else np.zeros(len(keys), bool)
        failed = dict.fromkeys(keys[~held, 0].tolist())
        if not failed.keys() <= self.failures.keys():
            raise KeyError(f"no features are stored of {keys[~held][0].tolist()}, (row, clip, draw)")
        kept = keys[held]
        labels = torch.zeros(len(kept), num_classes)
        for place, row in enumerate(kept[:, 0].tolist()):
            labels[place, list(self.labels[row])] = 1
        return FeatureBatch(
            features=self.values[torch.from_numpy(places[held])],
            first_layer=self.first_layer,
            labels=labels,
            rows=torch.from_numpy(kept[:, 0].copy()),
            clips=torch.from_numpy(kept[:, 1].copy()),
            failures=[self.failures[row] for row in failed],
        )


class _Keys(Dataset[tuple[int, int, int]]):
    """Its own keys: a batch of them is looked up at once."""

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[int, int, int]:
        return key


class _LookUp:
    """Makes a batch of what the sampler yields, (draw, row, clip) each."""

    def __init__(self, stored: StoredFeatures, num_classes: int) -> None:
        self.stored, self.num_classes = stored, num_classes

    def __call__(self, keys: Sequence[tuple[int, int, int]]) -> FeatureBatch:
        return self.stored.batch(np.array(keys, np.int64).reshape(-1, 3)[:, [1, 2, 0]], self.num_classes)


class FeatureLoader(ResumableLoader):
    """The training loader of stored features: the same clips in the same order as the one of frames.

    Args:
        stored: The features.
        batches: Which clips an epoch visits.
        num_classes: K.
    """

    def __init__(self, stored: StoredFeatures, batches: EpochBatches, num_classes: int) -> None:
        super().__init__(_Keys(), batch_sampler=batches, collate_fn=_LookUp(stored, num_classes))  # type: ignore[arg-type]


class FeatureLoaders:
    """Loaders of stored features, in the place of a data module's own of frames during a fit.

    Args:
        stored: The features.
        data: Whose clips they are of.
    """

    gives_frames = False

    def __init__(self, stored: StoredFeatures, data: VideoDataModule) -> None:
        self.stored, self.draws, self.num_classes = stored, stored.draws, data.num_classes

    def training(self, batches: EpochBatches) -> FeatureLoader:
        """The clips that training on frames would visit, in the same order."""
        return FeatureLoader(self.stored, batches, self.num_classes)

    def evaluation(self, split: Split, batches: VideoBatches) -> DataLoader[FeatureBatch]:
        """All validation clips of each validation video."""
        return DataLoader(self.stored.validation, batch_size=None)  # type: ignore[arg-type]
