"""Data modules; importing this package makes their class names short names on the command line."""

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.folder import VideoFolder
from benchmark.data.index import VideoIndex
from benchmark.data.sports1m import Sports1M
from benchmark.data.synthetic import SyntheticActions
from benchmark.data.ucf101 import UCF101
from benchmark.identity import Identity

__all__ = [
    "UCF101",
    "ClipsPerVideo",
    "Identity",
    "Sports1M",
    "SyntheticActions",
    "VideoDataModule",
    "VideoFolder",
    "VideoIndex",
]
