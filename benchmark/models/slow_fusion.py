"""Slow fusion: time is joined step by step in the first three convolutions (section 3.1).

frames       0 1 2 3 4 5 6 7 8 9
conv1 (4/2)  [-----] [-----]            4 responses, each of 4 frames
                 [-----] [-----]
conv2 (2/2)  2 responses, each of 6 frames
conv3 (2/2)  1 response of all 10 frames
"""

from torch import Tensor, nn

from benchmark.models.layers import INPUT_SIDE, Classifier, Resolution, Streams, TimeExtents, initialise
from benchmark.models.video_classifier import Recipe, VideoClassifier


class SlowFusion(VideoClassifier):
    """Joins ten frames gradually: higher layers see more and more of them.

    Args:
        num_classes: K.
        resolution: What the network sees of the frame.
        width: Fraction of the paper's channel counts.
        dropout: Chance of dropping a feature in front of each hidden fully connected layer.
        pixel_scale: What pixels are divided by after 117 is subtracted.
        recipe: How it is trained.
    """

    frame_offsets = tuple(range(3, 13))

    def __init__(
        self,
        num_classes: int,
        *,
        resolution: Resolution = "full",
        width: float = 1.0,
        dropout: float = 0.5,
        pixel_scale: float = 58.0,
        recipe: Recipe = Recipe(),
    ) -> None:
        super().__init__(num_classes, recipe)
        self.resolution, self.width, self.pixel_scale = resolution, width, pixel_scale
        self.streams = Streams(
            resolution, width=width, pixel_scale=pixel_scale, time=TimeExtents(conv1=(4, 2), conv2=(2, 2), conv3=(2, 2))
        )
        self.classifier = Classifier(self.streams.features, num_classes, width=width, dropout=dropout)
        self.input_side = INPUT_SIDE[resolution]
        initialise([self.streams, self.classifier])

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 10, S, S, 3) uint8 RGB to logits (B, K)."""
        logits: Tensor = self.classifier(self.features_of(clips))
        return logits

    def features_of(self, clips: Tensor) -> Tensor:
        """(B, 10, S, S, 3) uint8 RGB to what the fully connected layers take, (B, F)."""
        features: Tensor = self.streams(clips).flatten(1)
        return features

    @property
    def head_layers(self) -> nn.Sequential:
        """The fully connected layers."""
        return self.classifier

    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of all convolutions, then of each of the three fully connected layers."""
        return [list(self.streams.parameters()), *self.classifier.layer_groups]
