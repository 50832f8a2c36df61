import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import nn

from benchmark.errors import UserError
from benchmark.models import Recipe
from benchmark.models.recipe import RecipeSchedule, translate_plateau
from tests.models.plain import clip_batch, random_clips
from tests.models.training import Batches, K, Watch, build, trainer, training_batch


@pytest.mark.filterwarnings("ignore")
def test_learning_rate_rises_and_then_stays(tmp_path: Path) -> None:
    tested = build(recipe=Recipe(learning_rate=0.01, warmup_steps=3, cooldown=0))
    watch = Watch()
    data = Batches([training_batch(tested, 2)] * 6)
    trainer(tmp_path, watch, max_epochs=1).fit(tested, datamodule=data)
    assert watch.rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])


@pytest.mark.filterwarnings("ignore")
def test_learning_rate_falls_to_nothing_at_the_end(tmp_path: Path) -> None:
    tested = build(recipe=Recipe(learning_rate=0.01, warmup_steps=2, cooldown=0.4))
    watch = Watch()
    data = Batches([training_batch(tested, 2)] * 5)
    trainer(tmp_path, watch, max_epochs=2).fit(tested, datamodule=data)
    falling = [0.01, 0.01 * 3 / 4, 0.01 / 2, 0.01 / 4]  # the last four of ten steps; 0 would be an eleventh
    assert watch.rates == pytest.approx([0.01 / 3, 0.02 / 3, *[0.01] * 4, *falling])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("cooldown", "expected"),
    # The first validation is the best; after two that are no better the rate halves.
    [(0.0, [1, 1, 1, 1 / 2, 1 / 2, 1 / 4]), (0.5, [1, 1, 1, 1 / 2, 1 / 2 * 2 / 3, 1 / 4 / 3])],
)
def test_learning_rate_falls_where_validation_stops_improving(
    tmp_path: Path, cooldown: float, expected: list[float]
) -> None:
    tested = build(recipe=Recipe(warmup_steps=0, plateau_patience=1, plateau_factor=0.5, cooldown=cooldown))
    watch = Watch()
    every_class_is_true = clip_batch(random_clips(2, 1, 200), torch.ones(2, K))
    data = Batches([training_batch(tested, 2)], [every_class_is_true])
    trainer(tmp_path, watch, max_epochs=6).fit(tested, datamodule=data)
    assert watch.rates == pytest.approx([0.01 * share for share in expected])


@pytest.mark.parametrize("mode_scores", [[0.1, 0.2, 0.3, 0.4], [0.4, 0.4, 0.4], [0.4, 0.3, 0.2, 0.5, 0.1, 0.1]])
def test_a_plateau_is_what_pytorch_calls_one(mode_scores: list[float]) -> None:
    recipe = Recipe(warmup_steps=0, plateau_patience=1, plateau_factor=0.5)
    mine, other = (torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.01) for _ in range(2))
    schedule = RecipeSchedule(mine, recipe, lambda: math.inf)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(other, "max", factor=0.5, patience=1)
    mine.step()
    schedule.step()
    for score in mode_scores:
        schedule.observe(score)
        reference.step(score)
        assert mine.param_groups[0]["lr"] == pytest.approx(other.param_groups[0]["lr"])


