"""Whether a short fit, through Lightning, steps the schedulers that an architecture configures.

Letters: B clips, T frames, K classes.
"""

import logging
import tempfile
import warnings
from collections.abc import Callable
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmark.clip import ClipBatch
from benchmark.conformance.subject import CLASSES, FRAME_SIDE, Finding, Subject
from benchmark.wording import counted

_EPOCHS = 2
_CLIPS = 2


def schedules(subject: Subject) -> list[Finding]:
    """Every scheduler is stepped in two epochs of two batches, in which a rarer one is made due."""
    network, watch = subject.build(), _Steps()
    clips = subject.clips(2 * _CLIPS)
    offsets = len(network.frame_offsets)
    shown = torch.randint(0, 256, (_CLIPS, offsets, FRAME_SIDE, FRAME_SIDE, 3), dtype=torch.uint8)
    training: Any = DataLoader(cast(Any, [_batch(clips[:_CLIPS]), _batch(clips[_CLIPS:])]), batch_size=None)
    validation: Any = DataLoader(cast(Any, [_batch(shown)]), batch_size=None)
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            trainer = L.Trainer(
                accelerator="cpu",
                devices=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                max_epochs=_EPOCHS,
                default_root_dir=folder,
                callbacks=[watch],
            )
            trainer.fit(network, training, validation)
    finally:
        log.setLevel(level)
    change = (
        "let Lightning step it (leave lr_scheduler_step as it is), or step it yourself where you step the optimiser"
    )
    return [
        Finding(f"{name} is never stepped in {_EPOCHS} epochs of {counted(len(training), 'batch')}", change)
        for name, steps in watch.steps
        if not steps
    ]


class _Steps(L.Callback):
    """Counts the steps of each scheduler, and lets each be due within the fit."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, list[None]]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for config in trainer.lr_scheduler_configs:
            in_an_epoch = 2 if config.interval == "step" else 1  # Lightning counts batches from each epoch's first
            config.frequency = min(config.frequency, in_an_epoch)
            steps: list[None] = []
            scheduler: Any = config.scheduler
            scheduler.step = _counted(scheduler.step, steps)
            self.steps.append((type(scheduler).__name__, steps))


def _counted(step: Callable[..., None], steps: list[None]) -> Callable[..., None]:
    def counted(*values: Any, **options: Any) -> None:
        steps.append(None)
        step(*values, **options)

    return counted


def _batch(frames: Tensor) -> ClipBatch:
    """Clips of as many videos, (B, T, S, S, 3) uint8, of one class each."""
    count = torch.arange(len(frames))
    labels = torch.eye(CLASSES)[count % CLASSES]
    nothing = torch.zeros(len(frames), dtype=torch.int64)
    return ClipBatch(frames, labels, count, nothing, nothing, nothing.bool(), ("centre",), [])
