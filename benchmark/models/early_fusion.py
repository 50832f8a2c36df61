"""Early fusion: the first convolution sees ten frames at once, 11x11x3x10 filters (section 3.1)."""

from torch import Tensor

from benchmark.models.fusion import FusionNetwork
from benchmark.models.layers import TimeExtents


class EarlyFusion(FusionNetwork):
    """Joins a third of a second of frames on the level of pixels."""

    frame_offsets = tuple(range(3, 13))
    time_extents = TimeExtents(conv1=(10, 1))

    def forward_features(self, clips: Tensor) -> Tensor:
        """(B, 10, S, S, 3) uint8 RGB to the features of all ten frames (B, F)."""
        joined: Tensor = self.streams(clips)  # (B, 1, F): one response is left after the first convolution
        return joined.squeeze(1)
