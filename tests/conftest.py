import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.cli import main
from benchmark.data import content_store
from benchmark.data.synthetic import read_synthetic_index
from benchmark.extras import EXTRAS
from benchmark.grid import processes
from benchmark.runs import weights_origin
from tests.generators.forked import in_a_copy
from tests.generators.small_test import BROKEN, options
from tests.generators.transfer_grids import InProcess


def pytest_configure() -> None:
    """Sums by one thread, here and in the tests' processes: their networks are tiny, and tests run side by side."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a library of an extra where it is not there."""
    for mark in item.iter_markers("extra"):
        pytest.importorskip(mark.args[0], reason=f"needs {mark.args[0]}, of the extra {EXTRAS[mark.args[0]]}")


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test in a process of its own that asks for it; its fixtures stay in this one."""
    if pyfuncitem.get_closest_marker("own_process") is None:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    in_a_copy(lambda: pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(autouse=True)
def random_state() -> Iterator[None]:
    """Give back the global random states, so that no test depends on the ones before it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@pytest.fixture(autouse=True, scope="session")
def known_contents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the tests learn of made videos and weights out of the user's cache."""
    folder = tmp_path_factory.mktemp("known")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content_store, "store_folder", lambda: folder / "content")
        patch.setattr(weights_origin, "origins_folder", lambda: folder / "weights")
        yield


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest set of the embedded data, one test video of which cannot be read."""
    folder = tmp_path_factory.mktemp("embedded")
    read_synthetic_index(folder, source_groups=3)
    next(folder.rglob(f"{BROKEN}.*")).write_bytes(b"no video")
    return folder


@pytest.fixture(scope="session")
def checkpoint(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights trained on fold 1 of it."""
    run = tmp_path_factory.mktemp("fit") / "run"
    assert main(["fit", *options(small_set, run)]) == 0
    return str(run / "checkpoints/last.ckpt")


@pytest.fixture(scope="session")
def tested(small_set: Path, checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of their test by one process."""
    run = tmp_path_factory.mktemp("test") / "run"
    assert main(["test", *options(small_set, run, report=True), "--ckpt_path", checkpoint]) == 0
    return run


@pytest.fixture(scope="session")
def pretrained(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights trained on its four classes of appearance, fold 1; no motion video is among them."""
    run = tmp_path_factory.mktemp("pretrained") / "run"
    assert main(["fit", *options(small_set, run, "--data.classes", "[Discs, Tiles, Stripes, Blobs]")]) == 0
    return str(run / "checkpoints/last.ckpt")


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """Runs the verbs of a transfer grid's cells in this process."""
    runner = InProcess()
    monkeypatch.setattr(processes, "run_verb", runner)
    return runner
