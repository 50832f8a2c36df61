import pytest
import torch


@pytest.fixture(autouse=True)
def repeatable() -> None:
    """The same weights in each test whatever ran before."""
    torch.manual_seed(0)
