"""What is done when a run has passed all that could refuse it, and looks at its first batch."""

from collections.abc import Callable
from typing import Any

import lightning as L


class FirstBatch(L.Callback):
    """Calls functions of the Trainer once.

    Args:
        actions: In this order.
    """

    def __init__(self, *actions: Callable[[L.Trainer], object]) -> None:
        self.actions = list(actions)

    def _act(self, trainer: L.Trainer) -> None:
        while self.actions:
            self.actions.pop(0)(trainer)

    def on_train_batch_start(self, trainer: L.Trainer, *rest: Any) -> None:
        """Of a fit."""
        self._act(trainer)

    def on_validation_batch_start(self, trainer: L.Trainer, *rest: Any) -> None:
        """Of a validation."""
        self._act(trainer)

    def on_test_batch_start(self, trainer: L.Trainer, *rest: Any) -> None:
        """Of a test."""
        self._act(trainer)

    def on_predict_batch_start(self, trainer: L.Trainer, *rest: Any) -> None:
        """Of a prediction."""
        self._act(trainer)
