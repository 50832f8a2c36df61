"""What every architecture shares: loss, metrics, optimiser. An architecture adds `forward`.

Letters: B clips, T frames, S side of the input in pixels, K classes.
"""

import dataclasses
import math
from itertools import zip_longest
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from benchmark.clip import ClipBatch, FeatureBatch, cut_view
from benchmark.errors import UserError
from benchmark.metrics import ClassificationScores, HitAtK
from benchmark.models.convolutions import pad_small_inputs


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained (section 3.3), the same for every strategy and resolution.

    Args:
        learning_rate: Highest learning rate.
        momentum: Of SGD.
        weight_decay: Of SGD.
        warmup_steps: Steps over which the learning rate rises linearly; the first full-size steps otherwise kill ReLUs.
        plateau_metric: Logged value whose improvement keeps the learning rate, higher is better.
        plateau_patience: Validations without improvement before the learning rate falls.
        plateau_factor: What the learning rate is then multiplied by.
        cooldown: Share of the run, at its end, in which the learning rate also falls linearly to 0. The last weights
            otherwise wander by some points from epoch to epoch. It belongs to the run's planned end: a finished run
            that goes on with more epochs has cooled down once already. 0 leaves it out, as does a run without an end.

    Raises:
        UserError: If a value is out of range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_steps: int = 100
    plateau_metric: str = "val/clip_hit1"
    plateau_patience: int = 5
    plateau_factor: float = 0.3
    cooldown: float = 0.5

    def __post_init__(self) -> None:
        # Written so that NaN, which compares false with everything, is refused too.
        if not (self.learning_rate > 0 and 0 < self.plateau_factor < 1 and 0 <= self.momentum < 1):
            raise UserError(
                f"model.recipe has learning_rate {self.learning_rate}, momentum {self.momentum}, plateau_factor "
                f"{self.plateau_factor}; the first must be above 0, the others from 0 to below 1"
            )
        if not (self.weight_decay >= 0 and self.warmup_steps >= 0 and self.plateau_patience >= 0):
            raise UserError(
                f"model.recipe has weight_decay {self.weight_decay}, warmup_steps {self.warmup_steps}, "
                f"plateau_patience {self.plateau_patience}; none may be below 0"
            )
        if not 0 <= self.cooldown <= 1:
            raise UserError(f"model.recipe.cooldown is {self.cooldown}; it is a share of the run, from 0 to 1")


