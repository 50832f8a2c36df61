"""Which checkpoints a run leaves: `best.ckpt` chosen on validation, `last.ckpt` to go on from."""

import datetime
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.types import STEP_OUTPUT, LRSchedulerConfig

from benchmark.errors import UserError
from benchmark.metrics.descriptors import lower_is_better
from benchmark.runs.processes import from_one


class SteppedBefore(ModelCheckpoint):
    """Steps schedulers that wait for a metric before a save.

    Lightning steps them right after it, so that a run that goes on from the checkpoint would lose the step. Here they
    are stepped before, by Lightning's own code, and marked until the next one is due, so that it does not repeat it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._marked: list[LRSchedulerConfig] = []

    def _step(self, trainer: L.Trainer, interval: str) -> None:
        trainer.fit_loop.epoch_loop.update_lr_schedulers(interval, update_plateau_schedulers=True)
        waiting = [each for each in trainer.lr_scheduler_configs if each.reduce_on_plateau]
        self._marked = [each for each in waiting if each.interval == interval]
        for config in self._marked:
            config.reduce_on_plateau = False

    def _unmark(self) -> None:
        for config in self._marked:
            config.reduce_on_plateau = True
        self._marked = []


BEFORE_VALIDATION_S = 30.0
"""What a validation that is broken off may cost beside itself and the batch before it."""


class WithinEpoch(SteppedBefore):
    """Saves in the middle of an epoch; the last batch is left to the save after the epoch's validation.

    A run that goes on from a save between the last batch and the validation would leave the validation out. What a
    validation that is broken off would cost is saved before the last batch. Where optimisation is manual, Lightning
    saves nothing in an epoch.
    """

    _is_saving = False

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Let Lightning step its schedulers."""
        self._unmark()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        """Save if enough time has passed, or the run is about to be broken off."""
        if _is_last_batch(trainer):
            return
        ready, window = trainer.fit_loop.epoch_loop.batch_progress.current.ready, trainer.accumulate_grad_batches
        waited_s = time.monotonic() - (self._last_time_checked or -math.inf)
        is_end_near = ready == (trainer.num_training_batches - 1) // window * window
        is_ending = trainer.should_stop or trainer.received_sigterm or trainer.global_step == trainer.max_steps
        if is_ending or (is_end_near and waited_s >= BEFORE_VALIDATION_S):
            self._last_time_checked = -math.inf
        elif ready % window:  # gradients that were gathered so far are in no checkpoint
            return
        self._is_saving = True
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._is_saving = False

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the state after the coming step in the place of the one before it."""
        waiting = [each for each in trainer.lr_scheduler_configs if each.reduce_on_plateau and each.interval == "step"]
        # A metric that is logged later than this is left to Lightning.
        if not self._is_saving or not waiting or any(each.monitor not in trainer.callback_metrics for each in waiting):
            return
        self._step(trainer, "step")
        checkpoint["lr_schedulers"] = [each.scheduler.state_dict() for each in trainer.lr_scheduler_configs]
        checkpoint["optimizer_states"] = [trainer.strategy.optimizer_state(each) for each in trainer.optimizers]


class PlaceInEpoch(L.Callback):
    """Lets the loaders of a fit that goes on begin where their epoch was left, whoever asked for them before.

    Lightning tells them when it makes them. Where an architecture asks for the number of steps in
    `configure_optimizers`, as schedules do, that is before it has read the place from the checkpoint.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell them, if that was not done."""
        trainer.fit_loop._load_combined_loader_states()


class BestWeights(ModelCheckpoint):
    """Keeps the weights of the best validation.

    Args:
        folder: Where they are written.
        goes_on: Whether the fit goes on from a checkpoint of this folder, which may have had another name then.
        options: Of Lightning's callback.
    """

    def __init__(self, folder: Path, *, goes_on: bool = False, **options: Any) -> None:
        super().__init__(folder, "best", **options)
        self._goes_on, self._is_here = goes_on, False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Look whether the folder holds them, for all processes alike."""
        super().setup(trainer, pl_module, stage)
        is_here = self._goes_on and (Path(str(self.dirpath)) / "best.ckpt").is_file()
        self._is_here = from_one(is_here, trainer)

    def state_dict(self) -> dict[str, Any]:
        """Lightning's, and which way the value is better."""
        return {**super().state_dict(), "mode": self.mode}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know the best value so far, by which `best.ckpt` is kept, also in a folder that was moved or copied."""
        if self._is_here and self.dirpath is not None:
            here = {
                name: str(Path(self.dirpath) / Path(value).name) if isinstance(value, str) and value else value
                for name, value in state_dict.items()
                if name.endswith("_path")
            }
            kept = {str(Path(self.dirpath) / Path(p).name): score for p, score in state_dict["best_k_models"].items()}
            state_dict = {**state_dict, **here, "best_k_models": kept, "dirpath": self.dirpath}
        super().load_state_dict(state_dict)


class EndOfEpoch(SteppedBefore):
    """Saves at the end of an epoch; steps schedulers also after a resume in its middle, where Lightning does not."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let Lightning step its schedulers."""
        self._unmark()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Step and save; an epoch that was broken off was saved when that happened."""
        if not _is_last_batch(trainer):
            return
        self._step(trainer, "epoch")
        super().on_train_epoch_end(trainer, pl_module)


def require_logged(
    trainer: L.Trainer, network: L.LightningModule, monitor: str, option: str, *, by_validation: bool = False
) -> None:
    """Refuse the name of a value that nobody will log, as far as that is known before training.

    Args:
        trainer: Of the fit.
        network: Its `validated_values` are logged by a validation.
        monitor: The name.
        option: Where it was given.
        by_validation: Whether a value that training logs is refused too.

    Raises:
        UserError: With those that are logged.
    """
    known = getattr(network, "validated_values", None)
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    # A callback of the user's may log anything.
    are_ours = all(type(each).__module__.partition(".")[0] in {"benchmark", "lightning"} for each in callbacks)
    if known is None or not are_ours or (monitor.startswith("train/") and not by_validation):
        return
    if not any(f"{monitor}/".startswith(f"{name}/") for name in known):
        raise UserError(f"{option} is {monitor}; a validation logs {', '.join(known)}")


def _is_last_batch(trainer: L.Trainer) -> bool:
    """Whether the batch that was trained on is the last one of its epoch."""
    return trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def run_checkpoints(folder: Path, monitor: str, minutes: float, *, goes_on: bool = False) -> list[L.Callback]:
    """Callbacks that keep `best.ckpt` and `last.ckpt` in a folder, and let a fit go on from them.

    Args:
        folder: Where they are written.
        monitor: Logged value that `best` is best by: a loss, or a score that is better the lower, is minimised.
        minutes: `last` is written that often within an epoch, and at the end of each.
        goes_on: Whether the fit goes on from a checkpoint of this folder.
    """
    mode = "min" if lower_is_better(monitor) else "max"
    best = BestWeights(folder, goes_on=goes_on, monitor=monitor, mode=mode, enable_version_counter=False)
    epoch = EndOfEpoch(folder, "last", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False)
    within = WithinEpoch(
        folder, "last", train_time_interval=datetime.timedelta(minutes=minutes), enable_version_counter=False
    )
    return [PlaceInEpoch(), best, epoch, within]
