"""clipbench: which way of connecting a network through time and space is worth its cost?

Every name in `__all__` is imported when it is first used: importing the package alone loads nothing else, and results
are read without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.data import UCF101 as UCF101
    from benchmark.data import ClipsPerVideo as ClipsPerVideo
    from benchmark.data import Sports1M as Sports1M
    from benchmark.data import SyntheticActions as SyntheticActions
    from benchmark.data import VideoDataModule as VideoDataModule
    from benchmark.data import VideoFolder as VideoFolder
    from benchmark.errors import UserError as UserError
    from benchmark.models import Average as Average
    from benchmark.models import EarlyFusion as EarlyFusion
    from benchmark.models import LateFusion as LateFusion
    from benchmark.models import Recipe as Recipe
    from benchmark.models import SingleFrame as SingleFrame
    from benchmark.models import SlowFusion as SlowFusion
    from benchmark.models import VideoClassifier as VideoClassifier
    from benchmark.results.tables import read_predictions as read_predictions
    from benchmark.results.tables import read_results as read_results
    from benchmark.runs.trainer import Trainer as Trainer
    from benchmark.trained import TrainedModel as TrainedModel
    from benchmark.trained import load as load

__version__ = "0.1.0"

_PLACES = {
    "benchmark.data": (*("ClipsPerVideo", "Sports1M", "SyntheticActions", "UCF101", "VideoDataModule", "VideoFolder"),),
    "benchmark.errors": ("UserError",),
    "benchmark.models": (
        *("Average", "EarlyFusion", "LateFusion", "Recipe", "SingleFrame", "SlowFusion", "VideoClassifier"),
    ),
    "benchmark.results.tables": ("read_predictions", "read_results"),
    "benchmark.runs.trainer": ("Trainer",),
    "benchmark.trained": ("TrainedModel", "load"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_MODULES)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}; it has {', '.join(__all__)}")
    found = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
