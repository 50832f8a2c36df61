"""How a network is trained: SGD whose learning rate warms up, falls when validation stops improving, and cools down."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from benchmark.errors import UserError

_LEAST_IMPROVEMENT = 1e-4  # relative; what ReduceLROnPlateau takes by default


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained (section 3.3), the same for every strategy and resolution.

    Args:
        learning_rate: Highest learning rate.
        momentum: Of SGD.
        weight_decay: Of SGD.
        warmup_steps: Steps over which the learning rate rises linearly; the first full-size steps otherwise kill ReLUs.
        plateau_metric: Value of a validation whose improvement keeps the learning rate.
        plateau_patience: Validations without improvement before the learning rate falls.
        plateau_factor: What the learning rate is then multiplied by.
        cooldown: Share of the run, at its end, in which the learning rate also falls linearly to 0. The last weights
            otherwise wander by some points from epoch to epoch. It belongs to the run's planned end: a finished run
            that goes on with more epochs has cooled down once already. 0 leaves it out, as does a run without an end.

    Raises:
        UserError: If a value is out of range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_steps: int = 100
    plateau_metric: str = "val/clip_hit1"
    plateau_patience: int = 5
    plateau_factor: float = 0.3
    cooldown: float = 0.5

    def __post_init__(self) -> None:
        # Written so that NaN, which compares false with everything, is refused too.
        if not (self.learning_rate > 0 and 0 < self.plateau_factor < 1 and 0 <= self.momentum < 1):
            raise UserError(
                f"model.recipe has learning_rate {self.learning_rate}, momentum {self.momentum}, plateau_factor "
                f"{self.plateau_factor}; the first must be above 0, the others from 0 to below 1"
            )
        if not (self.weight_decay >= 0 and self.warmup_steps >= 0 and self.plateau_patience >= 0):
            raise UserError(
                f"model.recipe has weight_decay {self.weight_decay}, warmup_steps {self.warmup_steps}, "
                f"plateau_patience {self.plateau_patience}; none may be below 0"
            )
        if not 0 <= self.cooldown <= 1:
            raise UserError(f"model.recipe.cooldown is {self.cooldown}; it is a share of the run, from 0 to 1")


class RecipeSchedule(LRScheduler):
    """The learning rate of a recipe: highest rate x plateau x the lower of warm-up and cooldown.

    Stepped after every optimiser step. `observe` is told each validation's value as soon as it is known, so that a
    checkpoint written right after the validation already holds what it changed.

    Args:
        optimizer: Whose learning rate is set.
        recipe: What to do.
        planned_steps: Gives the optimiser steps of the whole run, infinite where it has no planned end. It is not asked
            before the first step, as a Trainer only knows once it has its loaders.
    """

    def __init__(self, optimizer: Optimizer, recipe: Recipe, planned_steps: Callable[[], float]) -> None:
        self.recipe, self.planned_steps = recipe, planned_steps
        self.best, self.validations_without_improvement, self.plateau_share = -math.inf, 0, 1.0
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """Learning rates of the next step, one for each parameter group."""
        share = self.plateau_share * self._share_of_step(self.last_epoch)
        return [float(rate) * share for rate in self.base_lrs]

    def _share_of_step(self, step: int) -> float:
        """What warm-up and cooldown leave of the learning rate at a step, 0 to 1."""
        rise, fall = (step + 1) / (self.recipe.warmup_steps + 1), 1.0
        if step and self.recipe.cooldown and 0 < (planned := self.planned_steps()) < math.inf:
            fall = (planned - step) / (self.recipe.cooldown * planned)
        return max(0.0, min(1.0, rise, fall))  # a run may take more steps than were planned

    def observe(self, value: float) -> None:
        """Lower the learning rate once `plateau_patience` validations in a row have not improved on the best.

        Higher is better; of a score that is better the lower, give the negative.
        Validations within the warm-up do not count.
        """
        if self.last_epoch <= self.recipe.warmup_steps:
            return
        improves = value > self.best * (1 + math.copysign(_LEAST_IMPROVEMENT, self.best))
        if improves:
            self.best = value
        self.validations_without_improvement = 0 if improves else self.validations_without_improvement + 1
        if self.validations_without_improvement > self.recipe.plateau_patience:
            self.plateau_share *= self.recipe.plateau_factor
            self.validations_without_improvement = 0
            self._apply()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs; the recipe and the length of the run are its own."""
        names = ("last_epoch", "_step_count", "best", "validations_without_improvement", "plateau_share")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there, with a learning rate for the steps that are planned now."""
        super().load_state_dict(state_dict)
        self._apply()

    def _apply(self) -> None:
        self._last_lr = [*self.get_lr()]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


def named_rates(optimizers: Sequence[Optimizer]) -> dict[str, float]:
    """The learning rate of every parameter group of every optimiser, by the name that it is logged under.

    The first is `train/learning_rate`; others have the number of their optimiser, from 1, and the name or number of
    their group after it, as `train/learning_rate/2/bias`.
    """
    found: dict[str, float] = {}
    for number, optimizer in enumerate(optimizers, start=1):
        for place, group in enumerate(optimizer.param_groups, start=1):
            if "lr" in group:
                name = f"train/learning_rate/{number}/{group.get('name', place)}" if found else "train/learning_rate"
                found[name] = float(group["lr"])
    return found


def translate_plateau(checkpoint: dict[str, Any], learning_rate: float) -> None:
    """Let a checkpoint of version 0.1, which kept a ReduceLROnPlateau, go on with a `RecipeSchedule`, in place.

    Args:
        checkpoint: A Trainer's.
        learning_rate: The highest of the recipe.
    """
    for held, optimizer in zip(
        checkpoint.get("lr_schedulers", []), checkpoint.get("optimizer_states", []), strict=False
    ):
        group = optimizer["param_groups"][0]
        if "num_bad_epochs" not in held or "plateau_lr" not in group:
            continue
        best, waiting = float(held["best"]), int(held["num_bad_epochs"])
        held.clear()
        held |= {"last_epoch": checkpoint["global_step"], "_step_count": checkpoint["global_step"] + 1, "best": best}
        held |= {"validations_without_improvement": waiting, "plateau_share": group["plateau_lr"] / learning_rate}
