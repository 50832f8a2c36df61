"""The network under test: built again and again from one configuration, and the clips it is tested on.

Letters: B clips, T frames, S side of the input in pixels, K classes.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from jsonargparse import Namespace
from torch import Tensor

from benchmark.errors import UserError
from benchmark.importing import one_line
from benchmark.models.building import build, configured, parsed
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
        return cls(parsed([*words, "--model.num_classes", str(CLASSES)]), steps=steps)

    @classmethod
    def of(cls, class_path: str, options: Mapping[str, Any], *, steps: int = 30) -> Self:
        """From a class path and the options that a configuration file would hold.

        Raises:
            ArgumentError: If an option is not there or not allowed.
        """
        return cls(configured(class_path, {**options, "num_classes": CLASSES}), steps=steps)

    @property
    def class_path(self) -> str:
        """The class, with its module."""
        return str(self.config.model.class_path)

    def build(self, *, num_classes: int = CLASSES, seed: int = 0) -> VideoClassifier:
        """A new network, a function of its seed alone if the architecture lets it be one.

        Raises:
            UserError: If the constructor refuses the options.
        """
        config = self.config.clone()
        config.model.init_args.num_classes = num_classes
        return build(config, seed=seed)

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


def shaken(network: VideoClassifier) -> VideoClassifier:
    """The network with a little noise on its parameters: after layers that begin at zero all outputs are equal."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    return network
