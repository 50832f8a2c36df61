"""What a run shows on the screen besides the progress bar: one line of figures an epoch."""

import math

import lightning as L
from rich import print as rich_print

from benchmark.metrics.descriptors import known_scores

_COSTS = {
    "train/clips_per_second": "{:.0f} clips/s",
    "train/compute_clips_per_second": "({:.0f} compute alone,",
    "train/waiting_share": "{:.0%} waiting)",
    "train/peak_memory_mb": "{:.0f} MB",
}


class EpochLines(L.Callback):
    """Prints one line an epoch: loss, every known score, average precision of the groups, clips a second."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line; validation, if there is any, has run."""
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        parts = (
            [f"loss {values['train/loss_epoch']:.3f}"]
            if math.isfinite(values.get("train/loss_epoch", math.nan))
            else []
        )
        parts += [
            f"{score.short} {score.text(values[f'val/{score.name}'])}"
            for score in known_scores()
            if math.isfinite(values.get(f"val/{score.name}", math.nan))
        ]
        parts += [
            text.format(values[name]) for name, text in _COSTS.items() if math.isfinite(values.get(name, math.nan))
        ]
        groups = [
            f"{name.removeprefix('val/map/')} {value:.3f}"
            for name, value in values.items()
            if name.startswith("val/map/")
        ]
        rich_print(f"epoch {trainer.current_epoch + 1}  " + "  ".join(parts))
        if groups:
            rich_print("   mAP by group: " + ", ".join(groups))
