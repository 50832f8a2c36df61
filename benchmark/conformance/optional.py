"""What an architecture may do, and is told but not failed for: compile and export."""

import logging
import shutil
import warnings
from collections.abc import Callable

import torch

from benchmark.conformance.subject import Subject
from benchmark.importing import one_line

_LONGEST = 300


def compilation(subject: Subject) -> str:
    """Whether `torch.compile` works, and if not, why."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        return "not tried: torch.compile needs a C++ compiler here, and none is installed"
    network, clips = subject.build().eval(), subject.clips(2)

    def attempt() -> str:
        with torch.no_grad():
            plain, compiled = network(clips), torch.compile(network.forward)(clips)
        if not torch.allclose(plain, compiled, rtol=1e-3, atol=1e-4):
            return f"gives other logits, by up to {float((plain - compiled).abs().max()):.3g}"
        return "works"

    return _said(attempt)


def export(subject: Subject) -> str:
    """Whether `torch.export` works with any number of clips, and if not, why."""
    network, clips = subject.build().eval(), subject.clips(2)

    def attempt() -> str:
        # A LightningModule carries a Trainer's attributes, which export does not follow; its forward is all it needs.
        dynamic = ({0: torch.export.Dim("clips", min=1, max=1024)},)
        with torch.no_grad():
            exported = torch.export.export(_Forward(network), (clips,), dynamic_shapes=dynamic).module()
            other = subject.clips(3, seed=1)
            same = torch.allclose(network(other), exported(other), rtol=1e-3, atol=1e-4)
        return "works" if same else "gives other logits"

    return _said(attempt)


class _Forward(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(clips)
        return logits


def _said(attempt: Callable[[], str]) -> str:
    level = logging.getLogger("torch").level
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return attempt()
    except Exception as error:  # whatever a compiler may raise
        return f"does not work: {one_line(error)[:_LONGEST]}"
    finally:
        logging.getLogger("torch").setLevel(level)
