"""How many optimiser steps a fit will have made at its planned end."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import GradientAccumulationScheduler


def planned_steps(trainer: L.Trainer) -> float:
    """Optimiser steps of a whole fit: those made already, and those that remain as the Trainer is set now.

    Lightning's own estimate takes the epochs before for epochs of the present length. That is wrong where gradients are
    accumulated over a number of batches that changes, and where a fit goes on with another limit of batches.

    Args:
        trainer: Of a fit that optimises by itself; it makes its loaders if it has none yet.

    Returns:
        A whole number, or infinite where the fit has no planned end.
    """
    loop = trainer.fit_loop
    most = math.inf if trainer.max_steps == -1 else float(trainer.max_steps)
    if trainer.max_epochs in (-1, None):
        return most
    if trainer.train_dataloader is None:
        loop.setup_data()
    batches = trainer.num_training_batches
    if batches == math.inf:
        return most
    schedules = [each for each in trainer.callbacks if isinstance(each, GradientAccumulationScheduler)]  # type: ignore[attr-defined]
    accumulated = schedules[0].scheduling if schedules else {0: trainer.accumulate_grad_batches}
    epochs = cast(Any, loop.epoch_progress.current)  # declared as a class of fewer numbers
    ended, begun = epochs.processed, epochs.ready
    remaining = _steps(ended, int(trainer.max_epochs or 0), int(batches), accumulated)
    if begun > ended:
        remaining -= _steps_within(ended, loop.epoch_loop.batch_progress.current.ready, int(batches), accumulated)
    return min(most, trainer.global_step + max(0, remaining))


def _steps(begin: int, end: int, batches: int, accumulated: Mapping[int, int]) -> int:
    """Steps of some epochs, the last one not included; a rest of batches in an epoch makes a step, too."""
    bounds = [*sorted(accumulated), max(end, *accumulated)]
    return sum(
        max(0, min(until, end) - max(since, begin)) * math.ceil(batches / accumulated[since])
        for since, until in pairwise(bounds)
    )


def _steps_within(epoch: int, seen: int, batches: int, accumulated: Mapping[int, int]) -> int:
    """Steps of an epoch that were made when some of its batches were seen."""
    over = accumulated[max(since for since in accumulated if since <= epoch)]
    return math.ceil(batches / over) if seen >= batches else seen // over
