from typing import Any

import numpy as np
import pytest
import torch

from benchmark.errors import UserError
from benchmark.models import Recurrent
from benchmark.models.recurrent import Cell
from tests.models.plain import random_clips

K, WIDTH, SIDE = 5, 0.06, 170
CELLS: list[Cell] = ["lstm", "gru"]
GATES = {"lstm": 4, "gru": 3}


def built(cell: Cell, **options: Any) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(K, cell=cell, width=WIDTH, **options)


def sigmoid(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(1 / (1 + np.exp(-x)))


def by_hand(tested: Recurrent, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean score of the moments of one clip, features (T, F), by the cells' equations."""
    w_in, w_state, b_in, b_state = (p.detach().double().numpy() for p in tested.recurrent.parameters())
    weight, bias = (p.detach().double().numpy() for p in tested.classifier.parameters())
    state = memory = np.zeros(w_state.shape[1])
    scores = []
    for x in features:
        from_input, from_state = w_in @ x + b_in, w_state @ state + b_state
        if tested.cell == "lstm":
            enter, forget, new, leave = np.split(from_input + from_state, 4)
            memory = sigmoid(forget) * memory + sigmoid(enter) * np.tanh(new)
            state = sigmoid(leave) * np.tanh(memory)
        else:
            (reset, update, new), (reset_s, update_s, new_s) = np.split(from_input, 3), np.split(from_state, 3)
            candidate = np.tanh(new + sigmoid(reset + reset_s) * new_s)
            kept = sigmoid(update + update_s)
            state = (1 - kept) * candidate + kept * state
        scores.append(weight @ state + bias)
    return np.asarray(np.mean(scores, axis=0))


@pytest.mark.parametrize("cell", CELLS)
def test_equals_the_equations_of_its_cell(cell: Cell) -> None:
    tested = built(cell, resolution="fovea").double().eval()
    torch.nn.init.normal_(tested.classifier.weight)
    clips = random_clips(2, 8, 178)
    with torch.no_grad():
        scores = tested(clips).numpy()
        features = tested.frame_features(tested.streams(clips)).clamp(min=0).numpy()
    expected = np.stack([by_hand(tested, clip) for clip in features])
    assert expected.std() > 0.01
    np.testing.assert_allclose(scores, expected, rtol=1e-8)


@pytest.mark.parametrize(("apart", "first", "last", "frames"), [(2, 1, 15, 16), (8, 4, 60, 64), (1, 0, 7, 8)])
def test_moments_lie_as_far_apart_as_asked(apart: int, first: int, last: int, frames: int) -> None:
    tested = built("gru", frames_apart=apart)
    assert tested.frame_offsets == tuple(range(first, last + 1, apart))
    assert tested.clip_frames == frames
    assert tested.shape["frames_apart"] == apart


@pytest.mark.parametrize("cell", CELLS)
def test_order_of_frames_matters(cell: Cell) -> None:
    tested = built(cell).eval()
    torch.nn.init.normal_(tested.classifier.weight)
    clips = random_clips(1, 8, SIDE)
    with torch.no_grad():
        assert (tested(clips) - tested(clips.flip(1))).abs().max() > 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_parameter_count(cell: Cell) -> None:
    with torch.device("meta"):
        counted = sum(parameter.numel() for parameter in Recurrent(487, cell=cell).parameters())
    trunk = sum(
        filters * inputs * side**2 + filters
        for filters, inputs, side in [(96, 3, 11), (256, 96, 5), (384, 256, 3), (384, 384, 3), (256, 384, 3)]
    )
    frame = 7 * 7 * 256 * 4096 + 4096
    assert counted == trunk + frame + GATES[cell] * 512 * (4096 + 512 + 2) + 512 * 487 + 487


@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_without_clips_and_one_with_one(cell: Cell) -> None:
    tested = built(cell)
    nothing = tested(random_clips(0, 8, SIDE))
    assert nothing.shape == (0, K)
    gradients = torch.autograd.grad(nothing.sum(), list(tested.parameters()))
    assert not any(gradient.any() for gradient in gradients)
    assert tested(random_clips(1, 8, SIDE)).shape == (1, K)


def test_half_precision_gives_the_same_scores() -> None:
    tested = built("lstm").eval()
    clips = random_clips(2, 8, SIDE)
    with torch.no_grad():
        exact = tested(clips)
        with torch.autocast("cpu", torch.bfloat16):
            rough = tested(clips)
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=1e-3)


def test_layer_groups_cover_each_parameter_once() -> None:
    tested = built("gru")
    groups = tested.layer_groups
    held = [id(parameter) for group in groups for parameter in group]
    assert sorted(held) == sorted(id(parameter) for parameter in tested.parameters())
    assert {id(p) for p in groups[-1]} == {id(p) for p in tested.classifier.parameters()}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"cell": "rnn"}, "model.cell"),
        ({"frames_apart": 0}, "model.frames_apart is 0"),
        ({"dropout": 1.0}, "model.dropout"),
    ],
)
def test_an_option_that_is_not_allowed_is_named(options: dict[str, Any], name: str) -> None:
    with pytest.raises(UserError, match=name):
        Recurrent(K, **options)
