"""Optimisers named on the command line, and options of a fit that would do nothing or fail only after an epoch."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.models import VideoClassifier
from benchmark.models.recipe import Recipe, RecipeSchedule, named_rates
from benchmark.runs.checkpoints import BestWeights, run_checkpoints
from benchmark.runs.optimisers import BeforeFirstStep, makes_its_own, use_named
from benchmark.verb_checks import choose_mode
from tests.generators import broken_models
from tests.generators.small_test import options
from tests.models.training import Batches, K, trainer, training_batch

PLATEAU = ["--optimizer", "SGD", "--optimizer.lr", "0.01", "--lr_scheduler", "ReduceLROnPlateau"]
REFUSED = [
    (
        ["--optimizer", "SGD", "--optimizer.lr", "0.01", "--model.recipe.learning_rate", "0.5"],
        "model.recipe.learning_rate is 0.5, and does nothing: --optimizer torch.optim.SGD takes the recipe's place; "
        "leave it out",
    ),
    (
        ["--optimizer", "SGD", "--lr_scheduler", "OneCycleLR", "--lr_scheduler.max_lr", "0.1"],
        "lr_scheduler is torch.optim.lr_scheduler.OneCycleLR, which refuses its options: You must define either "
        "total_steps OR",
    ),
    (
        ["--optimizer", "SGD", "--optimizer.lr", "-1"],
        "optimizer is torch.optim.SGD, which refuses its options: Invalid",
    ),
    ([*PLATEAU, "--lr_scheduler.monitor", "val/nosuch"], "lr_scheduler.monitor is val/nosuch; a validation logs val/"),
    (
        [*PLATEAU, "--lr_scheduler.monitor", "val/clip_hit1"],
        "lr_scheduler.mode of ReduceLROnPlateau is min, and val/clip_hit1 is better the higher it is; make it max",
    ),
    (
        ["--model.recipe.plateau_metric", "train/loss_epoch"],
        "model.recipe.plateau_metric is train/loss_epoch; a validation logs val/clip_hit1",
    ),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_does_nothing_or_fails_later_is_refused_before_the_first_step(
    words: list[str], message: str, small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *options(small_set, tmp_path / "run", *words)]) == 2
    shown = capsys.readouterr()
    assert f"clipbench: {message}" in shown.err
    assert "epoch 1" not in shown.out
    assert not list(tmp_path.rglob("*.ckpt"))


class Cosine(broken_models.Sound):
    """Sound: an optimiser of its own, of which the recipe gives the learning rate."""

    def configure_optimizers(self) -> Any:
        return AdamW(self.parameters(), self.recipe.learning_rate)


def before_first_step(network: VideoClassifier, folder: Path, optimizer: str | None, *typed: str) -> Any:
    """The trainer of two batches, with what is refused."""
    runner = trainer(folder, BeforeFirstStep(optimizer, typed, "val/clip_hit1"), max_epochs=1)
    runner.fit(network, datamodule=Batches([training_batch(network, 2)], [training_batch(network, 2)]))
    return runner


@pytest.mark.filterwarnings("ignore")
def test_a_value_of_the_recipe_that_an_own_optimiser_does_not_read_is_refused_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(learning_rate=0.5, warmup_steps=7)
    network = Cosine(K, recipe=recipe)
    said = "model.recipe.warmup_steps is 7, and does nothing: Cosine.configure_optimizers, which makes the optimiser"
    with pytest.raises(UserError, match=said):
        before_first_step(Cosine(K, recipe=recipe), tmp_path, None, "--model.recipe.warmup_steps=7")
    before_first_step(network, tmp_path, None, "--model.recipe.learning_rate", "0.5")
    assert said in capsys.readouterr().out
    assert network.recipe is recipe
    before_first_step(Cosine(K, recipe=Recipe(learning_rate=0.5)), tmp_path, None)
    runner = before_first_step(broken_models.Sound(K, recipe=recipe), tmp_path, None)
    assert runner.lr_scheduler_configs[0].scheduler.recipe is recipe
    assert "does nothing" not in capsys.readouterr().out


class OwnSchedule(broken_models.Sound):
    """Sound: the recipe's schedule on an optimiser of its own."""

    def configure_optimizers(self) -> Any:
        optimizer = AdamW(self.parameters(), 0.1)
        return [optimizer], [{"scheduler": RecipeSchedule(optimizer, self.recipe, lambda: 9), "interval": "step"}]


