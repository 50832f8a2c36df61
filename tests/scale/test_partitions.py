"""Layers that are split over devices, against the layers they are made of."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.optimizer import _optimizer_to_device
from pyarrow import parquet
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from benchmark.cli import main, run
from benchmark.errors import UserError
from benchmark.models import SingleFrame
from benchmark.models.stored import read_checkpoint
from benchmark.runs.weights_origin import marks_of
from benchmark.scale.downpour import server_options
from benchmark.scale.partitions import (
    PartitionedLinear,
    devices_of,
    partition,
    place_state,
    split_state,
    whole_state,
)
from benchmark.transfer.carrying import place_dropout
from benchmark.transfer.feature_store import frozen_hash
from tests.generators.small_test import VIDEOS, options

CPU = torch.device("cpu")


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("has_bias", [True, False])
def test_outputs_and_gradients_are_those_of_the_whole_layer(parts: int, has_bias: bool) -> None:
    torch.manual_seed(parts)
    whole = nn.Linear(5, 7, bias=has_bias, dtype=torch.float64)
    split = PartitionedLinear(whole, [CPU] * parts)
    assert [len(each) for each in split.parts("weight")] == [len(each) for each in whole.weight.tensor_split(parts)]
    seen = torch.randn(2, 3, 5, dtype=torch.float64)
    inputs = [seen.clone().requires_grad_() for _ in range(2)]
    outputs = [whole(inputs[0]), split(inputs[1])]
    assert torch.allclose(outputs[0], outputs[1], atol=1e-14)
    for output in outputs:
        output.square().sum().backward()
    assert torch.allclose(_gradient(inputs[0]), _gradient(inputs[1]), atol=1e-13)
    for name, parameter in whole.named_parameters():
        parts_of = torch.cat([_gradient(each) for each in split.parts(name)])
        assert torch.allclose(_gradient(parameter), parts_of, atol=1e-13)


def _gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def network() -> SingleFrame:
    """Small, the same in each call."""
    torch.manual_seed(3)
    return SingleFrame(5, width=0.05, resolution="multires")


def trained(one: SingleFrame) -> SingleFrame:
    """After three steps with momentum and dropout."""
    torch.manual_seed(4)
    one.train().double()
    optimizer = torch.optim.SGD(one.parameters(), lr=0.1, momentum=0.9)
    clips = torch.randint(0, 256, (6, len(one.frame_offsets), one.input_side, one.input_side, 3), dtype=torch.uint8)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(one(clips), torch.arange(6) % 5).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return one


def test_a_network_learns_the_same_and_is_saved_as_it_was() -> None:
    split = network()
    made = partition(split, [CPU] * 3)
    assert [each.in_features for each in made] == [split.streams.features, round(4096 * 0.05)]
    assert split.classifier.layer_groups[:2] == [list(each.parameters()) for each in made]
    weights, expected = trained(split).state_dict(), trained(network()).state_dict()
    assert list(weights) == list(expected)
    for name, values in expected.items():
        assert torch.allclose(values, weights[name], atol=1e-10), name
    other = network().double()
    other.load_state_dict(weights)
    split.load_state_dict(network().double().state_dict())
    for name, values in network().double().state_dict().items():
        assert torch.equal(values, split.state_dict()[name]), name


def test_weights_of_another_shape_or_without_a_layer_are_refused() -> None:
    split = nn.Sequential(nn.Linear(4, 6))
    partition(split, [CPU] * 2)
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.weight: \(6, 5\) in place of \(6, 4\)"):
        split.load_state_dict({"0.weight": torch.zeros(6, 5), "0.bias": torch.zeros(6)})
    with pytest.raises(RuntimeError, match=r'Missing key.*"0\.bias"'):
        split.load_state_dict({"0.weight": torch.zeros(6, 4)})


def test_layers_whose_weights_others_hold_or_make_stay_whole() -> None:
    twice, tied = nn.Linear(4, 4), nn.Linear(4, 4)
    embedding = nn.Embedding(4, 4)
    embedding.weight = tied.weight
    normalised = nn.utils.weight_norm(nn.Linear(4, 4))
    network = nn.Sequential(twice, nn.ReLU(), twice, tied, embedding, normalised, nn.Linear(4, 2))
    (made,) = partition(network, [CPU] * 2)
    assert [number for number, layer in enumerate(network) if layer is made] == [6]


def test_dropout_that_a_transfer_has_put_before_a_layer_stays() -> None:
    one, other = network(), network()
    for each in (one, other):
        assert place_dropout(each, each.classifier.layer_groups[-1], 0.5) == 3
    partition(one, [CPU] * 2)
    outputs = []
    for each in (one, other):
        torch.manual_seed(1)
        outputs.append(each.classifier(torch.ones(2, each.streams.features)))
    assert torch.allclose(outputs[0], outputs[1], atol=1e-5)
    assert not torch.allclose(outputs[0][0], outputs[0][1])


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adagrad])
def test_the_state_of_an_optimiser_is_that_of_the_whole_network(make: Any) -> None:
    """A fit may go on with another number of parts: all end with the same weights."""
    more = {"momentum": 0.9} if make is torch.optim.SGD else {}
    ends = []
    for parts in ((1, 1), (2, 3), (1, 3), (3, 1)):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 4), nn.Linear(4, 2)).double()
        whole: dict[str, Any] = {}
        for number in parts:
            before = layers.state_dict()
            layers = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 4), nn.Linear(4, 2)).double()
            layers.load_state_dict(before)
            split = partition(layers, [CPU] * number)
            groups = [{"params": [*layers[2].parameters()], "lr": 0.05}, {"params": [*layers[:2].parameters()]}]
            optimizer = make(groups, lr=0.1, **more)
            if whole:
                optimizer.load_state_dict(split_state(whole, optimizer, split))
            for step in range(3):
                optimizer.zero_grad()
                layers(torch.full((1, 5), step + 1.0, dtype=torch.float64)).square().sum().backward()
                optimizer.step()
            whole = whole_state(optimizer.state_dict(), optimizer, split)
            assert [len(group["params"]) for group in whole["param_groups"]] == [2, 4]
        ends.append(layers.state_dict())
    for end in ends[1:]:
        for name, values in ends[0].items():
            assert torch.allclose(values, end[name], atol=1e-12), name
    other = make([torch.zeros(3, requires_grad=True)], lr=0.1, **more)
    refused = split_state(whole, other, [])
    with pytest.raises(ValueError, match="parameter group"):
        other.load_state_dict(refused)


def test_weights_are_recognised_though_they_are_split() -> None:
    split, one = network(), network()
    partition(split, [CPU] * 4)
    assert marks_of(split) == marks_of(one)
    for each in (split, one):
        each.streams.requires_grad_(False)
    assert frozen_hash(split) == frozen_hash(one)


def test_what_is_frozen_stays_frozen() -> None:
    layer = nn.Linear(4, 4).requires_grad_(False)
    assert not any(each.requires_grad for each in PartitionedLinear(layer, [CPU] * 2).parameters())


def test_parts_lie_on_devices_of_their_own() -> None:
    """Shapes and devices are those of two GPUs, and operations on tensors of both would be refused."""
    with FakeTensorMode():
        layer = PartitionedLinear(nn.Linear(4, 6), [torch.device("cuda", number) for number in range(2)])
        layer.place()
        assert {str(each.device) for each in layer.parts("weight")} == {"cuda:0", "cuda:1"}
        seen = torch.empty(3, 4, device="cuda:0")
        with pytest.raises(RuntimeError, match=r"cuda:0.*cuda:1|cuda:1.*cuda:0"):
            F.linear(seen, layer.get_parameter("weight_1"))
        assert (layer(seen).device, tuple(layer(seen).shape)) == (torch.device("cuda:0"), (3, 6))
        assert (layer.weight.device, tuple(layer.weight.shape)) == (torch.device("cuda:0"), (6, 4))
        optimizer = torch.optim.Adagrad(layer.parameters())
        _optimizer_to_device(optimizer, torch.device("cuda:0"))  # as the Trainer does
        place_state(optimizer)
        for parameter, held in optimizer.state.items():
            assert held["sum"].device == parameter.device


def test_what_cannot_be_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"partitions is 9, and Sequential has no .* layer with at least 9 outputs"):
        partition(nn.Sequential(nn.Linear(4, 8)), [CPU] * 9)
    with pytest.raises(UserError, match=r"partitions 0"):
        server_options(partitions=0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"partitions is 2, and a replica sees 1 GPU; let `launch` give it --gpus 2"):
        devices_of(torch.device("cuda"), 2)
    assert devices_of(CPU, 2) == [CPU, CPU]


def fitted(small_set: Path, folder: Path, parts: int, epochs: int, *more: str) -> list[str]:
    """Words of a fit by a replica alone, whose pushes are its own steps."""
    given = {"partitions": parts, "momentum_at": "replica"}
    strategy = {"class_path": "benchmark.scale.downpour.Downpour", "init_args": given}
    words = options(small_set, folder, "--trainer.max_epochs", str(epochs), *more)
    return ["fit", *words, "--trainer.strategy", json.dumps(strategy)]


def test_a_fit_writes_checkpoints_of_the_whole_network(small_set: Path, tmp_path: Path) -> None:
    """A fit with another number of parts goes on with them."""
    for parts, begins in ((1, 1), (2, 3)):
        folder = tmp_path / str(parts)
        assert run(fitted(small_set, folder, begins, 1)) == 0
        assert run(fitted(small_set, folder, parts, 2, "--ckpt_path", "auto")) == 0
    states = [read_checkpoint(str(tmp_path / str(parts) / "checkpoints/last.ckpt"))["state_dict"] for parts in (1, 2)]
    assert list(states[0]) == list(states[1])
    for name, values in states[0].items():
        assert torch.allclose(values, states[1][name], atol=1e-4), name
    tested = options(small_set, tmp_path / "test")
    assert main(["test", *tested, "--ckpt_path", str(tmp_path / "2/checkpoints/last.ckpt")]) == 0
    assert len(parquet.read_table(tmp_path / "test/ledger.parquet")) == VIDEOS


def test_a_copy_of_the_network_is_refused(small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = fitted(small_set, tmp_path / "run", 2, 1, "--trainer.callbacks+", "WeightAveraging")
    assert main(words) != 0
    assert "partitions is 2, and WeightAveraging keeps a copy" in capsys.readouterr().err
