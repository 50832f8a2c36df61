import warnings
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from benchmark.cost import gflop_by_shapes
from benchmark.models import SingleFrame, SlowFusion
from benchmark.runs.trainer import Trainer
from benchmark.speed.multires import Step, bytes_per_parameter, has_both, measure_gains, roofline_seconds
from benchmark.speed.report import Machine
from tests.generators.broken_models import Sound


@pytest.mark.parametrize(
    ("work", "precision", "expected"),
    [
        ("training", "bf16-mixed", (4 + 2) + 2 + 2 + (2 + 2) + 4 + (4 + 4 + 4) + (4 + 4)),
        ("testing", "bf16-mixed", 2),
        ("training", "32-true", 4 + 4 + 4 + 12 + 8),
        ("testing", "32-true", 4),
        ("training", "bf16-true", (4 + 4 + 4 + 12 + 8) // 2),
        ("training", "64-true", 2 * (4 + 4 + 4 + 12 + 8)),
    ],
)
def test_bytes_that_a_parameter_moves(work: str, precision: str, expected: int) -> None:
    assert bytes_per_parameter("training" if work == "training" else "testing", precision) == expected


def test_without_momentum_a_third_of_the_state_stays_where_it_is() -> None:
    assert bytes_per_parameter("training", "32-true", has_momentum=False) == 4 + 4 + 4 + 8 + 4


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="8-bit"):
        bytes_per_parameter("training", "8-bit")


def test_the_roofline_adds_what_comes_one_after_the_other() -> None:
    assert roofline_seconds(200, 3e10, 100, 1e10) == pytest.approx(2 + 3)


def test_which_models_have_both() -> None:
    assert has_both(SingleFrame(3, resolution="full", width=0.05))
    assert has_both(SlowFusion(3, resolution="multires", width=0.05))
    assert not has_both(SingleFrame(3, resolution="fovea", width=0.05))
    assert not has_both(Sound(3))


def test_both_networks_do_the_same_work() -> None:
    trainer = Trainer(accelerator="cpu", precision="32-true", logger=False, enable_checkpointing=False)
    models = {
        "full": SingleFrame(3, resolution="full", width=0.05),
        "multires": SingleFrame(3, resolution="multires", width=0.05),
    }
    before = {name: model.classifier[-1].weight.clone() for name, model in models.items()}  # type: ignore[operator]
    machine = Machine("a processor", 1, 1, "cpu", "2", {}, {"float32": 50.0}, 1e9)
    testing, training = measure_gains({**models}, trainer, machine, "float32", batch_size=2, steps=4, rounds=2)
    assert (testing.work, training.work) == ("testing", "training")
    for gain in (testing, training):
        for network in (gain.full, gain.multires):
            model = models[network.name]
            assert network.parameters == sum(weight.numel() for weight in model.parameters())
            assert network.measured.clips == (4, 4)
            assert all(seconds > 0 for seconds in network.measured.seconds)
            moved = network.parameters * (4 if gain.work == "testing" else 32)
            assert network.roofline_seconds_per_step == pytest.approx(network.gflop_per_clip * 2 / 50 + moved / 1e9)
    for name, network in (("full", testing.full), ("multires", testing.multires)):
        assert network.gflop_per_clip == pytest.approx(gflop_by_shapes(models[name]))
        trained = getattr(training, name)
        assert 2 * network.gflop_per_clip < trained.gflop_per_clip < 3.5 * network.gflop_per_clip
    assert testing.by_arithmetic == pytest.approx(gflop_by_shapes(models["full"]) / gflop_by_shapes(models["multires"]))
    for name, model in models.items():
        assert not torch.equal(model.classifier[-1].weight, before[name])  # type: ignore[arg-type]


class ListsWithASchedule(Sound):
    """Asks its Trainer how long the training will be, and gives lists."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [OneCycleLR(optimizer, 0.1, total_steps=int(self.trainer.estimated_stepping_batches))]


def test_an_optimiser_in_any_form_that_lightning_takes() -> None:
    trainer = Trainer(accelerator="cpu", precision="32-true", logger=False, enable_checkpointing=False)
    network = ListsWithASchedule(3)
    step = Step(network, trainer, 2)
    assert isinstance(step.optimizer, torch.optim.SGD)
    before = [weight.clone() for weight in network.parameters()]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*You are trying to `self.log\\(\\)`.*")
        step.run("training")
    assert any(not torch.equal(new, old) for new, old in zip(network.parameters(), before, strict=True))
