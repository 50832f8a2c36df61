"""Has the network compiled where the run is long enough to be paid back."""

import importlib.util
import math
import shutil
from typing import Any, cast

import lightning as L
import torch

from benchmark.errors import UserError

WORTHWHILE_BATCHES = 10_000
"""Compiling takes about a minute, and spares a few milliseconds a batch on the GPUs that were tried."""


class CompiledNetwork(L.Callback):
    """Compiles what the Trainer's `compile` asks for, before the first batch.

    With `auto` the whole planned length of a run counts, so that one that goes on decides as it did at its beginning.

    Raises:
        UserError: If a network is to be compiled, and there is no compiler for its device.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a fit count the batches of all epochs; not earlier, as to ask for them makes the loaders."""
        if cast(Any, trainer).datamodule.loaders.gives_frames:  # features pass through the last layers alone
            self._compile(trainer, pl_module, _planned_batches(trainer))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a validation by itself count the batches; one within a fit goes as the fit does."""
        if trainer.state.fn == "validate":
            self._compile(trainer, pl_module, sum(trainer.num_val_batches))

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a test count the views of the batches."""
        self._compile(trainer, pl_module, sum(trainer.num_test_batches) * _views(trainer))

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of a prediction count the views of the batches."""
        self._compile(trainer, pl_module, sum(trainer.num_predict_batches) * _views(trainer))

    def _compile(self, trainer: L.Trainer, pl_module: L.LightningModule, batches: float) -> None:
        if getattr(pl_module, "reads_whole_videos", False):  # small layers, which take no clips
            return
        choice, device = cast(Any, trainer).compile_choice, pl_module.device.type
        lacking = _lacking(device)
        if choice == "always" and lacking:
            raise UserError(f"trainer.compile is always, which needs {lacking}; install it, or choose auto or never")
        is_worthwhile = device == "cuda" and batches >= WORTHWHILE_BATCHES and not lacking
        if choice == "never" or (choice == "auto" and not is_worthwhile):
            return
        # Where nobody asked for it, a network that does not compile runs as it is.
        torch._dynamo.config.suppress_errors = choice == "auto"
        try:
            cast(Any, pl_module).compile_for(_usual_sizes(cast(Any, trainer).datamodule))
        except RuntimeError as error:  # as of a Python that is too new for this PyTorch
            if choice == "always":
                raise UserError(f"trainer.compile is always, but PyTorch says: {error}") from error
            return
        if trainer.is_global_zero:
            print("the network is compiled with the first batches, which takes about a minute", flush=True)


def _lacking(device: str) -> str | None:
    """What PyTorch needs to compile for a device and does not find."""
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return "Triton (pip install triton)"
    if not any(shutil.which(name) for name in ("c++", "g++", "gcc", "cc", "clang++", "clang", "cl")):
        return "a C++ compiler"
    return None


def _planned_batches(trainer: L.Trainer) -> float:
    """Batches of the whole fit, 0 where nobody knows how many there will be."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    by_epochs = math.inf if epochs in {None, -1} else float(trainer.num_training_batches) * float(epochs or 0)
    by_steps = math.inf if steps == -1 else float(steps * trainer.accumulate_grad_batches)
    planned = min(by_epochs, by_steps)
    return planned if math.isfinite(planned) else 0.0


def _views(trainer: L.Trainer) -> int:
    return len(cast(Any, trainer).datamodule.test_protocol.views)


def _usual_sizes(data: Any) -> set[int]:
    """Clips of the batches of training, of validation and of testing."""
    evaluated = (data.validation_protocol, data.test_protocol)
    return {data.batch_size, *(each.videos_per_batch(data.batch_size) * each.clips_per_video for each in evaluated)}
