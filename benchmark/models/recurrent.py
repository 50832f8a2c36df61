"""A recurrent network over single-frame features: time is joined by a cell that reads one frame after another.

The paper's future work names recurrent networks for predictions about a whole video (section 5). What its 16-frame
clips cannot show is how a video goes on, so this one reads moments that lie further apart, under a protocol of its own.
The trunk is the paper's single-frame network up to its first fully connected layer; as in Donahue et al. (2015), each
moment is scored and the scores are averaged.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import UserError
from benchmark.models.layers import INPUT_SIDE, Resolution, Streams, initialise, scaled
from benchmark.models.recipe import Recipe
from benchmark.models.video_classifier import VideoClassifier

Cell = Literal["lstm", "gru"]

_MOMENTS = 8


class Recurrent(VideoClassifier):
    """Reads eight moments of a long stretch of a video in their order.

    Args:
        num_classes: K.
        cell: What carries memory from frame to frame.
        frames_apart: From one moment to the next; with 8 a clip is 64 frames long, with 2 it is the paper's of 16. What
            a shorter video lacks is its last frame repeated.
        resolution: What the network sees of the frame.
        width: Fraction of the paper's channel counts, of the 4096 features of a frame and of the cell's 512 units.
        dropout: Chance of dropping a feature before the cell and after it.
        pixel_scale: What pixels are divided by after 117 is subtracted.
        recipe: How it is trained.

    Raises:
        UserError: If the cell is unknown, the moments are not apart, or dropout is not from 0 to below 1.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        cell: Cell = "lstm",
        frames_apart: int = 8,
        resolution: Resolution = "full",
        width: float = 1.0,
        dropout: float = 0.5,
        pixel_scale: float = 58.0,
        recipe: Recipe = Recipe(),
    ) -> None:
        super().__init__(num_classes, recipe)
        cells: dict[Cell, type[nn.LSTM | nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
        if cell not in cells:
            raise UserError(f"model.cell is {cell!r}; allowed are {', '.join(cells)}")
        if frames_apart < 1:
            raise UserError(f"model.frames_apart is {frames_apart}; it must be 1 or more")
        if not 0 <= dropout < 1:
            raise UserError(f"model.dropout is {dropout}; it is a chance from 0 to below 1")
        self.frame_offsets = tuple(frames_apart // 2 + moment * frames_apart for moment in range(_MOMENTS))
        self.clip_frames, self.frames_apart = _MOMENTS * frames_apart, frames_apart
        self.cell, self.resolution, self.width, self.pixel_scale = cell, resolution, width, pixel_scale
        self.streams = Streams(resolution, width=width, pixel_scale=pixel_scale)
        features, units = scaled(4096, width), scaled(512, width)
        self.frame_features = nn.Linear(self.streams.features, features)
        self.recurrent = cells[cell](features, units, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(units, num_classes)
        self.input_side = INPUT_SIDE[resolution]
        initialise([self.streams, self.frame_features, self.classifier])

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 8, S, S, 3) uint8 RGB to logits (B, K)."""
        features = self.dropout(F.relu(self.frame_features(self.streams(clips))))
        # Eight steps of half precision would add up their rounding; the cell is a small part of the work.
        with torch.autocast(clips.device.type, enabled=False):
            states, _ = self.recurrent(features.to(self.classifier.weight.dtype))
        logits: Tensor = self.classifier(self.dropout(states)).mean(1)
        return logits
