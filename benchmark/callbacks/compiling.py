"""Has the network compiled where the run is long enough to be paid back."""

import importlib.util
from typing import Any, cast

import lightning as L
import torch

from benchmark.data.loader import videos_per_batch
from benchmark.trainer import Trainer

WORTHWHILE_BATCHES = 10_000
"""Compiling takes about a minute, and spares a few milliseconds a batch on the GPUs that were tried."""


class CompiledNetwork(L.Callback):
    """Compiles what the Trainer's `compile` asks for, before the first batch.

    The same run decides alike whenever it begins or goes on, as what counts is its whole planned length.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a fit count the optimiser's steps; not earlier, as to ask for them makes the loaders."""
        self._compile(trainer, pl_module, cast(Any, pl_module).planned_steps())

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a validation by itself count the batches; one within a fit goes as the fit does."""
        if trainer.state.fn == "validate":
            self._compile(trainer, pl_module, sum(trainer.num_val_batches))

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a test count the views of the batches."""
        data = cast(Any, trainer).datamodule
        self._compile(trainer, pl_module, sum(trainer.num_test_batches) * len(data.test_protocol.views))

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a prediction count the views of the batches."""
        data = cast(Any, trainer).datamodule
        self._compile(trainer, pl_module, sum(trainer.num_predict_batches) * len(data.test_protocol.views))

    def _compile(self, trainer: L.Trainer, pl_module: L.LightningModule, batches: float) -> None:
        choice = cast(Trainer, trainer).compile_choice
        is_worthwhile = pl_module.device.type == "cuda" and batches >= WORTHWHILE_BATCHES
        if choice == "never" or (choice == "auto" and not (is_worthwhile and importlib.util.find_spec("triton"))):
            return
        # Where nobody asked for it, a network that does not compile runs as it is.
        torch._dynamo.config.suppress_errors = choice == "auto"
        cast(Any, pl_module).compile_for(_usual_sizes(cast(Any, trainer).datamodule))
        if trainer.is_global_zero:
            print("the network is compiled with the first batches, which takes a minute", flush=True)


def _usual_sizes(data: Any) -> set[int]:
    """Clips of the batches of training, of validation and of testing."""
    evaluated = (data.clips_per_video.validation, data.test_protocol.clips_per_video)
    return {data.batch_size, *(videos_per_batch(data.batch_size, clips) * clips for clips in evaluated)}
