"""Training clips in chosen draws of their augmentation: each clip decoded once, cropped and flipped a few times.

A key is (row, clip, draw). A draw is a function of (seed, row, clip, draw), the very one that training makes in the
epoch of that number.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset

from benchmark.clip import Failure
from benchmark.data.dataset import ClipReader, Sample, augmentation_rng
from benchmark.data.decode import DecodeError
from benchmark.data.index import VideoIndex
from benchmark.data.preprocess import Augmentation, augment


def chunks(keys: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Keys (N, 3) in the order (row, clip, draw), cut where the row changes and between clips, about `size` each."""
    first = 0
    for place in range(1, len(keys) + 1):
        if place == len(keys) or keys[place, 0] != keys[first, 0]:
            yield keys[first:place]
            first = place
        elif place - first >= size and keys[place, 1] != keys[place - 1, 1]:
            yield keys[first:place]
            first = place


class DrawnClips(Dataset[Sample | Failure]):
    """Some clips of one video, decoded once, each in some draws; a key of it is one of `chunks`.

    Args:
        index: The videos.
        reader: How clips are read.
        side: Side of the random region in pixels: the model's input.
        seed: Seed of the augmentation.
        augmentation: How clips vary.
    """

    def __init__(
        self,
        index: VideoIndex,
        reader: ClipReader,
        side: int,
        seed: int,
        augmentation: Augmentation = Augmentation(),
    ) -> None:
        self.index, self.reader, self.side, self.seed = index, reader, side, seed
        self.augmentation = augmentation

    def __getitem__(self, chunk: np.ndarray) -> Sample | Failure:
        row, clips = int(chunk[0, 0]), chunk[:, 1].tolist()
        video, distinct = self.index.video(row), list(dict.fromkeys(clips))
        try:
            sample = self.reader.read(video, distinct)
        except DecodeError as error:
            return Failure(row, video.video_id, str(error))
        places = [distinct.index(clip) for clip in clips]
        drawn = [
            augment(sample.frames[place], self.side, augmentation_rng(self.seed, draw, row, clip), self.augmentation)
            for place, clip, draw in zip(places, clips, chunk[:, 2].tolist(), strict=True)
        ]
        starts = [sample.starts[place] for place in places]
        return dataclasses.replace(sample, frames=np.stack(drawn), clips=clips, starts=starts)
