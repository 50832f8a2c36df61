from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.models.recipe import Recipe
from benchmark.runs.checkpoints import run_checkpoints
from benchmark.runs.finite import FiniteLoss
from tests.models.training import Batches, build, trainer, training_batch


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rate", [1e30, 0.001])
@pytest.mark.parametrize("validated", [False, True])
def test_weights_that_a_loss_of_nan_has_spoilt_are_not_kept(rate: float, validated: bool, tmp_path: Path) -> None:
    network = build(recipe=Recipe(learning_rate=rate, warmup_steps=0))
    batches = [training_batch(network, 4, seed) for seed in range(3)]
    saving = run_checkpoints(tmp_path / "checkpoints", "val/clip_hit1", 1e-9)  # after every step
    runner = trainer(tmp_path, FiniteLoss(), *saving, max_epochs=2, enable_checkpointing=True)
    data = Batches(batches, batches[:1] if validated else [])
    left = tmp_path / "checkpoints"
    if rate < 1:
        runner.fit(network, datamodule=data)
        assert {path.name for path in left.iterdir()} >= {"last.ckpt"}
        return
    with pytest.raises(UserError, match=r"the loss is (nan|inf) in epoch 1.*lower the learning rate"):
        runner.fit(network, datamodule=data)
    assert not (left / "best.ckpt").exists()
