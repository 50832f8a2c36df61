"""Every network with its weights on a GPU: a training step, the step of its optimiser, a test step, its operations.

The GPU is one of the mind (`tests/generators/fake_gpu.py` says what it cannot see). Its tensors have shapes alone, so
that networks of full size cost nothing; `tests/test_fake_gpu.py` runs whole verbs on values, with metrics and ledgers.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml

import benchmark.models
from benchmark.clip import ClipBatch, FeatureBatch
from benchmark.cost import device_of, gflop_per_clip
from benchmark.models import VideoClassifier
from benchmark.models.convolutions import work_around_onednn
from benchmark.models.layers import Resolution
from benchmark.protocol import View
from tests.generators.fake_gpu import OnGpu, fake_gpu

CONF = Path(__file__).resolve().parents[2] / "conf"
CONFIGURATIONS = sorted(
    {*CONF.glob("*.yaml"), *CONF.glob("zoo/*.yaml")} - {CONF / "average.yaml", CONF / "histograms.yaml"}
)
FUSIONS = ("SingleFrame", "EarlyFusion", "LateFusion", "SlowFusion", "StabilisedFusion", "Recurrent")
NEED_VALUES = {"StabilisedFusion"}  # which leave PyTorch in `forward`
NEED_NUMBERS = {"mvit_base_16x4"}  # which cannot be built on the meta device
VIEWS: tuple[View, ...] = ("upper_left", "lower_right_flipped")
K, CLIPS = 7, 2


def batch(network: VideoClassifier, side: int, views: tuple[View, ...]) -> ClipBatch:
    frames = torch.zeros(CLIPS, len(network.frame_offsets), side, side, 3, dtype=torch.uint8)
    rows = torch.arange(CLIPS)
    labels = torch.eye(K)[rows % K]
    return ClipBatch(frames, labels, rows, rows, rows, torch.zeros(CLIPS, dtype=torch.bool), views).to("cuda")


def assert_runs_on_gpu(network: VideoClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_values = type(network).__name__ in NEED_VALUES
    expected = None if needs_values else gflop_per_clip(network)
    with fake_gpu(values=needs_values):
        assert_trains_and_scores(network, monkeypatch)
        counted = gflop_per_clip(network)
    assert counted > 0
    if expected is not None:
        assert counted == expected


def assert_trains_and_scores(network: VideoClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a simulated GPU."""
    monkeypatch.setattr(network, "log", lambda *_, **__: None)  # there is no Trainer
    network.to("cuda")
    work_around_onednn(network)
    configured: Any = network.configure_optimizers()
    optimizer = configured["optimizer"]
    assert optimizer.defaults["fused"]
    network.train()
    loss = network.training_step(batch(network, network.input_side, ("centre",)), 0)
    torch.autograd.backward(loss)
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert isinstance(parameter, OnGpu), name
        assert isinstance(parameter.grad, OnGpu), name
        assert isinstance(optimizer.state[parameter]["momentum_buffer"], OnGpu), name
    network.eval()
    with torch.no_grad():
        scores = network.test_step(batch(network, 200, VIEWS), 0)
        nothing = network(torch.zeros(0, *batch(network, network.input_side, ("centre",)).frames.shape[1:]).to("cuda"))
    assert scores.shape == (CLIPS, K)
    assert scores.device == nothing.device == device_of(network) == torch.device("cuda", 0)
    head = network.head_layers
    if head is not None:
        features = network.forward_features(batch(network, network.input_side, ("centre",)).frames)
        rows = torch.arange(CLIPS)
        stored = FeatureBatch(features.detach(), 0, torch.eye(K)[:CLIPS].to("cuda"), rows, rows).to("cuda")
        assert network.test_step(stored, 0).device.type == "cuda"  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "resolution"), [*product(FUSIONS, get_args(Resolution))])
def test_a_strategy_runs_on_a_gpu(name: str, resolution: Resolution, monkeypatch: pytest.MonkeyPatch) -> None:
    build: Callable[..., VideoClassifier] = getattr(benchmark.models, name)
    assert_runs_on_gpu(build(K, resolution=resolution, width=0.05), monkeypatch)


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_a_configuration_runs_on_a_gpu(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = yaml.safe_load(path.read_text("utf-8"))["model"]
    options = model.get("init_args", {})
    with torch.device("cpu" if {model["class_path"], path.stem} & {*NEED_VALUES, *NEED_NUMBERS} else "meta"):
        network = getattr(benchmark.models, model["class_path"])(K, **options)
    assert_runs_on_gpu(network, monkeypatch)
