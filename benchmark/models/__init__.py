"""Architectures; importing this package makes their class names short names on the command line."""

from benchmark.models.average import Average
from benchmark.models.early_fusion import EarlyFusion
from benchmark.models.frame_average import FrameAverage
from benchmark.models.fusion import FusionNetwork
from benchmark.models.late_fusion import LateFusion
from benchmark.models.pytorchvideo_video import PytorchvideoVideo
from benchmark.models.recipe import Recipe
from benchmark.models.recurrent import Recurrent
from benchmark.models.single_frame import SingleFrame
from benchmark.models.slow_fusion import SlowFusion
from benchmark.models.stabilised_fusion import StabilisedFusion
from benchmark.models.torchvision_video import TorchvisionVideo
from benchmark.models.video_classifier import VideoClassifier

__all__ = [
    "Average",
    "EarlyFusion",
    "FrameAverage",
    "FusionNetwork",
    "LateFusion",
    "PytorchvideoVideo",
    "Recipe",
    "Recurrent",
    "SingleFrame",
    "SlowFusion",
    "StabilisedFusion",
    "TorchvisionVideo",
    "VideoClassifier",
]
