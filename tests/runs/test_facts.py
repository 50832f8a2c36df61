import pytest
import torch

from benchmark.runs.facts import hardware_facts


def test_a_gpu_that_does_not_compute_is_no_fact_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert hardware_facts(1, torch.device("cpu")).gpu is None
    assert hardware_facts(2, torch.device("cuda", 1)).gpu == "GPU 1"
