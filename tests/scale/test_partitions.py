"""Layers that are split over devices, against the layers they are made of."""

import json
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from benchmark.cli import main, run
from benchmark.errors import UserError
from benchmark.models import SingleFrame
from benchmark.models.stored import read_checkpoint
from benchmark.scale.downpour import server_options
from benchmark.scale.partitions import PartitionedLinear, devices_of, partition
from tests.generators.small_test import VIDEOS, options

CPU = torch.device("cpu")


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("has_bias", [True, False])
def test_outputs_and_gradients_are_those_of_the_whole_layer(parts: int, has_bias: bool) -> None:
    torch.manual_seed(parts)
    whole = nn.Linear(5, 7, bias=has_bias, dtype=torch.float64)
    split = PartitionedLinear(whole, [CPU] * parts)
    assert [len(each) for each in split._parts("weight")] == [len(each) for each in whole.weight.tensor_split(parts)]
    seen = torch.randn(2, 3, 5, dtype=torch.float64)
    inputs = [seen.clone().requires_grad_() for _ in range(2)]
    outputs = [whole(inputs[0]), split(inputs[1])]
    assert torch.allclose(outputs[0], outputs[1], atol=1e-14)
    for output in outputs:
        output.square().sum().backward()
    assert torch.allclose(_gradient(inputs[0]), _gradient(inputs[1]), atol=1e-13)
    for name, parameter in whole.named_parameters():
        parts_of = torch.cat([_gradient(each) for each in split._parts(name)])
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


def test_a_layer_that_stands_in_two_places_is_split_in_both() -> None:
    layer = nn.Linear(4, 4)
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    (made,) = partition(twice, [CPU] * 2)
    assert twice[0] is twice[2] is made


def test_what_is_frozen_stays_frozen() -> None:
    layer = nn.Linear(4, 4).requires_grad_(False)
    assert not any(each.requires_grad for each in PartitionedLinear(layer, [CPU] * 2).parameters())


def test_parts_lie_on_devices_of_their_own() -> None:
    """Shapes and devices are those of two GPUs, and operations on tensors of both would be refused."""
    with FakeTensorMode():
        layer = PartitionedLinear(nn.Linear(4, 6), [torch.device("cuda", number) for number in range(2)])
        layer.place()
        assert {str(each.device) for each in layer._parts("weight")} == {"cuda:0", "cuda:1"}
        seen = torch.empty(3, 4, device="cuda:0")
        with pytest.raises(RuntimeError, match=r"cuda:0.*cuda:1|cuda:1.*cuda:0"):
            F.linear(seen, layer.get_parameter("weight_1"))
        assert (layer(seen).device, tuple(layer(seen).shape)) == (torch.device("cuda:0"), (3, 6))
        assert (layer.weight.device, tuple(layer.weight.shape)) == (torch.device("cuda:0"), (6, 4))


def test_what_cannot_be_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"partitions is 9, and Sequential has no fully connected layer"):
        partition(nn.Sequential(nn.Linear(4, 8)), [CPU] * 9)
    with pytest.raises(UserError, match=r"partitions 0"):
        server_options(partitions=0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"partitions is 2, and a replica sees 1 GPUs; let `launch` give it --gpus 2"):
        devices_of(torch.device("cuda"), 2)
    assert devices_of(CPU, 2) == [CPU, CPU]


def test_a_fit_writes_checkpoints_of_the_whole_network(small_set: Path, tmp_path: Path) -> None:
    """A replica alone, whose pushes are its own steps."""
    for parts in (1, 2):
        strategy = {"class_path": "benchmark.scale.downpour.Downpour", "init_args": {"partitions": parts}}
        words = options(small_set, tmp_path / str(parts), "--trainer.max_epochs", "2", "--report", "false")
        assert run(["fit", *words, "--trainer.strategy", json.dumps(strategy)]) == 0
    states = [read_checkpoint(str(tmp_path / str(parts) / "checkpoints/last.ckpt"))["state_dict"] for parts in (1, 2)]
    assert list(states[0]) == list(states[1])
    for name, values in states[0].items():
        assert torch.allclose(values, states[1][name], atol=1e-4), name
    tested = options(small_set, tmp_path / "test", "--report", "false")
    assert main(["test", *tested, "--ckpt_path", str(tmp_path / "2/checkpoints/last.ckpt")]) == 0
    assert len(parquet.read_table(tmp_path / "test/ledger.parquet")) == VIDEOS
