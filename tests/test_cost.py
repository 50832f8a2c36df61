import numpy as np
import pytest
import torch

import benchmark.models
from benchmark.cost import (
    _cudnn_operations,
    gflop_by_shapes,
    gflop_computed,
    gflop_per_clip,
    moving_clips,
    operation_counter,
)
from benchmark.models import Recurrent, SingleFrame

WIDTH = 0.06


@pytest.mark.parametrize(("layers", "both_ways"), [(1, False), (2, False), (2, True)])
def test_the_matrix_products_of_an_lstm_are_counted(layers: int, both_ways: bool) -> None:
    features, units, steps, clips = 6, 4, 8, 3
    network = torch.nn.LSTM(features, units, layers, batch_first=True, bidirectional=both_ways)
    with torch.no_grad(), operation_counter() as counter:
        network(torch.zeros(clips, steps, features))
    ways = 1 + both_ways
    matrices = ways * 4 * units * (features + units) + (layers - 1) * ways * 4 * units * (ways * units + units)
    assert counter.get_total_flops() == 2 * steps * clips * matrices


def test_training_an_lstm_costs_three_times_as_much() -> None:
    network = torch.nn.LSTM(6, 4, batch_first=True)
    clips = torch.zeros(3, 8, 6, requires_grad=True)
    with operation_counter() as forward, torch.no_grad():
        network(clips)
    with operation_counter() as both:
        torch.autograd.backward(network(clips)[0].sum())
    assert both.get_total_flops() == 3 * forward.get_total_flops() > 0


def test_the_same_is_counted_on_a_gpu() -> None:
    weights = [torch.Size(shape) for shape in ((16, 6), (16, 4), (16,), (16,))]
    assert _cudnn_operations(torch.Size((8, 3, 6)), weights, 4, None) == 2 * 8 * 3 * 16 * (6 + 4)


def test_an_lstm_costs_a_gate_more_than_a_gru() -> None:
    lstm, gru = (Recurrent(5, cell=cell, width=WIDTH) for cell in ("lstm", "gru"))
    a_gate = 2 * 8 * lstm.recurrent.hidden_size * (lstm.recurrent.input_size + lstm.recurrent.hidden_size)
    for count in (gflop_by_shapes, gflop_per_clip):
        assert count(lstm) - count(gru) == pytest.approx(a_gate / 1e9, rel=1e-6)


def test_clips_that_are_timed_move_and_hold_corners() -> None:
    clips = moving_clips(2, 4, 40).numpy()
    assert clips.shape == (2, 4, 40, 40, 3)
    assert clips.dtype == np.uint8
    assert clips.std() > 50
    for before, after in zip(clips[:, :-1].swapaxes(0, 1), clips[:, 1:].swapaxes(0, 1), strict=True):
        np.testing.assert_array_equal(before[:, 2:], after[:, :-2])
        assert (before != after).any()


def test_counting_leaves_no_trace_in_a_network() -> None:
    """Frozen parts stay in evaluation, and what a layer keeps from one clip for the next is none of the counted one."""

    class Keeps(SingleFrame):
        mask: torch.Tensor | None = None

        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            if self.mask is None:
                self.mask = torch.ones(clips.shape[2])
            return super().forward(clips) * self.mask[:1]

    network = Keeps(5, width=WIDTH)
    network.streams.eval()
    for count in (gflop_by_shapes, gflop_computed):
        assert count(network) > 0
        assert network.mask is None
        assert network.training
        assert network.classifier.training
        assert not network.streams.training
    assert network(torch.zeros(1, 1, 170, 170, 3, dtype=torch.uint8)).isfinite().all()


@pytest.mark.parametrize("name", ["SingleFrame", "EarlyFusion", "LateFusion", "SlowFusion", "Recurrent"])
@pytest.mark.parametrize("resolution", ["full", "multires"])
def test_shapes_and_a_clip_give_the_same_count(name: str, resolution: str) -> None:
    network = getattr(benchmark.models, name)(5, width=WIDTH, resolution=resolution)
    assert gflop_by_shapes(network) == gflop_computed(network)