class WrongWay(broken_models.Sound):
    def configure_optimizers(self) -> Any:
        optimizer = AdamW(self.parameters(), 0.1)
        return {"optimizer": optimizer, "lr_scheduler": ReduceLROnPlateau(optimizer), "monitor": "val/map"}


@pytest.mark.filterwarnings("ignore")
def test_schedules_of_a_plugin_are_looked_at_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"in WrongWay\.configure_optimizers, mode of ReduceLROnPlateau is min"):
        before_first_step(WrongWay(K), tmp_path, None)
    before_first_step(OwnSchedule(K, recipe=Recipe(warmup_steps=7, momentum=0.5)), tmp_path, None)
    assert "model.recipe.momentum is 0.5, and does nothing" in capsys.readouterr().out


def test_a_named_optimiser_holds_what_is_not_frozen_when_the_fit_begins() -> None:
    network = broken_models.Sound(K)
    use_named(network, {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}, None)
    network.hidden.requires_grad_(False)
    made: Any = network.configure_optimizers()
    held = {id(parameter) for group in made.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert not makes_its_own(network)
    assert makes_its_own(Cosine(K))


@pytest.mark.filterwarnings("ignore")
def test_a_named_optimiser_takes_the_place_of_a_plugins_and_says_so(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "tests.generators.broken_models.OwnOptimiser", "--optimizer", "SGD", "--optimizer.lr", "0.3"]
    small = [word for word in options(small_set, tmp_path / "run")]
    place = small.index("--model.width")
    small[place : place + 2] = []
    assert main(["fit", *small, *words]) == 0
    assert "--optimizer torch.optim.SGD takes the place of OwnOptimiser.configure_optimizers" in capsys.readouterr().out
    held = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert held["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.3)


def test_every_group_of_every_optimiser_has_a_learning_rate_of_its_own() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(4)]
    groups: list[dict[str, Any]] = [{"params": weights[:1]}, {"params": weights[1:2], "lr": 0.2}]
    first = SGD(groups, lr=0.1)
    groups = [{"params": weights[2:3], "name": "head"}, {"params": weights[3:], "lr": 0.4, "name": "body"}]
    second = AdamW(groups, lr=0.3)
    assert named_rates([first, second]) == {
        "train/learning_rate": 0.1,
        "train/learning_rate/1/2": 0.2,
        "train/learning_rate/2/head": 0.3,
        "train/learning_rate/2/body": 0.4,
    }
    assert named_rates([]) == {}


class Frozen(broken_models.NoOptimiser):
    """Sound: has nothing to train, and so neither an optimiser nor a loss."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requires_grad_(False)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return None


@pytest.mark.filterwarnings("ignore")
def test_a_network_with_nothing_to_train_goes_through_a_fit_as_it_is(tmp_path: Path) -> None:
    network = Frozen(K)
    before = [parameter.clone() for parameter in network.parameters()]
    checks = BeforeFirstStep(None, (), "val/clip_hit1")
    runner = trainer(tmp_path, checks, max_epochs=1)
    runner.fit(network, datamodule=Batches([training_batch(network, 2)], [training_batch(network, 2)]))
    checks.require_trained(runner, network)
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [("val/ece", "min"), ("val/map/sports", "max"), ("train/loss_epoch", "min"), ("val/mine", "max"), ("loss", "min")],
)
def test_best_is_the_best_way_of_its_value(monitor: str, mode: str, tmp_path: Path) -> None:
    (best,) = (each for each in run_checkpoints(tmp_path, monitor, 5.0) if isinstance(each, BestWeights))
    assert best.mode == mode


@pytest.mark.filterwarnings("ignore")
def test_the_recipe_keeps_its_learning_rate_while_an_error_falls(tmp_path: Path) -> None:
    told: list[float] = []

    class Told(broken_models.Sound):
        def _plateau_value(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
            told.append(0.0)
            return torch.tensor(0.9 - 0.1 * len(told))

    network = Told(K, recipe=Recipe(warmup_steps=0, cooldown=0, plateau_patience=0, plateau_metric="val/ece"))
    data = Batches([training_batch(network, 2)] * 2, [training_batch(network, 2)])
    runner = trainer(tmp_path, max_epochs=4)
    runner.fit(network, datamodule=data)
    assert len(told) == 4
    assert runner.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)


class NoLoss(broken_models.Sound):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return None


class EndsEpochs(broken_models.Sound):
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> Any:
        return -1


class ByHand(broken_models.Sound):
    """Sound: steps without Lightning, by an optimiser that it keeps to itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        return None

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        loss.backward()  # type: ignore[no-untyped-call]
        AdamW(self.parameters(), 0.1).step()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("network", "message"),
    [
        (NoLoss, "fit has trained nothing: NoLoss.training_step gave no loss for any batch"),
        (EndsEpochs, "or on_train_batch_start returned -1"),
        (
            broken_models.NoOptimiser,
            "NoOptimiser.configure_optimizers gives no optimiser with a parameter to train",
        ),
        (broken_models.Sound, None),
        (ByHand, None),
    ],
)
def test_a_fit_that_trained_nothing_is_not_done(network: Any, message: str | None, tmp_path: Path) -> None:
    made, checks = network(K), BeforeFirstStep(None, (), "val/clip_hit1")
    before = {name: weight.clone() for name, weight in made.state_dict().items()}
    runner = trainer(tmp_path, checks, max_epochs=1)

    def fit() -> None:
        runner.fit(made, datamodule=Batches([training_batch(made, 2)], [training_batch(made, 2)]))
        checks.require_trained(runner, made)

    if message is None:
        fit()
    else:
        with pytest.raises(UserError, match=re.escape(message)):
            fit()
    same = all(weight.equal(before[name]) for name, weight in made.state_dict().items())
    assert same == (message is not None)


