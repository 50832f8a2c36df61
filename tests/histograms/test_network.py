import subprocess
import sys

import pytest
import torch

from benchmark.clip import VideoBatch
from benchmark.errors import UserError
from benchmark.histograms import HistogramNetwork
from benchmark.histograms.features import DIMENSIONS, FEATURES
from benchmark.models import Recipe
from tests.histograms.test_words import few_words

K = 5


def even(count: int = 2) -> torch.Tensor:
    """Histograms in which nothing was counted."""
    return torch.cat([torch.full((f.dimensions,), 1 / f.bins) for f in FEATURES]).repeat(count, 1)


@pytest.mark.parametrize(("depth", "expected"), [(1, 25_001 * 64 + 65 * K), (2, 25_001 * 64 + 65 * 64 + 65 * K)])
def test_the_parameters_are_those_of_the_layers(depth: int, expected: int) -> None:
    network = HistogramNetwork(K, hidden_layers=depth, width=64)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert network(even(3)).shape == (3, K)


def test_logits_are_those_of_plain_products() -> None:
    network = HistogramNetwork(K, width=8).eval()
    shares = torch.rand(4, DIMENSIONS)
    bins = torch.cat([torch.full((f.dimensions,), float(f.bins)) for f in FEATURES])
    first, last = (layer for layer in network.layers if isinstance(layer, torch.nn.Linear))
    hidden = (((shares * bins).sqrt() - 1) @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(network(shares), hidden @ last.weight.T + last.bias)


def test_an_even_histogram_says_nothing() -> None:
    network = HistogramNetwork(K, width=8).eval()
    first = next(layer for layer in network.layers if isinstance(layer, torch.nn.Linear))
    seen = network.layers[0](even())
    assert seen.abs().max() < 1e-3
    assert seen.shape == (2, first.in_features)


def test_a_feature_that_is_left_out_changes_nothing() -> None:
    network = HistogramNetwork(K, width=8, without=["hog"]).eval()
    shares = even()
    other = shares.clone()
    other[:, : FEATURES[0].dimensions] = torch.rand(2, FEATURES[0].dimensions)
    torch.testing.assert_close(network(shares), network(other))
    other[:, -1] += 0.5
    assert not torch.allclose(network(shares), network(other))
    alone = HistogramNetwork(K, width=8, only=["faces"])
    assert sum(p.numel() for p in alone.parameters()) == 21 * 8 + 9 * K


def test_words_travel_with_the_weights() -> None:
    network, words = HistogramNetwork(K, width=8), few_words()
    with pytest.raises(UserError, match="no words yet"):
        _ = network.words
    network.take_words(words)
    again = HistogramNetwork(K, width=8)
    again.load_state_dict(network.state_dict())
    for name, held in again.words.items():
        assert torch.equal(held.centres, words[name].centres)
        assert held.spread == words[name].spread


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden_layers": 3}, "model.hidden_layers is 3"),
        ({"width": 0}, "model.width 0"),
        ({"stride": 0}, "model.stride 0"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"input_dropout": -0.1}, "model.input_dropout -0.1"),
        ({"without": ["sift"]}, "sift"),
        ({"recipe": Recipe()}, "whole videos have no clips"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        HistogramNetwork(K, **options)  # type: ignore[arg-type]


def test_probabilities_of_a_batch_of_videos() -> None:
    network = HistogramNetwork(K, width=8).eval()
    batch = VideoBatch(even(3), 0, torch.eye(K)[:3], torch.arange(3), torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(network.clip_probabilities(batch), network(batch.features).softmax(1))


def test_the_package_does_not_need_the_extra() -> None:
    code = (
        "import sys; sys.modules['skimage'] = sys.modules['sklearn'] = None\n"
        "import benchmark.training_cli, benchmark.commands.histograms\n"
        "from benchmark.histograms import HistogramNetwork\n"
        "network = HistogramNetwork(3)\n"
        "try:\n    network.configure_callbacks()\n"
        "except Exception as error:\n    print(error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert "HistogramNetwork needs skimage" in shown
    assert "clipbench[histograms]" in shown
