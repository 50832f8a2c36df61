"""What a run shows on the screen: what is trained, a few lines an epoch, and where the result is."""

import contextlib
import logging
import math
import shlex
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar

from benchmark.metrics.descriptors import known_scores, says_nothing
from benchmark.wording import counted

COLUMNS = 79
"""Characters of a line, so that it fits into a usual terminal."""

_NOTICES = (
    ".*LightningCLI's args parameter is intended to run from within Python.*",
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*The number of training batches .* is smaller than the logging interval.*",
    ".*The dirpath has changed from.*",
    ".*Be aware that when using `ckpt_path`, callbacks used to create the checkpoint.*",
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",
    ".*You are using a custom batch sampler.*",
    ".*It is recommended to use `self.log.*sync_dist=True.*",  # scores are of all processes' clips already
)

_COSTS = {
    "train/clips_per_second": "{:.0f} clips/s",
    "train/compute_clips_per_second": "{:.0f} of compute alone",
    "train/waiting_share": "{:.0%} waiting",
    "train/peak_memory_mb": "{:.0f} MB",
}


class RunProgressBar(RichProgressBar):
    """Counts epochs from 1 and shows the loss alone; what follows at the end of an epoch has lines of its own.

    It looks at the loss twice a second, not at every batch: a GPU has to finish for each look.
    """

    _looked_at, _figures = -math.inf, dict[str, Any]()

    def end(self) -> None:
        """Be done, so that what is printed then is not broken into lines, as a command to copy."""
        self._stop_progress()

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}"

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the new figures at once."""
        self._looked_at = -math.inf
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the new figures at once."""
        self._looked_at = -math.inf
        super().on_train_epoch_end(trainer, pl_module)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """The loss of half a second ago at most."""
        if time.monotonic() - self._looked_at > 0.5:
            found = super().get_metrics(trainer, pl_module)
            loss = found.get("train/loss_step")
            figures = {} if loss is None else {"loss": f"{loss:.3f}"}
            self._looked_at, self._figures = time.monotonic(), figures
        return self._figures


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide notices of libraries that a user can do nothing about, or that a line of ours says, until it is left."""
    loggers = [logging.getLogger(library) for library in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for text in _NOTICES:
            warnings.filterwarnings("ignore", text)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def is_terminal() -> bool:
    """Whether somebody looks at a progress bar; a log file gets plain lines alone."""
    return sys.stdout.isatty()


class RunLines(L.Callback):
    """Prints what is trained, then each epoch's loss, scores, average precision of groups and cost, then what to do.

    Args:
        best: Keeps the weights of the best validation.
        config: File that a test of them can be given.
    """

    def __init__(self, best: ModelCheckpoint, config: Path) -> None:
        self.best, self.config = best, config

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the network's size, its precision and device, and the steps of the run."""
        if not trainer.is_global_zero:
            return
        every = [parameter.numel() for parameter in pl_module.parameters()]
        trained = [parameter.numel() for parameter in pl_module.parameters() if parameter.requires_grad]
        share = "" if len(trained) == len(every) else f" ({sum(trained):,} of them trained)"
        epochs = f"{counted(trainer.max_epochs, 'epoch')}, " if trainer.max_epochs and trainer.max_epochs > 0 else ""
        batches = trainer.num_training_batches
        steps = f"{counted(int(batches), 'step')} each" if math.isfinite(batches) else ""
        size = f"{type(pl_module).__name__}: {sum(every):,} parameters{share}"
        _show([size, f"{trainer.precision} on {pl_module.device}", f"{epochs}{steps}"])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the lines; validation, if there is any, has run."""
        if not trainer.is_global_zero:
            return
        values = _finite(trainer)
        loss = [f"loss {values['train/loss_epoch']:.3f}"] if "train/loss_epoch" in values else []
        _show_scores([f"epoch {trainer.current_epoch + 1}", *loss], values, "val/", pl_module)
        costs = [text.format(values[name]) for name, text in _COSTS.items() if name in values]
        _show(["  speed:", *costs] if costs else [])

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the best score, its epoch and its checkpoint, and the command that tests it."""
        path = Path(self.best.best_model_path)
        if not trainer.is_global_zero or not path.is_file():
            return
        path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        epoch = torch.load(path, mmap=True, weights_only=True).get("epoch")
        if self.best.best_model_score is not None and epoch is not None:
            _show(
                [f"best {self.best.monitor} {float(self.best.best_model_score):.3f} in epoch {epoch + 1}:", str(path)]
            )
        if isinstance(trainer.progress_bar_callback, RunProgressBar):
            trainer.progress_bar_callback.end()
        words = [*program(), "test", "--config", str(self.config), "--ckpt_path", str(path)]
        print(f"test it: {shlex.join(words)}", flush=True)


def program() -> list[str]:
    """Words by which this program is run here, also where its environment is not activated."""
    if shutil.which("clipbench"):
        return ["clipbench"]
    here = Path(sys.executable)
    return [str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here), "-m", "benchmark"]


class ScoreLines(L.Callback):
    """Prints what `validate` and `test` score, in place of Lightning's table of unrounded numbers."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the lines, but for a validation within a fit."""
        if trainer.is_global_zero and trainer.state.fn == "validate":
            _show_scores(["validation:"], _finite(trainer), "val/", pl_module)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the lines."""
        if trainer.is_global_zero:
            _show_scores(["test:"], _finite(trainer), "test/", pl_module)


def _finite(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if math.isfinite(value)}


def _show_scores(begin: list[str], values: dict[str, float], prefix: str, network: L.LightningModule) -> None:
    classes = getattr(network, "num_classes", None)
    scores = [score for score in known_scores() if not says_nothing(score.name, classes)]
    known = [(score, values[f"{prefix}{score.name}"]) for score in scores if f"{prefix}{score.name}" in values]
    _show([*begin, *(f"{score.short} {score.text(value)}" for score, value in known)])
    by_group = f"{prefix}map/"
    groups = [f"{n.removeprefix(by_group)} {value:.3f}" for n, value in values.items() if n.startswith(by_group)]
    _show(["  mAP by group:", *groups] if groups else [])


def _show(parts: Sequence[str]) -> None:
    """Print parts beside each other, on lines that are not too long; none of them is broken."""
    line = ""
    for part in parts:
        if line and len(line) + 2 + len(part) > COLUMNS:
            print(line, flush=True)
            line = "  "
        line = f"{line}  {part}" if line.strip() else f"{line}{part}"
    if line:
        print(line, flush=True)
