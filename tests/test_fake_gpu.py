"""Every verb on a GPU, as far as a machine without one can show it; `tests/gpu` shows the rest."""

from pathlib import Path

import pytest
import torch

from benchmark.cli import run
from tests.generators.fake_gpu import OnGpu, fake_gpu
from tests.generators.small_test import options


def on_gpu(root: Path, folder: Path, *more: str) -> list[str]:
    """Arguments of a small run on the GPU."""
    return [word if word != "cpu" else "gpu" for word in options(root, folder, *more)]


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


def test_a_network_is_trained_and_tested_on_a_gpu(small_set: Path, tmp_path: Path) -> None:
    with fake_gpu():
        assert run(["fit", *on_gpu(small_set, tmp_path / "fit")]) == 0
        words = ["--ckpt_path", str(tmp_path / "fit/checkpoints/last.ckpt")]
        assert run(["test", *on_gpu(small_set, tmp_path / "test", *words)]) == 0
    assert (tmp_path / "test/record.json").exists()
