"""The network under test: built again and again from one configuration, and the clips it is tested on.

Letters: B clips, T frames, S side of the input in pixels, K classes.
"""

import dataclasses
import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import jsonargparse
import numpy as np
import torch
from jsonargparse import Namespace
from torch import Tensor
from torch.optim import Optimizer

from benchmark.command_line import WholeNames
from benchmark.errors import UserError
from benchmark.importing import one_line
from benchmark.models.convolutions import work_around_onednn
from benchmark.models.video_classifier import VideoClassifier

CLASSES = 5
"""K, unless a check wants another."""

SHARED_CLIP = 16
FRAME_SIDE = 200


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found wrong.

    Args:
        problem: What the network does.
        change: What to change about it.
    """

    problem: str
    change: str


class Subject:
    """Builds one architecture with one set of options.

    Args:
        config: Class path and options as jsonargparse parsed them.
        steps: Steps in which the loss on eight clips must fall.
    """

    def __init__(self, config: Namespace, *, steps: int = 30) -> None:
        self.config, self.steps = config, steps

    @classmethod
    def parse(cls, words: Sequence[str], *, steps: int = 30) -> Self:
        """From words of a command line, such as `--model SingleFrame --model.width 0.1`.

        Raises:
            ArgumentError: If an option is not there or not allowed.
        """
        config = _parser().parse_args([*words, "--model.num_classes", str(CLASSES)])
        return cls(config, steps=steps)

    @classmethod
    def of(cls, class_path: str, options: Mapping[str, Any], *, steps: int = 30) -> Self:
        """From a class path and the options that a configuration file would hold.

        Raises:
            ArgumentError: If an option is not there or not allowed.
        """
        model = {"class_path": class_path, "init_args": {**options, "num_classes": CLASSES}}
        return cls(_parser().parse_object({"model": model}), steps=steps)

    @property
    def class_path(self) -> str:
        """The class, with its module."""
        return str(self.config.model.class_path)

    def build(self, *, num_classes: int = CLASSES, seed: int = 0) -> VideoClassifier:
        """A new network, a function of its seed alone if the architecture lets it be one.

        Raises:
            UserError: If the constructor refuses the options.
        """
        seed_everything(seed)
        config = self.config.clone()
        config.model.init_args.num_classes = num_classes
        network = _parser().instantiate(config).model
        if not isinstance(network, VideoClassifier):
            raise UserError(f"{self.class_path} makes a {type(network).__name__}; it must be a VideoClassifier")
        work_around_onednn(network)  # as a fit does when it starts
        return network

    @functools.cached_property
    def network(self) -> VideoClassifier:
        """One network that checks may run, but not change."""
        return self.build()

    def unbuilt(self) -> list[Finding]:
        """Why there is no network to check; empty where the constructor makes one.

        Raises:
            UserError: If it refuses the options, which is no fault of the architecture.
        """
        try:
            self.network  # noqa: B018
        except Exception as error:
            own = error.__cause__ or error  # of jsonargparse, which says what it thinks of every type it tried
            if isinstance(own, UserError):
                raise own from None
            return [Finding(f"the constructor raises {one_line(own)}", "build one by hand in Python to see where")]
        return []

    def clips(self, count: int, *, seed: int = 0) -> Tensor:
        """(B, T, S, S, 3) uint8: noise whose level differs from clip to clip, as the network declares its input."""
        network = self.network
        side = int(network.input_side)
        generator = torch.Generator().manual_seed(seed)
        shape = (count, len(network.frame_offsets), side, side, 3)
        noise = torch.randint(0, 128, shape, generator=generator, dtype=torch.int16)
        levels = torch.randint(0, 128, (count, 1, 1, 1, 3), generator=generator, dtype=torch.int16)
        return (noise + levels).to(torch.uint8)


def seed_everything(seed: int) -> None:
    """Seed each generator that an architecture might draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def shaken(network: VideoClassifier) -> VideoClassifier:
    """The network with a little noise on its parameters: after layers that begin at zero all outputs are equal."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
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
