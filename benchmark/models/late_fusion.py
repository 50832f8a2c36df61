"""Late fusion: two single-frame towers, fifteen frames apart, join in the first fully connected layer (section 3.1).

frame 0   [ tower ]--.
               ||     +-- FC - FC - softmax        || the same weights
frame 15  [ tower ]--'

Neither tower sees motion alone; the fully connected layers can compute it from the difference of their outputs.
"""

from torch import Tensor

from benchmark.models.fusion import FusionNetwork


class LateFusion(FusionNetwork):
    """Classifies a clip by its first and its last frame."""

    frame_offsets = (0, 15)
    towers = 2

    def forward_features(self, clips: Tensor) -> Tensor:
        """(B, 2, S, S, 3) uint8 RGB to the features of both towers side by side (B, 2F)."""
        towers: Tensor = self.streams(clips)  # (B, 2, F): without an extent in time, each frame passes by itself
        return towers.flatten(1)
