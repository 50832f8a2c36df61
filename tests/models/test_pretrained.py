from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models.pretrained import load_weights

URL = "https://example.org/small.pth"


class Small(nn.Module):
    """Positions of a square picture and of moments, a layer, a classifier."""

    def __init__(self, classes: int, side: int = 4, moments: int = 2) -> None:
        super().__init__()
        self.pos_embed_spatial = nn.Parameter(torch.randn(1, side * side, 3))
        self.pos_embed_temporal = nn.Parameter(torch.randn(1, moments, 3))
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, classes)


def load(network: nn.Module, path: Path) -> str:
    return load_weights(network, "head", path, name="small", published=URL).said


def saved(path: Path, held: Any) -> Path:
    torch.save(held, path)
    return path


@pytest.mark.parametrize("wrapper", [None, "model_state", "state_dict", "model"])
def test_round_trip(tmp_path: Path, wrapper: str | None) -> None:
    first, second = Small(5), Small(5)
    state = first.state_dict()
    path = saved(tmp_path / "weights.pth", {wrapper: state, "epoch": 3} if wrapper else state)
    assert load(second, path) == f"{path}: all weights of small loaded"
    assert all(torch.equal(value, state[name]) for name, value in second.state_dict().items())


def test_a_head_of_other_size_stays_random(tmp_path: Path) -> None:
    first, second = Small(5), Small(7)
    before = second.head.weight.clone()
    said = load(second, saved(tmp_path / "weights.pth", first.state_dict()))
    assert "except head, which has 5 classes there and 7 here and keeps its random weights" in said
    assert torch.equal(second.head.weight, before)
    assert torch.equal(second.pos_embed_spatial, first.pos_embed_spatial)


def test_positions_are_interpolated(tmp_path: Path) -> None:
    first, second = Small(5, side=14, moments=4), Small(5, side=10, moments=8)

    def plane(side: int) -> Tensor:  # a slope down and a slope across, by the place of the middle of each patch
        places = (torch.arange(side) + 0.5) / side
        down, across = torch.meshgrid(places, places, indexing="ij")
        return torch.stack([down, across, torch.ones(side, side)], -1).reshape(1, side * side, 3)

    with torch.no_grad():
        first.pos_embed_spatial.copy_(plane(14))
        first.pos_embed_temporal.copy_(torch.arange(4.0)[None, :, None].expand(1, 4, 3))
    load(second, saved(tmp_path / "weights.pth", first.state_dict()))
    inner = (slice(None), slice(2, -2), slice(2, -2))
    found = second.pos_embed_spatial.detach().view(1, 10, 10, 3)[inner]
    torch.testing.assert_close(found, plane(10).view(1, 10, 10, 3)[inner], atol=0.01, rtol=0)
    moments = second.pos_embed_temporal.detach()[0, :, 0].numpy()
    np.testing.assert_allclose(moments, np.interp((np.arange(8) + 0.5) / 2 - 0.5, range(4), range(4)), atol=1e-6)


def test_files_without_the_counter_of_batches_load(tmp_path: Path) -> None:
    state = Small(5).state_dict()
    del state["norm.num_batches_tracked"]
    assert "all weights" in load(Small(5), saved(tmp_path / "weights.pth", state))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"norm.weight": None}, r"norm\.weight is not in the file"),
        ({"fc.weight": torch.zeros(2)}, r"fc\.weight is not in the network"),
        ({"norm.bias": torch.zeros(4)}, r"norm\.bias is \(4,\) in the file and \(3,\) in the network"),
        ({"pos_embed_spatial": torch.zeros(1, 15, 3)}, r"pos_embed_spatial is \(1, 15, 3\)"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    network, state = Small(5), Small(5).state_dict()
    mixed = OrderedDict((key, value) for key, value in {**state, **change}.items() if value is not None)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UserError, match=f"does not fit small: {said}.*{URL}"):
        load(network, saved(tmp_path / "weights.pth", mixed))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Dangerous:
    """Would run a command if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("held", [[1, 2], {}, {"epoch": 3}, Dangerous()], ids=["list", "empty", "other", "code"])
def test_files_of_something_else_are_refused(tmp_path: Path, held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"model\.weights .* holds (no|something other than) weights"):
        load(Small(5), saved(tmp_path / "weights.pth", held))
    assert not Path("harm").exists()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pth", Small(5).state_dict())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="is damaged"):
        load(Small(5), path)


@pytest.mark.parametrize("text", ["https://example.org/weights.pth", "torch", "a", "{}", "\n"])
def test_a_text_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match="holds no weights, or is damaged"):
        load(Small(5), path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no such file. Nothing is downloaded: .* small from {URL}"):
        load(Small(5), tmp_path / "weights.pth")
