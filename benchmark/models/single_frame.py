"""Single-frame network: one picture of the clip, no motion (section 3.1). The baseline of every other strategy."""

from torch import Tensor

from benchmark.models.fusion import FusionNetwork


class SingleFrame(FusionNetwork):
    """Classifies a clip by the frame in its middle."""

    frame_offsets = (8,)

    def forward_features(self, clips: Tensor) -> Tensor:
        """(B, 1, S, S, 3) uint8 RGB to the frame's features (B, F)."""
        frame: Tensor = self.streams(clips)  # (B, 1, F)
        return frame.squeeze(1)
