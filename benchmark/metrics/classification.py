"""The numbers of one validation or test: Hit@k of clips and videos, mean average precision of videos (section 4).

Letters: B clips, V videos, K classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from benchmark.metrics.average_precision import MeanAveragePrecision
from benchmark.metrics.hit import HitAtK
from benchmark.metrics.video_scores import VideoCount, video_scores


class ClassificationScores(nn.Module):
    """Scores over all clips and videos of all processes, the same on every process.

    Clips and videos without a true label are counted in `videos` and enter no other number.

    Args:
        num_classes: K.
        groups: Class numbers of each group, 0 to K - 1; may be empty.

    Raises:
        ValueError: If a group names a class that is not there.
    """

    def __init__(self, num_classes: int, groups: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.clip_hit1 = HitAtK(1)
        self.clip_hit5 = HitAtK(5)
        self.video_hit1 = HitAtK(1)
        self.video_hit5 = HitAtK(5)
        self.average_precision = MeanAveragePrecision(num_classes, groups)
        self.videos = VideoCount()

    @torch.no_grad()
    def update(self, clip_probabilities: Tensor, labels: Tensor, rows: Tensor) -> None:
        """Add the clips of a batch.

        Args:
            clip_probabilities: (B, K) floating point, 0 to 1, the mean over the views of each clip.
            labels: (B, K) multi-hot, the same for all clips of a video; all 0 where labels are unknown.
            rows: (B,) int64, number of each clip's video. All clips of a video must stand in the same batch.

        Raises:
            ValueError: If a shape differs from the above.
        """
        scores, videos, first = video_scores(clip_probabilities, rows)
        self.clip_hit1.update(clip_probabilities, labels)
        self.clip_hit5.update(clip_probabilities, labels)
        truth = labels[first]
        self.video_hit1.update(scores, truth)
        self.video_hit5.update(scores, truth)
        # A video whose labels are unknown is no negative either.
        labelled = (truth != 0).any(dim=1)
        self.average_precision.update(scores[labelled], truth[labelled])
        self.videos.update(len(videos))

    def compute(self) -> dict[str, Tensor]:
        """The scores so far; in a distributed run every process must call this.

        Returns:
            `clip_hit1`, `clip_hit5`, `video_hit1`, `video_hit5`, `map` and `map/<group>`, 0 to 1, and `videos`, the
            number of videos; each () float32. Without a labelled sample a share is NaN, and a group none of whose
            classes has a positive is absent.
        """
        values: dict[str, Tensor] = {
            "clip_hit1": self.clip_hit1.compute(),
            "clip_hit5": self.clip_hit5.compute(),
            "video_hit1": self.video_hit1.compute(),
            "video_hit5": self.video_hit5.compute(),
            **self.average_precision.compute(),
            "videos": self.videos.compute(),
        }
        return {name: value.float() for name, value in values.items()}

    def reset(self) -> None:
        """Forget all clips and videos."""
        for metric in (self.clip_hit1, self.clip_hit5, self.video_hit1, self.video_hit5):
            metric.reset()
        self.average_precision.reset()
        self.videos.reset()
