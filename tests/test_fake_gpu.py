"""Every verb that computes, on a GPU as far as a machine without one can show it; `tests/gpu` shows the rest.

Within `fake_gpu` the real command line, Trainer, metrics, callbacks and files run; `tests/generators/fake_gpu.py` says
what that cannot see. Loaders have no workers here, and precision is float32.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.cli import run
from benchmark.cost import gflop_computed, gflop_per_clip
from benchmark.models import SingleFrame, StabilisedFusion
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from tests.generators.fake_gpu import OnGpu, fake_gpu
from tests.generators.small_test import options


def on_gpu(root: Path, folder: Path, *more: str, report: bool | None = False) -> list[str]:
    """Arguments of a small run on the GPU."""
    return [word if word != "cpu" else "gpu" for word in options(root, folder, *more, report=report)]


@pytest.fixture(scope="module")
def trained(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that a GPU trained."""
    folder = tmp_path_factory.mktemp("gpu") / "fit"
    with fake_gpu():
        assert run(["fit", *on_gpu(small_set, folder)]) == 0
    return folder / "checkpoints/last.ckpt"


def test_devices_that_meet_are_found() -> None:
    with fake_gpu():
        layer = torch.nn.Linear(3, 2).to("cuda")
        assert isinstance(layer.weight, OnGpu)
        with pytest.raises(RuntimeError, match=r"found at least two devices, cuda:0 and cpu"):
            layer(torch.zeros(1, 3))
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            layer.weight.detach().numpy()
        assert layer(torch.zeros(1, 3).to("cuda")).cpu().shape == (1, 2)
        assert layer.cpu()(torch.zeros(1, 3)).device.type == "cpu"


@pytest.mark.parametrize("count", [gflop_per_clip, gflop_computed])
def test_operations_are_counted_where_the_weights_are(count: Callable[[torch.nn.Module], float]) -> None:
    """Lightning lets a module say in `setup` that it is on the GPU before its weights are there."""
    network = SingleFrame(5, width=0.05, resolution="context")
    expected = count(network)
    with fake_gpu():
        network._device = torch.device("cuda", 0)
        assert network.device.type == "cuda"
        assert count(network) == expected > 0
        assert count(network.to("cuda")) == expected


def test_a_layer_that_leaves_pytorch_is_counted_by_running_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network = StabilisedFusion(5, width=0.05, resolution="context")
    with fake_gpu():
        assert gflop_per_clip(network.to("cuda")) == gflop_per_clip(network.to("cpu")) > 0


def test_a_test_on_the_gpu_scores_as_one_on_the_processor(
    small_set: Path, checkpoint: str, tested: Path, tmp_path: Path
) -> None:
    with fake_gpu():
        assert run(["test", *on_gpu(small_set, tmp_path / "run"), "--ckpt_path", checkpoint]) == 0
    here, there = Ledger.read(tmp_path / "run"), Ledger.read(tested)
    assert here.failures() == there.failures() != {}
    assert here.table["clip_starts"] == there.table["clip_starts"]
    np.testing.assert_allclose(here.scores, there.scores, atol=1e-6)
    record, other = Record.read(tmp_path / "run"), Record.read(tested)
    assert (record.hardware.gpu, other.hardware.gpu) == ("GPU of the mind", None)
    assert record.model == other.model


def test_weights_of_a_gpu_are_scored_by_the_processor(small_set: Path, trained: Path, tmp_path: Path) -> None:
    assert run(["test", *options(small_set, tmp_path / "run"), "--ckpt_path", str(trained)]) == 0


@pytest.mark.parametrize("verb", ["validate", "predict"])
def test_verbs_run_on_a_gpu(verb: str, small_set: Path, trained: Path, tmp_path: Path) -> None:
    with fake_gpu():
        assert run([verb, *on_gpu(small_set, tmp_path / "run", report=None), "--ckpt_path", str(trained)]) == 0
    assert verb == "validate" or (tmp_path / "run/predictions.csv").read_text("utf-8").count("\n") > 30


def test_a_fit_of_the_processor_goes_on_on_a_gpu(small_set: Path, checkpoint: str, tmp_path: Path) -> None:
    words = on_gpu(small_set, tmp_path / "run", "--ckpt_path", checkpoint, "--trainer.max_epochs", "2")
    with fake_gpu():
        assert run(["fit", *words]) == 0
    held = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert held["epoch"] == 1


def test_training_on_stored_features_runs_on_a_gpu(
    small_set: Path, pretrained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transfer = ["--transfer.regime", "top", "--transfer.pretrained", pretrained, "--data.fold", "3"]
    motion = ["--data.classes", "[Expand, Contract, Rise, Sink]"]
    with fake_gpu():
        assert run(["fit", *on_gpu(small_set, tmp_path / "run", *transfer, *motion)]) == 0
    assert "features of" in capsys.readouterr().out


def test_speed_is_measured_on_a_gpu(small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.speed.machine.matmul_peak_gflop_per_second", lambda dtype, device: 100.0)
    monkeypatch.setattr("benchmark.speed.machine.memory_bandwidth_bytes_per_second", lambda device: 1e10)
    short = ["--speed.clips", "6", "--speed.steps", "4", "--speed.rounds", "2"]
    with fake_gpu():
        assert run(["speed", *on_gpu(small_set, tmp_path / "run", *short)]) == 0
    assert "GPU of the mind" in (tmp_path / "run/speed.json").read_text("utf-8")
