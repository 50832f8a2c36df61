"""Hit@k, average precision, video scores and throughput; imports nothing else of this package."""

from benchmark.metrics.average_precision import (
    MeanAveragePrecision,
    average_precision,
    group_mean_average_precision,
    mean_average_precision,
)
from benchmark.metrics.classification import ClassificationScores
from benchmark.metrics.hit import HitAtK, hit_at_k, ranks
from benchmark.metrics.throughput import ClipsPerSecond
from benchmark.metrics.video_scores import VideoCount, video_scores

__all__ = [
    "ClassificationScores",
    "ClipsPerSecond",
    "HitAtK",
    "MeanAveragePrecision",
    "VideoCount",
    "average_precision",
    "group_mean_average_precision",
    "hit_at_k",
    "mean_average_precision",
    "ranks",
    "video_scores",
]
