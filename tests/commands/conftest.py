import pytest

from benchmark.commands import transfer_cell
from tests.generators.transfer_grids import InProcess


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    runner = InProcess()
    monkeypatch.setattr(transfer_cell, "_verb", runner)
    return runner