class Stepped(L.Callback):
    """The learning rate of each of an optimiser's steps."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        self.rates.append(float(optimizer.param_groups[0]["lr"]))


def schedule_at(step: int, planned: float, cooldown: float = 0.5) -> float:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = RecipeSchedule(optimizer, Recipe(learning_rate=1.0, warmup_steps=0, cooldown=cooldown), lambda: planned)
    for _ in range(step):
        optimizer.step()
        schedule.step()
    return float(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("step", "planned", "expected"), [(9, 10, 0.2), (10, 10, 0.0), (11, 10, 0.0), (30, 10, 0.0), (30, math.inf, 1.0)]
)
def test_a_run_longer_than_planned_never_has_a_rate_below_nothing(step: int, planned: float, expected: float) -> None:
    assert schedule_at(step, planned) == pytest.approx(expected)


# Options of a Trainer for epochs of three batches, and the optimiser steps that they come to, counted by hand.
LENGTHS: list[tuple[dict[str, Any], int]] = [
    ({"max_epochs": 3, "accumulate_grad_batches": 2}, 6),
    ({"max_epochs": 3, "accumulate_grad_batches": 4}, 3),
    ({"max_epochs": -1, "max_steps": 4}, 4),
    ({"max_epochs": 5, "max_steps": 4}, 4),
    ({"max_epochs": 5, "max_steps": 4, "accumulate_grad_batches": 2}, 4),
    ({"max_epochs": 3, "limit_train_batches": 2}, 6),
    ({"max_epochs": 4, "limit_train_batches": 0.4}, 4),
    ({"max_epochs": 2, "overfit_batches": 2}, 4),
    ({"max_epochs": 1, "val_check_interval": 1}, 3),
    ({"max_epochs": 2, "val_check_interval": 4, "check_val_every_n_epoch": None}, 6),
    ({"max_epochs": 2, "min_epochs": 4}, 6),
    ({"max_epochs": 2, "reload_dataloaders_every_n_epochs": 1}, 6),
    ({"max_epochs": 3, "callbacks": [GradientAccumulationScheduler({1: 2, 2: 3})]}, 6),
    ({"max_epochs": 4, "max_steps": 5, "callbacks": [GradientAccumulationScheduler({0: 3, 2: 1})]}, 5),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("options", "steps"), LENGTHS, ids=lambda held: "-".join(held) if isinstance(held, dict) else ""
)
def test_the_rate_falls_to_nothing_at_the_end_of_a_run_of_any_length(
    options: dict[str, Any], steps: int, tmp_path: Path
) -> None:
    tested, stepped = build(recipe=Recipe(learning_rate=1e-3, warmup_steps=0)), Stepped()
    data = Batches([training_batch(tested, 2)] * 3, [clip_batch(random_clips(2, 1, 200), torch.ones(2, K))])
    added = options.get("callbacks", [])
    trainer(tmp_path, stepped, *added, **{name: held for name, held in options.items() if name != "callbacks"}).fit(
        tested, datamodule=data
    )
    assert stepped.rates == pytest.approx([1e-3 * min(1, 2 * (steps - step) / steps) for step in range(steps)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("later", "rates"),
    # Four epochs of three batches are done.
    [
        ({"max_epochs": 8}, [left / 12 for left in range(12, 0, -1)]),
        ({"max_epochs": 6, "limit_train_batches": 1}, [4 / 14, 2 / 14]),
        ({"max_epochs": 6, "accumulate_grad_batches": 3}, [4 / 14, 2 / 14]),
        ({"max_epochs": -1, "max_steps": 14}, [4 / 14, 2 / 14]),
    ],
    ids=lambda held: "-".join(held) if isinstance(held, dict) else "",
)
def test_a_run_that_goes_on_with_other_options_falls_to_nothing_at_its_new_end(
    later: dict[str, Any], rates: list[float], tmp_path: Path
) -> None:
    recipe, before, after = Recipe(learning_rate=1e-3, warmup_steps=0), Stepped(), Stepped()
    data = Batches([training_batch(build(recipe=recipe), 2)] * 3)
    first = trainer(tmp_path, before, max_epochs=4)
    first.fit(build(recipe=recipe), datamodule=data)
    first.save_checkpoint(tmp_path / "held.ckpt")
    trainer(tmp_path, after, **later).fit(
        build(recipe=recipe), datamodule=data, ckpt_path=tmp_path / "held.ckpt", weights_only=True
    )
    assert len(before.rates) == 12
    assert after.rates[-len(rates) :] == pytest.approx([1e-3 * share for share in rates])
    assert min(after.rates) > 0


def written_by_version_0_1(step: int, rate: float, waiting: int) -> dict[str, Any]:
    plateau = {
        "factor": 0.5,
        "patience": 1,
        "best": 0.7,
        "num_bad_epochs": waiting,
        "last_epoch": 3,
        "_last_lr": [rate],
    }
    groups = [{"lr": rate / 7, "plateau_lr": rate, "params": [0]}]
    return {"global_step": step, "lr_schedulers": [plateau], "optimizer_states": [{"param_groups": groups}]}


def test_a_checkpoint_of_version_0_1_goes_on() -> None:
    held = written_by_version_0_1(6, 0.25, 1)
    translate_plateau(held, 1.0)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = RecipeSchedule(
        optimizer, Recipe(learning_rate=1.0, warmup_steps=0, plateau_patience=1, plateau_factor=0.5), lambda: 8
    )
    schedule.load_state_dict(held["lr_schedulers"][0])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * 2 / 4)  # two of eight steps are left
    schedule.observe(0.7)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.125 * 2 / 4)


@pytest.mark.filterwarnings("ignore")
def test_optimiser_follows_the_recipe(tmp_path: Path) -> None:
    tested = build(
        dropout=0.0, recipe=Recipe(learning_rate=0.05, momentum=0.8, weight_decay=0.01, warmup_steps=0, cooldown=0)
    )
    plain = build(dropout=0.0)
    batches = [training_batch(tested, 2, seed=n) for n in range(3)]
    trainer(tmp_path, max_epochs=1).fit(tested, datamodule=Batches(batches))
    velocity = [torch.zeros_like(parameter) for parameter in plain.parameters()]
    for batch in batches:
        loss = nn.functional.cross_entropy(plain(batch.frames), batch.labels)
        gradients = torch.autograd.grad(loss, list(plain.parameters()))
        with torch.no_grad():
            for weight, speed, gradient in zip(plain.parameters(), velocity, gradients, strict=True):
                speed.mul_(0.8).add_(gradient + 0.01 * weight)
                weight.sub_(0.05 * speed)
    for weight, expected in zip(tested.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate 0.0"),
        ({"learning_rate": -1.0}, "learning_rate -1.0"),
        ({"learning_rate": math.nan}, "learning_rate nan"),
        ({"momentum": 1.0}, "momentum 1.0"),
        ({"momentum": -0.1}, "momentum -0.1"),
        ({"plateau_factor": 1.0}, "plateau_factor 1.0"),
        ({"plateau_factor": 0.0}, "plateau_factor 0.0"),
        ({"weight_decay": -1.0}, "weight_decay -1.0"),
        ({"warmup_steps": -1}, "warmup_steps -1"),
        ({"plateau_patience": -1}, "plateau_patience -1"),
        ({"cooldown": 1.1}, "cooldown is 1.1"),
        ({"cooldown": math.nan}, "cooldown is nan"),
    ],
)
def test_refused_recipes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe(**options)


def test_recipe_takes_the_ends_of_its_ranges() -> None:
    recipe = Recipe(momentum=0.0, weight_decay=0.0, warmup_steps=0, plateau_patience=0)
    assert recipe.learning_rate > 0