class VideoClassifier(L.LightningModule):
    """A network that gives each clip a score for each class; the base of every architecture.

    A subclass sets `frame_offsets` (frames it reads, counted from the first of a 16-frame clip) and `input_side`
    (pixels), and implements `forward`: (B, T, S, S, 3) uint8 RGB to logits (B, K). It overrides `layer_groups` where
    its layers are not direct children in the order in which a clip passes through them, and `clip_frames` where it
    needs more than 16: its clips then lie elsewhere, under a protocol of their own. Where it overrides
    `configure_optimizers`, warm-up and cooldown of the recipe multiply the learning rates of its optimiser, and
    schedulers other than ReduceLROnPlateau are not stepped. Where its constructor loads weights that were trained
    elsewhere, it sets `begins_with_published_weights`: what they had seen is then recorded as unknown. Where it cannot
    be built without a library that is not always installed, `optional_library` names it, and its absence is said first.

    Args:
        num_classes: K.
        recipe: How it is trained.

    Raises:
        UserError: If there are fewer than two classes.
    """

    frame_offsets: tuple[int, ...]
    input_side: int
    clip_frames: int = 16
    begins_with_published_weights: bool = False
    optional_library: str | None = None

    def __init__(self, num_classes: int, recipe: Recipe) -> None:
        super().__init__()
        if num_classes < 2:
            raise UserError(f"num_classes is {num_classes}; a classifier needs at least 2 classes")
        self.num_classes, self.recipe = num_classes, recipe
        self.train_hit1, self.train_hit5 = HitAtK(1), HitAtK(5)
        self.scores: ClassificationScores | None = None

    def setup(self, stage: str) -> None:
        """Prepare the metrics for the classes and groups of the data."""
        groups = getattr(self.trainer, "datamodule", None)
        self.scores = ClassificationScores(self.num_classes, groups.groups if groups is not None else {})
        self.scores.to(self.device)

    def on_fit_start(self) -> None:
        """Prepare the layers for training on the processor, when all of them are made."""
        pad_small_inputs(self)

    def on_train_batch_start(self, batch: ClipBatch, batch_idx: int) -> None:
        """Let dropout be a function of (seed, step, process), so that a resumed run repeats an uninterrupted one."""
        seed = int(getattr(self.trainer.datamodule, "seed", 0)) if hasattr(self.trainer, "datamodule") else 0
        step = self.trainer.fit_loop.epoch_loop.total_batch_idx
        torch.manual_seed((seed * 1_000_003 + step) * 4096 + self.global_rank)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group.setdefault("plateau_lr", group["lr"]) * self._rate_share()
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=1)

    def _rate_share(self) -> float:
        """What warm-up and cooldown leave of the learning rate at this step, above 0 to 1."""
        recipe, step, steps = self.recipe, self.global_step, self.trainer.estimated_stepping_batches
        rise = (step + 1) / (recipe.warmup_steps + 1)
        fall = (steps - step) / (recipe.cooldown * steps) if recipe.cooldown and math.isfinite(steps) else 1.0
        return min(1.0, rise, fall)

    def training_step(self, batch: ClipBatch | FeatureBatch, batch_idx: int) -> Tensor:
        """Cross entropy against the labels' mass, spread evenly over several; 0 for a batch without clips."""
        logits = self._from_features(batch) if isinstance(batch, FeatureBatch) else self(batch.frames)
        targets = batch.labels / batch.labels.sum(1, keepdim=True).clamp(min=1)
        loss = F.cross_entropy(logits.float(), targets, reduction="sum") / max(len(batch), 1)
        self.train_hit1.update(logits.detach().float(), batch.labels)
        self.train_hit5.update(logits.detach().float(), batch.labels)
        # A step's loss is this process's own, an epoch's the mean over all processes, which only then wait for it.
        self.log("train/loss_step", loss, prog_bar=True, on_step=True, on_epoch=False, batch_size=1)
        clips = max(len(batch), 1)
        self.log(
            "train/loss_epoch", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True, batch_size=clips
        )
        self.log("train/clip_hit1", self.train_hit1, on_step=False, on_epoch=True, batch_size=clips)
        self.log("train/clip_hit5", self.train_hit5, on_step=False, on_epoch=True, batch_size=clips)
        return loss

    @property
    def head_layers(self) -> nn.Sequential | None:
        """The upper layers, where `forward` is `head_layers(features_of(clips))`; None where it cannot be split so.

        With both, what layers below the first trained one make of a clip need not be worked out again in each epoch.
        """
        return None

    def features_of(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB to what `head_layers` take, (B, F)."""
        raise NotImplementedError(f"{type(self).__name__} has head_layers but no features_of")

    def _from_features(self, batch: FeatureBatch) -> Tensor:
        """Logits (B, K) of clips whose features are at hand."""
        if self.head_layers is None:
            raise TypeError(f"{type(self).__name__} has no head_layers")
        seen = batch.features
        for layer in list(self.head_layers)[batch.first_layer :]:
            seen = layer(seen)
        return seen

    def clip_probabilities(self, batch: ClipBatch | FeatureBatch) -> Tensor:
        """(B, K) float32: the mean over the batch's views of the class probabilities (section 4)."""
        if isinstance(batch, FeatureBatch):
            return self._from_features(batch).float().softmax(1)
        views = [self(cut_view(batch.frames, view, self.input_side)).float().softmax(1) for view in batch.views]
        return torch.stack(views).mean(0)

    def validation_step(self, batch: ClipBatch | FeatureBatch, batch_idx: int) -> None:
        """Score the clips of whole videos."""
        if self.scores is None:
            raise RuntimeError("the metrics are prepared in setup()")
        self.scores.update(self.clip_probabilities(batch), batch.labels, batch.rows)

    def test_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Score the clips of whole videos for the ledger; returns (B, K) probabilities."""
        return self.clip_probabilities(batch)

    def predict_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Score clips whose labels may be unknown; returns (B, K) probabilities."""
        return self.clip_probabilities(batch)

    def on_validation_epoch_end(self) -> None:
        """Log clip and video Hit@k and average precision; lower the learning rate where they no longer improve."""
        values = self._log_scores()
        if (
            self.trainer.state.fn != "fit"
            or self.trainer.sanity_checking
            or self.global_step <= self.recipe.warmup_steps
        ):
            return
        if self.recipe.plateau_metric not in values:
            raise UserError(
                f"model.recipe.plateau_metric is {self.recipe.plateau_metric}; validation logs {', '.join(values)}"
            )
        plateau = self.lr_schedulers()
        if not isinstance(plateau, ReduceLROnPlateau):  # of an architecture that chooses its optimiser itself
            return
        groups = plateau.optimizer.param_groups
        for group in groups:
            group["lr"] = group["plateau_lr"]
        plateau.step(float(values[self.recipe.plateau_metric]))
        for group in groups:
            group["plateau_lr"] = group["lr"]

    def lr_scheduler_step(self, scheduler: LRScheduler | ReduceLROnPlateau, metric: Any) -> None:
        """Nothing: Lightning would step behind the epoch's checkpoint, which a resumed run then begins without."""

    def _log_scores(self) -> dict[str, Tensor]:
        if self.scores is None:
            raise RuntimeError("the metrics are prepared in setup()")
        values = {f"val/{name}": value for name, value in self.scores.compute().items()}
        for name, value in values.items():
            self.log(name, value, prog_bar=name.endswith(("clip_hit1", "video_hit1")), sync_dist=False)
        self.scores.reset()
        return values

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """SGD, and a learning rate that falls when validation stops improving (section 3.3).

        Parameters that need no gradient are frozen, and no business of the optimiser's.
        """
        recipe = self.recipe
        optimizer = SGD(
            [parameter for parameter in self.parameters() if parameter.requires_grad],
            recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        for group in optimizer.param_groups:  # saved with the optimiser's state
            group["plateau_lr"] = recipe.learning_rate
        plateau = ReduceLROnPlateau(
            optimizer, mode="max", factor=recipe.plateau_factor, patience=recipe.plateau_patience
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": recipe.plateau_metric, "strict": False},
        }

    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters in groups from the input up, for training the upper ones and leaving the others as they are.

        Each parameter is in one group, and the last group is the layer that makes the logits and nothing else. By
        default each direct child with parameters is a group.

        Raises:
            UserError: If the default does not cover the parameters.
        """
        loose = [name for name, _ in self.named_parameters(recurse=False)]
        if loose:
            raise UserError(f"{type(self).__name__} holds {', '.join(loose)} itself; override layer_groups to place it")
        groups = [list(child.parameters()) for child in self.children()]
        return [group for group in groups if group]

    def architecture(self) -> dict[str, Any]:
        """What a checkpoint must share with the configured model: class, classes and the options that shape it."""
        options = {name: getattr(self, name) for name in ("resolution", "width", "pixel_scale") if hasattr(self, name)}
        return {"class": type(self).__name__, "num_classes": self.num_classes, **options}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the architecture and the names of the classes beside the weights."""
        checkpoint["architecture"] = self.architecture()
        if self.begins_with_published_weights and "provenance" in checkpoint:
            checkpoint["provenance"]["is_known"] = False
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            checkpoint["class_names"] = list(data.class_names)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights of another architecture, naming what differs.

        Raises:
            UserError: If class, resolution, width, pixel scale, or number, names or order of the classes differ.
        """
        held, mine = checkpoint.get("architecture", {}), self.architecture()
        differs = [
            f"{name} is {held.get(name)} in the checkpoint and {mine.get(name)} in the configuration"
            for name in sorted(held.keys() | mine.keys())
            if held.get(name) != mine.get(name)
        ]
        # Weights may also be loaded without a Trainer, and so without data.
        data = None if self._trainer is None else getattr(self._trainer, "datamodule", None)
        known, wanted = checkpoint.get("class_names"), None if data is None else list(data.class_names)
        if known and wanted and known != wanted:
            first = next(pair for pair in zip_longest(known, wanted) if pair[0] != pair[1])
            differs.append(f"the classes differ, first {first[0]} in the checkpoint and {first[1]} in the data")
        shapes = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        stored = {name: tuple(value.shape) for name, value in checkpoint["state_dict"].items()}
        if shapes != stored:
            name = next(n for n in (*shapes, *stored) if shapes.get(n) != stored.get(n))
            differs.append(f"{name} is {stored.get(name)} in the checkpoint and {shapes.get(name)} in the model")
        if differs:
            raise UserError(f"the checkpoint does not fit the configured model: {'; '.join(differs)}")
