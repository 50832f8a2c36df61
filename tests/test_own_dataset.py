"""The data module that CONTRIBUTING shows, in a file of the user's own."""

import os
import re
from pathlib import Path

import pytest

from tests.generators.forked import forked
from tests.generators.scenes import write_scene
from tests.generators.small_test import CONF

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.timeout(600)
def test_the_recipe_for_a_dataset_trains(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    recipe = re.search(r"Save this as `my_data\.py`.*?```python\n(.*?)```", text, re.DOTALL)
    assert recipe is not None
    (tmp_path / "my_data.py").write_text(recipe[1], "utf-8")
    for number in range(20):
        write_scene(tmp_path / f"videos/{'red' if number % 2 else 'blue'}_{number:02d}.mp4", number)
    code, out, err = forked(
        tmp_path, "fit", "--config", str(CONF), "--data", "my_data.NamedVideos", "--data.root", "videos",
        *("--data.num_workers", "0", "--data.batch_size", "4", "--model.width", "0.05", "--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false", "--trainer.limit_train_batches", "2"),
    )  # fmt: skip
    assert code == 0, err
    assert "20 videos (12 train, 4 validation, 4 test) of 2 classes" in out
    assert "epoch 1 " in out
