import math
from pathlib import Path
from typing import Any

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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 3, "accumulate_grad_batches": 2},
        {"max_epochs": 3, "accumulate_grad_batches": 4},
        {"max_epochs": -1, "max_steps": 4},
        {"max_epochs": 5, "max_steps": 4},
        {"max_epochs": 2, "limit_train_batches": 2},
        {"max_epochs": 2, "overfit_batches": 2},
        {"max_epochs": 1, "val_check_interval": 1},
        {"max_epochs": 2, "callbacks": [GradientAccumulationScheduler({0: 1, 1: 2})]},
    ],
    ids=lambda options: "-".join(options),
)
def test_any_length_of_a_run_has_a_rate(options: dict[str, Any], tmp_path: Path) -> None:
    tested, watch = build(recipe=Recipe(learning_rate=0.01, warmup_steps=0)), Watch()
    data = Batches([training_batch(tested, 2)] * 3, [clip_batch(random_clips(2, 1, 200), torch.ones(2, K))])
    added = options.pop("callbacks", [])
    trainer(tmp_path, watch, *added, **options).fit(tested, datamodule=data)
    assert watch.rates
    assert all(0 <= rate <= 0.01 for rate in watch.rates)


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
