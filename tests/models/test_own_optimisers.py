"""Optimisers and schedulers that an architecture chooses itself are stepped as Lightning documents."""

import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from benchmark.models import VideoClassifier
from benchmark.models.recipe import Recipe
from benchmark.runs.checkpoints import EndOfEpoch, run_checkpoints
from tests.generators import broken_models
from tests.models.plain import clip_batch, random_clips
from tests.models.training import Batches, K, Watch, trainer, training_batch

BATCHES, EPOCHS = 3, 4


class Own(broken_models.Sound):
    """Sound: what it is configured with is handed in."""

    configured: Any = staticmethod(lambda network: None)

    def configure_optimizers(self) -> Any:
        return type(self).configured(self)


def own(configure: Any) -> VideoClassifier:
    torch.manual_seed(0)
    made: VideoClassifier = type("Own", (Own,), {"configured": staticmethod(configure)})(
        K, recipe=Recipe(warmup_steps=2, cooldown=0.5)
    )
    return made


def data_for(network: VideoClassifier) -> Batches:
    right = clip_batch(random_clips(2, 2, 200), torch.ones(2, K))  # every class is true, so no validation is better
    return Batches([training_batch(network, 2, seed=n) for n in range(BATCHES)], [right])


def cosine(network: VideoClassifier) -> Any:
    optimizer = AdamW(network.parameters(), lr=0.1)
    schedule = CosineAnnealingLR(optimizer, T_max=BATCHES * EPOCHS)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def each_epoch(network: VideoClassifier) -> Any:
    optimizer = SGD(network.parameters(), lr=0.1)
    return [optimizer], [ExponentialLR(optimizer, 0.5)]


def one_cycle(network: VideoClassifier) -> Any:
    optimizer = SGD(network.parameters(), lr=0.1)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=BATCHES * EPOCHS + 1)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def waiting(network: VideoClassifier) -> Any:
    optimizer = SGD(network.parameters(), lr=0.1)
    plateau = ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=0)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/clip_hit1"}}


