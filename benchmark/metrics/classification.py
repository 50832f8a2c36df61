"""The numbers of one validation or test, as torchmetrics that scroll by (section 4).

Letters: B clips, V videos, K classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from benchmark.metrics.average_precision import MeanAveragePrecision
from benchmark.metrics.descriptors import HIT_KS, MAP, Predictions, Score, hit, known_scores
from benchmark.metrics.hit import HitAtK, ranks
from benchmark.metrics.video_scores import VideoCount, video_scores


class ScoredVideos(MeanAveragePrecision):
    """Scores and labels of the videos of all processes: mean average precision, and what else is a function of them.

    Args:
        num_classes: K.
        groups: Class numbers of each group, 0 to K - 1; may be empty.
        functions: Scores of predictions to work out beside it.

    Raises:
        ValueError: If a group names a class that is not there.
    """

    clip_ranks: list[Tensor]
    clip_counts: list[Tensor]

    def __init__(self, num_classes: int, groups: Mapping[str, Sequence[int]], functions: Sequence[Score]) -> None:
        super().__init__(num_classes, groups)
        self.functions = tuple(functions)
        self.add_state("clip_ranks", [], dist_reduce_fx="cat")
        self.add_state("clip_counts", [], dist_reduce_fx="cat")
        self._add_empty_clips()

    def update(  # type: ignore[override]
        self, scores: Tensor, labels: Tensor, clip_ranks: Tensor, clip_counts: Tensor
    ) -> None:
        """Add videos.

        Args:
            scores: (V, K) floating point, kept as float32.
            labels: (V, K) multi-hot; a video without a true label is a negative of every class.
            clip_ranks: (B,) integer, the rank of each clip's best true label, video after video.
            clip_counts: (V,) integer, clips of each video; they add up to B.

        Raises:
            ValueError: If a shape is not as above.
        """
        if clip_counts.shape != scores.shape[:1] or int(clip_counts.sum()) != len(clip_ranks):
            raise ValueError(
                f"{len(clip_ranks)} ranks of clips and {tuple(clip_counts.shape)} counts for {len(scores)} videos"
            )
        super().update(scores, labels)
        self.clip_ranks.append(clip_ranks.to(torch.int32))
        self.clip_counts.append(clip_counts)

    def reset(self) -> None:
        """Forget all videos."""
        super().reset()
        self._add_empty_clips()

    def compute(self) -> dict[str, Tensor]:
        """What `MeanAveragePrecision` gives, and the other scores, all () float64; NaN without a video."""
        found = super().compute()
        if self.functions:
            scores, labels = (dim_zero_cat(part).cpu().numpy() for part in (self.scores, self.labels))
            known = Predictions(scores, labels != 0, self._rank_table(), self.groups)
            values = {name: value for score in self.functions for name, value in score.values(known).items()}
            found |= {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
        return found

    def _rank_table(self) -> np.ndarray:
        """Ranks of the clips of each video, (V, clips) int32; K + 1 for clips that a video has less than others."""
        ranked, counts = (dim_zero_cat(part).cpu().numpy() for part in (self.clip_ranks, self.clip_counts))
        is_held = np.arange(counts.max(initial=0)) < counts[:, None]
        table = np.full(is_held.shape, self.num_classes + 1, np.int32)
        table[is_held] = ranked
        return table

    def _add_empty_clips(self) -> None:
        self.clip_ranks.append(torch.empty(0, dtype=torch.int32, device=self.device))
        self.clip_counts.append(torch.empty(0, dtype=torch.int64, device=self.device))


class ClassificationScores(nn.Module):
    """Scores over all clips and videos of all processes, the same on every process.

    Clips and videos without a true label are counted in `videos` and enter no other number. A score that is added is
    updated with whole videos.

    Args:
        num_classes: K.
        groups: Class numbers of each group, 0 to K - 1; may be empty.
        has_clips: Whether clips are scored, and not whole videos alone.

    Raises:
        ValueError: If a group names a class that is not there.
    """

    def __init__(self, num_classes: int, groups: Mapping[str, Sequence[int]], *, has_clips: bool = True) -> None:
        super().__init__()
        of_clips = {hit("clip", k).name for k in HIT_KS}
        self.clips = nn.ModuleDict({hit("clip", k).name: HitAtK(k) for k in HIT_KS} if has_clips else {})
        twins: dict[str, Metric] = {hit("video", k).name: HitAtK(k) for k in HIT_KS}
        others = [score for score in known_scores() if score.name not in {*of_clips, *twins, MAP.name}]
        twins |= {score.name: score.twin() for score in others if score.twin is not None}
        self.videos = nn.ModuleDict(twins)
        self.whole = ScoredVideos(num_classes, groups, [score for score in others if score.twin is None])
        self.count = VideoCount()

    @torch.no_grad()
    def update(self, clip_probabilities: Tensor, labels: Tensor, rows: Tensor) -> None:
        """Add the clips of a batch.

        Args:
            clip_probabilities: (B, K) floating point, 0 to 1, the mean over the views of each clip.
            labels: (B, K) multi-hot, the same for all clips of a video; all 0 where labels are unknown.
            rows: (B,) int64, number of each clip's video. All clips of a video must be in the same batch.

        Raises:
            ValueError: If a shape differs from the above.
        """
        scores, videos, first = video_scores(clip_probabilities, rows)
        truth = labels[first]
        # A video whose labels are unknown is no negative either.
        labelled = (truth != 0).any(dim=1)
        for metric in self._metrics(self.clips):
            metric.update(clip_probabilities, labels)
        for metric in self._metrics(self.videos):
            metric.update(scores[labelled], truth[labelled])
        self.whole.update(scores[labelled], truth[labelled], *self._clips_of(clip_probabilities, labels, rows))
        self.count.update(len(videos))

    def _clips_of(self, clip_probabilities: Tensor, labels: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Ranks of the labelled clips, video after video in ascending rows, and how many each video has."""
        labelled = (labels != 0).any(dim=1)
        order = rows[labelled].argsort(stable=True)
        counts = torch.unique(rows[labelled], return_counts=True)[1]
        if not self.clips:
            return order[:0], torch.zeros_like(counts)
        return ranks(clip_probabilities[labelled], labels[labelled])[order], counts

    def compute(self) -> dict[str, Tensor]:
        """The scores so far; in a distributed run every process must call this.

        Returns:
            Each known score and `map/<group>`, 0 to 1, and `videos`, the number of videos; each () float32. Without a
            labelled sample a score is NaN, and a group none of whose classes has a positive is absent.
        """
        single = {name: metric for part in (self.clips, self.videos) for name, metric in part.items()}
        values = {name: metric.compute() for name, metric in single.items()}  # type: ignore[operator]
        values |= {**self.whole.compute(), "videos": self.count.compute()}
        return {name: value.float() for name, value in values.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """What `compute` may give; a score in parts by its own name."""
        groups = [f"map/{group}" for group in self.whole.groups]
        added = [score.name for score in self.whole.functions]
        return (*self.clips, *self.videos, MAP.name, *added, *groups, "videos")

    def reset(self) -> None:
        """Forget all clips and videos."""
        for metric in (*self._metrics(self.clips), *self._metrics(self.videos), self.whole, self.count):
            metric.reset()

    @staticmethod
    def _metrics(part: nn.ModuleDict) -> list[Metric]:
        return [metric for metric in part.values() if isinstance(metric, Metric)]
