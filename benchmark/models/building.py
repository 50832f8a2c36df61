"""Builds a network outside of a fit, from words of a command line or from a configuration, and its optimiser."""

import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jsonargparse
import numpy as np
import torch
from jsonargparse import Namespace
from torch.optim import Optimizer

from benchmark.command_line import WholeNames
from benchmark.errors import UserError
from benchmark.models.convolutions import work_around_onednn
from benchmark.models.video_classifier import VideoClassifier


def parsed(words: Sequence[str]) -> Namespace:
    """Class path and options from words of a command line, such as `--model SingleFrame --model.width 0.1`.

    Raises:
        ArgumentError: If an option is not there or not allowed.
    """
    return _parser().parse_args(list(words))


def configured(class_path: str, options: Mapping[str, Any]) -> Namespace:
    """The same from what a configuration file would hold.

    Raises:
        ArgumentError: If an option is not there or not allowed.
    """
    model = {"class_path": class_path, "init_args": dict(options)}
    found: Namespace = _parser().parse_object({"model": model})
    return found


def build(config: Namespace, *, seed: int = 0) -> VideoClassifier:
    """A new network, a function of its seed alone if the architecture lets it be one.

    Args:
        config: Of `parsed` or `configured`.
        seed: Of every generator that an architecture might draw from.

    Raises:
        UserError: If the constructor refuses the options, or the class is no VideoClassifier.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    network = _parser().instantiate(config).model
    if not isinstance(network, VideoClassifier):
        raise UserError(f"{config.model.class_path} makes a {type(network).__name__}; it must be a VideoClassifier")
    work_around_onednn(network)  # as a fit does when it starts
    return network


@functools.cache
def _parser() -> jsonargparse.ArgumentParser:
    parser = WholeNames(exit_on_error=False)
    parser.add_subclass_arguments(VideoClassifier, "model", required=True)
    return parser


class _ShortTraining:
    """What a network may ask of its Trainer while it makes its optimisers."""

    estimated_stepping_batches = max_steps = 100
    max_epochs = 1
    global_step = current_epoch = 0


def first_optimizer(network: VideoClassifier) -> Optimizer | None:
    """The optimiser, or the first of several, in any of the forms that Lightning takes; None if there is none."""
    # Schedules ask how long the training will be.
    network.trainer = cast(Any, _ShortTraining())
    try:
        held: Any = network.configure_optimizers()
    finally:
        network.trainer = None
    while isinstance(held, dict | list | tuple) and held:  # a dictionary, optimisers, or them and their schedules
        held = held.get("optimizer") if isinstance(held, dict) else held[0]
    return held if isinstance(held, Optimizer) else None
