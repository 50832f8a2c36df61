"""Processes that meet every few steps, against the same steps in plain arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.scale.local_sgd import LocalSGD
from tests.generators.ranks import two_processes

_TRAIN = """
import json, lightning as L, torch
from torch.utils.data import DataLoader
from benchmark.scale.local_sgd import LocalSGD
os.environ |= {{"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "TORCHELASTIC_RUN_ID": "x"}}
class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    def training_step(self, batch, number):
        goal = torch.tensor([3.0, 1.0]) * (rank + 1) + number
        return 0.5 * ((self.w - goal) ** 2).sum()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
class Seen(L.Callback):
    seen = []
    def on_train_batch_end(self, trainer, net, *rest):
        self.seen.append(net.w.tolist())
seen = Seen()
trainer = L.Trainer(
    accelerator="cpu", devices=2, strategy=LocalSGD({options}), max_epochs=1, logger=False, callbacks=[seen],
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
)
trainer.fit(Net(), DataLoader(torch.zeros({steps}, 1), batch_size=1))
Path(f"seen{{rank}}.json").write_text(json.dumps([*seen.seen, trainer.model.w.tolist()]))
"""


def by_hand(steps: int, every: int, rate: float, momentum: float) -> list[list[np.ndarray]]:
    """Weights of both processes after each step, and after all."""
    shared, velocity = np.array([1.0, -2.0]), np.zeros(2)
    weights = [shared.copy(), shared.copy()]
    seen: list[list[np.ndarray]] = [[], []]
    for step in range(steps + 1):
        is_end = step == steps
        for rank in range(2):
            if not is_end:
                goal = np.array([3.0, 1.0]) * (rank + 1) + step
                weights[rank] = weights[rank] - 0.1 * (weights[rank] - goal)
        if ((step + 1) % every == 0 and not is_end) or (is_end and steps % every):
            change = np.mean([shared - each for each in weights], 0)
            velocity = momentum * velocity + change
            shared = shared - rate * (change + momentum * velocity if momentum else change)
            weights = [shared.copy(), shared.copy()]
        for rank in range(2):
            seen[rank].append(weights[rank])
    return seen


@pytest.mark.parametrize(("every", "rate", "momentum"), [(1, 1.0, 0.0), (3, 1.0, 0.0), (3, 0.7, 0.9)])
def test_steps_and_meetings(every: int, rate: float, momentum: float, tmp_path: Path) -> None:
    steps, options = 7, f"every={every}, outer_rate={rate}, outer_momentum={momentum}"
    for code, said in two_processes(tmp_path, _TRAIN.format(options=options, steps=steps)):
        assert code == 0, said
    for rank, wanted in enumerate(by_hand(steps, every, rate, momentum)):
        seen = np.array(json.loads((tmp_path / f"seen{rank}.json").read_text("utf-8")))
        assert np.allclose(seen, np.array(wanted), atol=1e-5)


@pytest.mark.parametrize("options", [{"every": 0}, {"outer_rate": 0.0}, {"outer_momentum": 1.0}])
def test_values_that_mean_nothing_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="outer_rate"):
        LocalSGD(**options)  # type: ignore[arg-type]