class Halving(LRScheduler):
    """A plateau scheduler of a user's own: halves the rate whenever the metric does not rise."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.share, self.best = 1.0, -1.0
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        return [float(rate) * self.share for rate in self.base_lrs]

    def step(self, metric: Any = None) -> None:
        if metric is not None:
            self.share *= 0.5 if float(metric) <= self.best else 1.0
            self.best = max(self.best, float(metric))
        super().step()


def halving(network: VideoClassifier) -> Any:
    optimizer = SGD(network.parameters(), lr=0.1)
    schedule = {"scheduler": Halving(optimizer), "monitor": "val/clip_hit1", "reduce_on_plateau": True}
    return {"optimizer": optimizer, "lr_scheduler": schedule}


def waiting_each_step(network: VideoClassifier) -> Any:
    optimizer = SGD(network.parameters(), lr=0.1)
    plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=10.0)  # no step improves
    schedule = {"scheduler": plateau, "monitor": "train/loss_step", "interval": "step"}
    return {"optimizer": optimizer, "lr_scheduler": schedule}


EXPECTED = {
    "cosine": (cosine, [0.1 * (1 + math.cos(math.pi * step / 12)) / 2 for step in range(12)]),
    "each_epoch": (each_epoch, [0.1 * 0.5 ** (step // BATCHES) for step in range(12)]),
    "waiting": (waiting, [0.1] * 6 + [0.05] * 3 + [0.025] * 3),
    "halving": (halving, [0.1] * 6 + [0.05] * 3 + [0.025] * 3),
    "waiting_each_step": (waiting_each_step, [0.1 * 0.5**step for step in range(12)]),
    "alone": (lambda network: SGD(network.parameters(), lr=0.1), [0.1] * 12),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EXPECTED)
def test_the_learning_rate_is_the_schedulers_alone(name: str, tmp_path: Path) -> None:
    configure, expected = EXPECTED[name]
    tested, watch = own(configure), Watch()
    trainer(tmp_path, watch, max_epochs=EPOCHS).fit(tested, datamodule=data_for(tested))
    assert watch.rates == pytest.approx(expected)


def ends(folder: Path) -> list[L.Callback]:
    """What a run saves with at the end of each epoch."""
    return [saving for saving in run_checkpoints(folder, "val/clip_hit1", 5.0) if isinstance(saving, EndOfEpoch)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("configure", [cosine, each_epoch, one_cycle, waiting, halving, waiting_each_step])
@pytest.mark.parametrize("epochs", [EPOCHS, 2], ids=["mid_epoch", "end_of_epoch"])
def test_a_run_that_goes_on_has_the_rates_of_one_that_was_not_stopped(
    configure: Any, epochs: int, tmp_path: Path
) -> None:
    whole, watch = own(configure), Watch()
    trainer(tmp_path, watch, max_epochs=EPOCHS).fit(whole, datamodule=data_for(whole))
    stopped, path = own(configure), tmp_path / "last.ckpt"
    steps = {"max_steps": 5} if epochs == EPOCHS else {}
    saving = run_checkpoints(tmp_path, "val/clip_hit1", 60.0)
    runner = trainer(tmp_path, *saving, max_epochs=epochs, enable_checkpointing=True, **steps)
    runner.fit(stopped, datamodule=data_for(stopped))
    resumed, after = own(configure), Watch()
    runner = trainer(tmp_path, after, *ends(tmp_path / "resumed"), max_epochs=EPOCHS, enable_checkpointing=True)
    runner.fit(resumed, datamodule=data_for(resumed), ckpt_path=str(path), weights_only=True)
    assert len(after.rates) == len(watch.rates) - (5 if epochs == EPOCHS else 6)
    assert after.rates == pytest.approx(watch.rates[-len(after.rates) :])


class StepsItself(Own):
    """Sound: notes the metric that its scheduler is stepped with, and steps it twice."""

    configured = staticmethod(waiting)

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.told: list[float] = []

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        self.told.append(float(metric))
        scheduler.step(metric)
        scheduler.step(metric)


@pytest.mark.filterwarnings("ignore")
def test_a_step_of_the_architectures_own_is_made_once_an_epoch_and_is_in_the_checkpoint(tmp_path: Path) -> None:
    tested = StepsItself(K)
    runner = trainer(tmp_path, *ends(tmp_path), max_epochs=3, enable_checkpointing=True)
    runner.fit(tested, datamodule=data_for(tested))
    assert tested.told == [1.0, 1.0, 1.0]
    held = torch.load(tmp_path / "last.ckpt", weights_only=True)
    expected = 0.1 * 0.5**5  # six steps, the first of which is the best so far
    assert held["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(expected)
    assert held["lr_schedulers"][0]["_last_lr"] == pytest.approx([expected])


class TwoOptimisers(broken_models.Sound):
    """Sound: one optimiser for the weights and one for the biases, each with a schedule, stepped by hand."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        weights = [parameter for parameter in self.parameters() if parameter.ndim > 1]
        biases = [parameter for parameter in self.parameters() if parameter.ndim == 1]
        optimizers = [SGD(weights, lr=0.1), AdamW(biases, lr=0.01)]
        return optimizers, [ExponentialLR(optimizer, 0.5) for optimizer in optimizers]

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(loss)
        schedules: Any = self.lr_schedulers()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        return loss


@pytest.mark.filterwarnings("ignore")
def test_several_optimisers_keep_their_own_rates(tmp_path: Path) -> None:
    tested = TwoOptimisers(K, recipe=Recipe(warmup_steps=3))
    before = [parameter.detach().clone() for parameter in tested.parameters()]
    runner = trainer(tmp_path, max_epochs=1)
    runner.fit(tested, datamodule=data_for(tested))
    rates = [optimizer.param_groups[0]["lr"] for optimizer in runner.optimizers]
    assert rates == pytest.approx([0.1 / 2**BATCHES, 0.01 / 2**BATCHES])
    assert all((old != new).any() for old, new in zip(before, tested.parameters(), strict=True))
