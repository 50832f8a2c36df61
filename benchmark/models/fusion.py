"""What the paper's four ways of joining time share: streams of convolutions, then FC(4096)-FC(4096)-FC(K) (section 3).

A strategy says which frames it reads, over how many frames its convolutions reach, and what it hands to the fully
connected layers. Letters: B clips, T frames, S side of the input in pixels, F features, K classes.
"""

from abc import abstractmethod

from torch import Tensor, nn

from benchmark.models.layers import INPUT_SIDE, Classifier, Resolution, Streams, TimeExtents, initialise
from benchmark.models.recipe import Recipe
from benchmark.models.video_classifier import VideoClassifier


class FusionNetwork(VideoClassifier):
    """Convolutional streams whose features a strategy joins, and a classifier on top.

    Args:
        num_classes: K.
        resolution: What the network sees of the frame.
        width: Fraction of the paper's channel counts.
        dropout: Chance of dropping a feature in front of each hidden fully connected layer. The paper names none for
            its ordinary training (section 3.3); 0.5 is that of Krizhevsky et al.
        pixel_scale: What pixels are divided by after 117 is subtracted.
        recipe: How it is trained.
    """

    time_extents = TimeExtents()
    """Frames that the first three convolutions see, and their strides in time."""
    towers = 1
    """Frames whose features lie side by side when the fully connected layers take them."""

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
        self.resolution = resolution
        self.streams = Streams(resolution, width=width, pixel_scale=pixel_scale, time=self.time_extents)
        self.classifier = Classifier(self.towers * self.streams.features, num_classes, width=width, dropout=dropout)
        self.input_side = INPUT_SIDE[resolution]
        initialise([self.streams, self.classifier])

    @abstractmethod
    def forward_features(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB to what the fully connected layers take, (B, towers * F)."""

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB to logits (B, K)."""
        return self.forward_head(self.forward_features(clips))

    @property
    def head_layers(self) -> nn.Sequential:
        """The fully connected layers."""
        return self.classifier

    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of all convolutions, then of each of the three fully connected layers."""
        return [list(self.streams.parameters()), *self.classifier.layer_groups]
