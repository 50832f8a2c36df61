"""Architectures; importing this package makes their class names short names on the command line."""

from benchmark.models.early_fusion import EarlyFusion
from benchmark.models.late_fusion import LateFusion
from benchmark.models.single_frame import SingleFrame
from benchmark.models.slow_fusion import SlowFusion
from benchmark.models.video_classifier import Recipe, VideoClassifier

__all__ = ["EarlyFusion", "LateFusion", "Recipe", "SingleFrame", "SlowFusion", "VideoClassifier"]
