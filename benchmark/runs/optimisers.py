"""Optimisers and schedules of a fit: those named on the command line, and what is refused before the first step."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MethodType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import LightningCLI, instantiate_class
from torch.optim.lr_scheduler import ReduceLROnPlateau

from benchmark.class_options import options_of
from benchmark.errors import UserError
from benchmark.metrics.descriptors import is_known, lower_is_better
from benchmark.models.recipe import Recipe, RecipeSchedule
from benchmark.models.video_classifier import VideoClassifier
from benchmark.runs.checkpoints import require_logged

_OF_THE_OPTIMISER = ("learning_rate", "momentum", "weight_decay")


def use_named(
    network: VideoClassifier, optimizer: Mapping[str, Any], schedule: Mapping[str, Any] | None, *, says_so: bool = False
) -> None:
    """Let a network be trained by an optimiser, and by a schedule, in place of its own.

    They are made when the fit asks for them, of the parameters that are not frozen by then.

    Args:
        network: Its `configure_optimizers` is replaced.
        optimizer: Class path and options.
        schedule: Class path and options, or None.
        says_so: Whether to say where they take the place of a plugin's own.

    Raises:
        UserError: If a class refuses its options.
    """

    def configure_optimizers(network: VideoClassifier) -> Any:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        made = _made("optimizer", trained, optimizer)
        return LightningCLI.configure_optimizers(
            network, made, None if schedule is None else _made("lr_scheduler", made, schedule)
        )

    if says_so and makes_its_own(network):
        own = f"{type(network).__name__}.configure_optimizers"
        print(f"--optimizer {optimizer['class_path']} takes the place of {own}", flush=True)
    configure_optimizers(network)  # what a class refuses is refused at once
    network.configure_optimizers = MethodType(configure_optimizers, network)  # type: ignore[method-assign]


def _made(part: str, first: Any, chosen: Mapping[str, Any]) -> Any:
    try:
        return instantiate_class((first,), dict(chosen))
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f"{part} is {chosen['class_path']}, which refuses its options: {reason}; change --{part}.OPTION"
        ) from error


def makes_its_own(network: VideoClassifier) -> bool:
    """Whether a network's class has optimisers of its own, in place of the recipe's."""
    return type(network).configure_optimizers is not VideoClassifier.configure_optimizers


class WatchedRecipe:
    """Lends a network a copy of its recipe that notes which values are asked for.

    Args:
        network: Its optimisers are made after this and before `idle` is asked for.
    """

    def __init__(self, network: VideoClassifier) -> None:
        self.network, self.recipe = network, network.recipe
        self.asked = asked = set[str]()

        class Watched(type(self.recipe)):  # type: ignore[misc]
            def __getattribute__(self, name: str) -> Any:
                asked.add(name)
                return super().__getattribute__(name)

        network.recipe = object.__new__(Watched)
        network.recipe.__dict__.update(vars(self.recipe))

    def idle(self, schedules: Sequence[Any]) -> dict[str, Any]:
        """Give the recipe back; returns values that differ from the network's defaults and have no part.

        Args:
            schedules: The network's.
        """
        asked = set(self.asked)
        self.network.recipe = self.recipe
        for schedule in schedules:
            if isinstance(schedule, RecipeSchedule):
                schedule.recipe = self.recipe
                asked |= {field.name for field in dataclasses.fields(Recipe)} - set(_OF_THE_OPTIMISER)
        default = options_of(type(self.network))["recipe"].default
        usual = default if isinstance(default, Recipe) else Recipe()
        return {
            field.name: getattr(self.recipe, field.name)
            for field in dataclasses.fields(self.recipe)
            if field.name not in asked and getattr(self.recipe, field.name) != getattr(usual, field.name, None)
        }


class BeforeFirstStep(L.Callback):
    """Refuses what would do nothing, and what would fail only after an epoch.

    Args:
        optimizer: Class of the optimiser that is named in place of the network's own, or None.
        typed: Options of the command line; a value of the recipe that has no part is refused where it was typed, and
            named in a line where it is in a file.
        monitor: Logged value that the best checkpoint is chosen by.

    Raises:
        UserError: When training starts.
    """

    def __init__(self, optimizer: str | None, typed: Sequence[str], monitor: str) -> None:
        self.optimizer, self.typed = optimizer, [word.partition("=")[0] for word in typed]
        self.monitor, self._has_loss = monitor, False
        self._batches_before: int | None = None
        self._watched: WatchedRecipe | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Watch what the optimisers are made of."""
        if stage == "fit" and isinstance(pl_module, VideoClassifier) and isinstance(pl_module.recipe, Recipe):
            self._watched = self._watched or WatchedRecipe(pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse what has no part, trains no weight, or waits for what nobody logs."""
        self._batches_before = _batches(trainer)
        if self._watched is not None:
            schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
            self._tell(self._watched.idle(schedules), pl_module, is_first=trainer.is_global_zero)
            self._watched = None
        name = type(pl_module).__name__
        # A strategy may give the optimiser parameters of its own in the place of the network's.
        steps = [each for one in trainer.optimizers for group in one.param_groups for each in group["params"]]
        if _is_learned_by_lightning(pl_module) and not any(each.requires_grad for each in steps):
            raise UserError(
                f"{name}.configure_optimizers gives no optimiser with a parameter to train, so fit would train "
                "nothing; let it return one, or name one by --optimizer"
            )
        require_logged(trainer, pl_module, self.monitor, "--checkpoint.monitor")
        if not is_known(self.monitor):
            raise UserError(
                f"--checkpoint.monitor is {self.monitor}, of which it is not known which way it is better; say so by "
                "--checkpoint.mode min or max"
            )
        for each in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
            if isinstance(each, EarlyStopping):
                if each.strict:
                    require_logged(trainer, pl_module, each.monitor, "monitor of EarlyStopping")
                _require_mode(each.monitor, each.mode, "mode of EarlyStopping")
        where = "lr_scheduler." if self.optimizer else f"in {name}.configure_optimizers, "
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, RecipeSchedule):
                metric = config.scheduler.recipe.plateau_metric
                require_logged(trainer, pl_module, metric, "model.recipe.plateau_metric", by_validation=True)
            if not config.reduce_on_plateau or not pl_module.automatic_optimization:
                continue
            monitor, mode = str(config.monitor), getattr(config.scheduler, "mode", None)
            require_logged(trainer, pl_module, monitor, f"{where}monitor")
            if isinstance(config.scheduler, ReduceLROnPlateau):
                _require_mode(monitor, str(mode), f"{where}mode of ReduceLROnPlateau")

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note that there was a loss to learn from."""
        self._has_loss = True

    def require_trained(self, trainer: L.Trainer, network: L.LightningModule) -> None:
        """Refuse to call a fit done that trained nothing; one that goes on may have had nothing left to do.

        Raises:
            UserError: If no batch was ever trained on, as with no time for it, or none of them gave a loss.
        """
        if not _batches(trainer):
            raise UserError("fit trained on no batch; raise trainer.max_time or whatever else stopped it")
        had_none = self._batches_before in {None, _batches(trainer)}
        if had_none or self._has_loss or not _is_learned_by_lightning(network):
            return
        name = type(network).__name__
        raise UserError(
            f"fit has trained nothing: {name}.training_step gave no loss for any batch, or on_train_batch_start "
            "returned -1, which ends an epoch; let the one return a loss, and the other nothing"
        )

    def _tell(self, idle: Mapping[str, Any], network: L.LightningModule, *, is_first: bool) -> None:
        if not idle:
            return
        said = ", ".join(f"model.recipe.{name} is {value}" for name, value in idle.items())
        why = f"{type(network).__name__}.configure_optimizers, which makes the optimiser, does not use it"
        why = f"--optimizer {self.optimizer} takes the recipe's place" if self.optimizer else why
        options = [f"--model.{init}recipe{name}" for init in ("", "init_args.") for name in ("", *_dotted(idle))]
        if any(word in options for word in self.typed):
            raise UserError(f"{said}, and does nothing: {why}; leave it out")
        if is_first:
            print(f"{said}, and does nothing: {why}", flush=True)


def _is_learned_by_lightning(network: L.LightningModule) -> bool:
    """Whether Lightning is to train parameters: not of a network whose steps are its own, or that has none to train."""
    return network.automatic_optimization and any(each.requires_grad for each in network.parameters())


def _batches(trainer: L.Trainer) -> int:
    """Batches that training was given, also before the fit was broken off and went on."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.ready


def _require_mode(monitor: str, mode: str, where: str) -> None:
    right = "min" if lower_is_better(monitor) else "max"
    if is_known(monitor) and mode != right:
        better = "lower" if right == "min" else "higher"
        raise UserError(f"{where} is {mode}, and {monitor} is better the {better} it is; make it {right}")


def _dotted(names: Mapping[str, Any]) -> list[str]:
    return [f".{name}" for name in names]
