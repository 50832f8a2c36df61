"""Slow fusion: time is joined step by step in the first three convolutions (section 3.1).

frames       0 1 2 3 4 5 6 7 8 9
conv1 (4/2)  [-----] [-----]            4 responses, each of 4 frames
                 [-----] [-----]
conv2 (2/2)  2 responses, each of 6 frames
conv3 (2/2)  1 response of all 10 frames
"""

from torch import Tensor

from benchmark.models.fusion import FusionNetwork
from benchmark.models.layers import TimeExtents


class SlowFusion(FusionNetwork):
    """Joins ten frames gradually: higher layers see more and more of them."""

    frame_offsets = tuple(range(3, 13))
    time_extents = TimeExtents(conv1=(4, 2), conv2=(2, 2), conv3=(2, 2))

    def forward_features(self, clips: Tensor) -> Tensor:
        """(B, 10, S, S, 3) uint8 RGB to the features of all ten frames (B, F)."""
        joined: Tensor = self.streams(clips)  # (B, 1, F): 4 responses after conv1, 2 after conv2, 1 after conv3
        return joined.squeeze(1)
