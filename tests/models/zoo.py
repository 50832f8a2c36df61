"""What is asked of every network that comes from a library, without memory or time for its weights."""

from typing import Any

import torch
from torch import Tensor

from benchmark.models.library import LibraryNetwork


def on_no_device(network: type[LibraryNetwork], classes: int = 400, **options: Any) -> Any:
    """A network of shapes alone, for evaluation."""
    with torch.device("meta"):
        return network(classes, **options).eval()


def assert_fits(tested: LibraryNetwork, parameters: int) -> None:
    """Its frames lie in the clip, its logits have their shape, and its layer groups hold each parameter once."""
    offsets, side, classes = tested.frame_offsets, tested.facts.side, tested.num_classes
    assert min(offsets) >= 0
    assert max(offsets) < tested.clip_frames
    assert tested.input_side <= 200
    assert sum(parameter.numel() for parameter in tested.parameters()) == parameters
    device = next(tested.parameters()).device
    with torch.no_grad():
        assert tested._scores(torch.empty(2, 3, len(offsets), side, side, device=device)).shape == (2, classes)
    groups = tested.layer_groups
    held = [id(parameter) for group in groups for parameter in group]
    assert sorted(held) == sorted(id(parameter) for parameter in tested.parameters())
    assert all(groups)
    assert {parameter.shape[0] for parameter in groups[-1]} == {classes}
    first = next(iter(tested.network.parameters()))
    assert any(parameter is first for parameter in groups[0])


def assert_batches_do_not_matter(tested: LibraryNetwork, clips: Tensor) -> None:
    """Evaluated alone or with others a clip scores the same; a batch without clips has zero gradients."""
    tested.eval()
    with torch.no_grad():
        together = tested(clips)
        torch.testing.assert_close(tested(clips[:1]), together[:1], rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-4
    tested.train()
    before = {name: value.clone() for name, value in tested.named_buffers()}
    nothing = tested(clips[:0])
    assert nothing.shape == (0, tested.num_classes)
    gradients = torch.autograd.grad(nothing.sum(), list(tested.parameters()))
    assert not any(gradient.count_nonzero() for gradient in gradients)
    assert all(torch.equal(value, before[name]) for name, value in tested.named_buffers())
