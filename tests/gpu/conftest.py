"""Everything here needs a GPU, or the environment's `CLIPBENCH_GPU_TESTS=cpu` for a dry run on the processor."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmark.data.synthetic import read_synthetic_index
from tests.gpu.experiments import start_all
from tests.gpu.runs import IS_DRY, Runs

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = "needs a GPU; CLIPBENCH_GPU_TESTS=cpu runs the same on the processor"
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.timeout(0))  # a test waits its turn; each run has a limit of its own
        if not (IS_DRY or torch.cuda.is_available()):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """All runs, started side by side."""
    data = tmp_path_factory.mktemp("embedded")
    read_synthetic_index(data, source_groups=3)
    made = Runs(data, tmp_path_factory.mktemp("runs"), at_once=2 if IS_DRY else 8)
    try:
        start_all(made)
        yield made
    finally:
        made.close()
