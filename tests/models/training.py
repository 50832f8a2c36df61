"""Small networks trained for a few steps on random clips, through Lightning's Trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from benchmark.clip import ClipBatch
from benchmark.models import Recipe, SingleFrame, VideoClassifier
from tests.models.plain import clip_batch, random_clips

WIDTH = 0.06
K = 5


def build(network: Callable[..., VideoClassifier] = SingleFrame, **options: Any) -> VideoClassifier:
    torch.manual_seed(0)
    return network(**{"num_classes": K, "width": WIDTH, **options})


def training_batch(network: VideoClassifier, count: int = 8, seed: int = 0) -> ClipBatch:
    """Random clips with one label each."""
    frames = random_clips(count, len(network.frame_offsets), network.input_side, seed)
    return clip_batch(frames, torch.eye(K)[torch.arange(count) % K])


class Batches(L.LightningDataModule):
    """The same batches in each epoch."""

    class_names = tuple("abcde")
    groups: dict[str, list[int]] = {}  # noqa: RUF012

    def __init__(self, train: list[ClipBatch], val: list[ClipBatch] | None = None, *, seed: int = 0) -> None:
        super().__init__()
        self.train, self.val, self.seed = train, val or [], seed

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        return DataLoader(self.train, batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[ClipBatch]:
        return DataLoader(self.val, batch_size=None)  # type: ignore[arg-type]


class Watch(L.Callback):
    """What each step logged as loss, and its learning rate."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss_step"]))
        self.rates.append(float(trainer.callback_metrics["train/learning_rate"]))


def trainer(folder: Path, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    fixed = dict(accelerator="cpu", num_sanity_val_steps=0, default_root_dir=folder, callbacks=list(callbacks))
    return L.Trainer(**{**quiet, **fixed, **options})


def fitted(folder: Path, *, epochs: int, seed: int = 0, **options: Any) -> tuple[VideoClassifier, L.Trainer]:
    tested = build(recipe=Recipe(warmup_steps=2))
    data = Batches([training_batch(tested, 4, seed=n) for n in range(2)], seed=seed)
    torch.manual_seed(99)  # what a process drew before must not matter
    runner = trainer(folder, max_epochs=epochs)
    runner.fit(tested, datamodule=data, **options)
    return tested, runner


def same_weights(first: VideoClassifier, second: VideoClassifier) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
