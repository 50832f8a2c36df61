"""clipbench: which way of connecting a network through time and space is worth its cost?

Every name in `__all__` is imported when it is first used: importing the package alone loads nothing else, and results
are read without torch. Networks are in `benchmark.models`, datasets in `benchmark.data`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark import data as data
    from benchmark import models as models
    from benchmark.errors import UserError as UserError
    from benchmark.results.tables import read_predictions as read_predictions
    from benchmark.results.tables import read_results as read_results
    from benchmark.runs.trainer import Trainer as Trainer
    from benchmark.trained import TrainedModel as TrainedModel
    from benchmark.trained import load as load

__version__ = "0.2.0"

# Classes that configurations name are not among these: their shortest path would be another one then.
_PLACES = {
    "Trainer": "benchmark.runs.trainer",
    "TrainedModel": "benchmark.trained",
    "UserError": "benchmark.errors",
    "data": "benchmark.data",
    "load": "benchmark.trained",
    "models": "benchmark.models",
    "read_predictions": "benchmark.results.tables",
    "read_results": "benchmark.results.tables",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(_PLACES[name])
    found = globals()[name] = module if _PLACES[name] == f"benchmark.{name}" else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
