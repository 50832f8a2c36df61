"""What a cell of a grid knows of a fit that it began."""

from pathlib import Path

import pytest
import torch

from benchmark.grid.cells import Validated, _validated
from benchmark.metrics.descriptors import set_mode
from benchmark.runs.checkpoints import BestWeights, run_checkpoints


@pytest.mark.parametrize(
    ("monitor", "mode", "rising"),
    [
        ("val/map", None, 0.25),
        ("val/ece", None, -0.25),
        ("val/loss", None, -0.25),
        ("val/perplexity", "min", -0.25),
        ("val/perplexity", "max", 0.25),
    ],
)
def test_the_better_of_two_fits_is_told_in_another_process_than_theirs(
    monitor: str, mode: str | None, rising: float, tmp_path: Path
) -> None:
    """By the checkpoint alone, which says which way its value is better."""
    set_mode(monitor, mode)  # type: ignore[arg-type]  # one of the two
    (best,) = (each for each in run_checkpoints(tmp_path, monitor, 1.0) if isinstance(each, BestWeights))
    set_mode(monitor, None)
    best.best_model_score = torch.tensor(0.25)
    (tmp_path / "checkpoints").mkdir()
    held = {"state_dict": {}, "callbacks": {best.state_key: best.state_dict()}}
    torch.save(held, tmp_path / "checkpoints" / "best.ckpt")
    found = _validated(tmp_path)
    assert (found.score, found.monitor, found.rising) == (0.25, monitor, rising)


def test_a_fit_of_before_goes_by_what_the_suite_knows() -> None:
    assert Validated(0.25, "val/ece").rising == -0.25
    assert Validated(0.25, "val/map").rising == 0.25