class Perplexity(broken_models.Sound):
    """Sound: logs a value of its own, which is better the lower it is."""

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val/perplexity", 2.0 + self.current_epoch)


@pytest.mark.filterwarnings("ignore")
def test_a_value_of_a_plugins_own_needs_a_word_on_which_way_it_is_better(tmp_path: Path) -> None:
    network = Perplexity(K)
    batches = Batches([training_batch(network, 2)], [training_batch(network, 2)])
    runner = trainer(tmp_path, BeforeFirstStep(None, (), "val/perplexity"), max_epochs=1)
    with pytest.raises(UserError, match=r"--checkpoint.monitor is val/perplexity, .* by --checkpoint.mode min or max"):
        runner.fit(network, datamodule=batches)
    assert run_checkpoints(tmp_path, "val/perplexity", 5.0)[1].mode == "max"  # type: ignore[attr-defined]
    try:
        choose_mode({"monitor": "val/perplexity", "mode": "min"})
        best = run_checkpoints(tmp_path / "run", "val/perplexity", 5.0)[1]
        checks = BeforeFirstStep(None, (), "val/perplexity")
        runner = trainer(tmp_path, checks, best, max_epochs=2, enable_checkpointing=True)
        runner.fit(network, datamodule=batches)
    finally:
        choose_mode({"monitor": "val/perplexity", "mode": None})
    assert float(best.best_model_score) == 2.0  # type: ignore[attr-defined]
