"""What each idea is worth in a training step: everything as it is, and everything but one, in turns.

    python -m tests.performance.ablations [--networks single single_multires] [--steps 5] [--rounds 2]

Every measurement is a process of its own, at the paper's width with batches of 32 random clips. Prints clips/s (median
over the rounds) and how much faster the step is for having the idea.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from unittest import mock

import torch
from torch import nn
from torch.nn import functional as F

from benchmark.commands.text import aligned
from benchmark.models import layers
from benchmark.models.normalisation import LocalResponseNorm
from benchmark.models.temporal_conv import TemporalConv
from benchmark.process import tune_process
from tests.performance import training_steps
from tests.performance.training_steps import NETWORKS

Without = Callable[[], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def plain_normalisation() -> Iterator[None]:
    """PyTorch's own `local_response_norm`, whose alpha is divided by the size of the window."""

    def forward(self: LocalResponseNorm, x: torch.Tensor) -> torch.Tensor:
        return F.local_response_norm(x, 5, alpha=5 * self.alpha, beta=self.beta, k=self.k)

    with mock.patch.object(LocalResponseNorm, "forward", forward):
        yield


@contextlib.contextmanager
def relu_in_place() -> Iterator[None]:
    """ReLU in place on views of the convolutions' outputs."""
    original = layers.Trunk.__init__

    def built(self: layers.Trunk, **options: object) -> None:
        original(self, **options)  # type: ignore[arg-type]
        self.relu = nn.ReLU(inplace=True)

    with mock.patch.object(layers.Trunk, "__init__", built):
        yield


def unfused() -> contextlib.AbstractContextManager[object]:
    """PyTorch's default loop over the parameters."""
    original = torch.optim.SGD

    def built(parameters: object, rate: float, **options: object) -> torch.optim.SGD:
        return original(parameters, rate, **{**options, "fused": None})  # type: ignore[arg-type]

    return mock.patch.object(torch.optim, "SGD", built)


@contextlib.contextmanager
def default_layout() -> Iterator[None]:
    """Weights, and so the convolutions, in PyTorch's default memory layout."""
    original = TemporalConv.__init__

    def built(self: TemporalConv, *sizes: int, **options: int) -> None:
        original(self, *sizes, **options)
        self.weight.data = self.weight.data.contiguous()

    with mock.patch.object(TemporalConv, "__init__", built):
        yield


WITHOUT: dict[str, Without] = {
    "everything": contextlib.nullcontext,
    "bfloat16": lambda: mock.patch.object(training_steps, "fastest_precision", return_value="32-true"),
    "window sum as a convolution": plain_normalisation,
    "ReLU out of place": relu_in_place,
    "dropout from 16 random bits": lambda: mock.patch.object(layers, "Dropout", nn.Dropout),
    "fused SGD": unfused,
    "weights channels-last": default_layout,
    "kept memory and flushed denormals": contextlib.nullcontext,  # left out in `main`
}


def in_own_process(network: str, idea: str, steps: int) -> float:
    """Clips/s of training steps without an idea."""
    words = [sys.executable, "-m", "tests.performance.ablations", "--networks", network, "--without", idea]
    done = subprocess.run([*words, "--steps", str(steps)], capture_output=True, encoding="utf-8", check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["single", "single_multires"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--without", choices=list(WITHOUT), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.without is not None:
        if options.without != "kept memory and flushed denormals":
            tune_process()
        with WITHOUT[options.without]():
            measured = training_steps.measure(options.networks[0], is_plain=False, steps=options.steps)
        print(measured.median("training"))
        return
    for network in options.networks:
        found: dict[str, list[float]] = {idea: [] for idea in WITHOUT}
        for _ in range(options.rounds):
            for idea, rates in found.items():
                rates.append(in_own_process(network, idea, options.steps))
        rows = []
        for idea, rates in found.items():
            gains = [everything / rate for everything, rate in zip(found["everything"], rates, strict=True)]
            rows.append([idea, f"{statistics.median(rates):.1f}", f"{statistics.median(gains):.2f}x"])
        rows[0][0], rows[0][2] = "nothing", ""
        print(f"\n{network}\n{aligned(['left out', 'clips/s', 'the idea is worth'], rows)}", flush=True)


if __name__ == "__main__":
    main()
