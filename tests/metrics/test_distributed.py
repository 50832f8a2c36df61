"""Scores of two processes equal those of one, also where a process has nothing to score."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).with_name("distributed_scores.py")
ROOT = Path(__file__).resolve().parents[2]


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def by_rank(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, str]]]:
    """What each of two gloo processes computed."""
    folder = tmp_path_factory.mktemp("distributed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder / f"{rank}.json")],
            env={**os.environ, **shared, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(2)]


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_two_processes_equal_one(by_rank: list[dict[str, dict[str, str]]]) -> None:
    script = load_script()
    batches = script.batches()
    assert by_rank[0] == by_rank[1]
    for name, owners in script.SCENARIOS.items():
        scored = [batch for batch, owner in zip(batches, owners, strict=True) if owner is not None]
        assert by_rank[0][name] == script.scores_of(scored), name
    assert set(by_rank[0]["both"]) >= {"map", "map/first", "map/second", "videos"}
    assert float.fromhex(by_rank[0]["both"]["videos"]) == 20


def test_scoring_goes_on_after_an_exchange(by_rank: list[dict[str, dict[str, str]]]) -> None:
    script = load_script()
    batches = script.batches()
    for count in range(1, len(batches) + 1):
        assert by_rank[1][f"first_{count}"] == script.scores_of(batches[:count])
