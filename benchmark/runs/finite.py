"""Ends a fit whose loss is no number any more, before its weights are kept."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT

from benchmark.errors import UserError


class FiniteLoss(L.Callback):
    """Ends a fit with a message before weights are validated or saved that a loss of NaN or infinity has spoilt.

    The losses are added up where they are, so that a GPU is not waited for in every step.

    Raises:
        UserError: Before a validation, at the end of an epoch, or when a checkpoint is to be written; on all processes
            alike before a validation and at the end of an epoch.
    """

    def __init__(self) -> None:
        self._sum: torch.Tensor | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        """Add the loss."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, torch.Tensor):
            self._sum = loss.detach().float() if self._sum is None else self._sum + loss.detach().float()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Before the best weights are chosen."""
        if trainer.state.fn == "fit":
            self._require(trainer, everywhere=True)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Before the epoch's weights are kept."""
        self._require(trainer, everywhere=True)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Before any weights are kept."""
        self._require(trainer, everywhere=False)

    def _require(self, trainer: L.Trainer, *, everywhere: bool) -> None:
        if self._sum is None:
            return
        summed = trainer.strategy.reduce(self._sum.clone(), reduce_op="sum") if everywhere else self._sum
        if not bool(torch.isfinite(torch.as_tensor(summed))):
            raise UserError(
                f"the loss is {float(summed)} in epoch {trainer.current_epoch + 1}, so these weights are not kept; "
                "lower the learning rate (model.recipe.learning_rate), warm up longer (model.recipe.warmup_steps), "
                "or clip gradients (trainer.gradient_clip_val)"
            )
        if everywhere:
            self._sum = None
