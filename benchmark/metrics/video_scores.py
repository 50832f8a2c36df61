"""From clips to videos: the mean of class probabilities (section 4), and the number of videos.

Letters: B clips, V videos, K classes.
"""

import torch
from torch import Tensor
from torchmetrics import Metric


def video_scores(probabilities: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean of the class probabilities over the clips of each video.

    Args:
        probabilities: (B, K) floating point, 0 to 1, the mean over the views of each clip.
        rows: (B,) int64, number of each clip's video, in any order.

    Returns:
        Scores (V, K) float32, NaN where a clip of the video has NaN; the videos' rows (V,) int64, ascending; and the
        position of each video's first clip (V,) int64, 0 to B - 1.

    Raises:
        ValueError: If the shapes are not (B, K) and (B,).
    """
    if probabilities.ndim != 2 or tuple(rows.shape) != (len(probabilities),):
        raise ValueError(
            f"probabilities are {tuple(probabilities.shape)} and rows {tuple(rows.shape)}; "
            "expected (clips, classes) and (clips,)"
        )
    videos, video = torch.unique(rows, return_inverse=True)
    # A GPU adds clips in no fixed order; summed in float64 the order does not show in a float32 mean.
    exact = torch.float32 if probabilities.device.type == "mps" else torch.float64
    sums = torch.zeros(len(videos), probabilities.shape[1], dtype=exact, device=probabilities.device)
    sums.index_add_(0, video, probabilities.float().to(exact))
    clips = torch.bincount(video, minlength=len(videos))
    position = torch.arange(len(rows), device=rows.device)
    first = torch.full_like(videos, len(rows)).scatter_reduce_(0, video, position, "amin")
    return (sums / clips[:, None]).float(), videos, first


class VideoCount(Metric):
    """Number of videos scored by all processes."""

    is_differentiable = False
    full_state_update = False
    videos: Tensor

    def __init__(self) -> None:
        # A cached value would let one process skip the exchange that another one waits in.
        super().__init__(compute_with_cache=False)
        self.add_state("videos", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, videos: int) -> None:
        """Add a number of videos."""
        # Not in place: a state created under inference mode could not be changed outside it.
        self.videos = self.videos + videos

    def compute(self) -> Tensor:
        """Videos so far, () int64."""
        return self.videos
