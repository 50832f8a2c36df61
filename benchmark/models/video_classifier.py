"""What every architecture shares: loss, metrics, optimiser. An architecture adds `forward`.

Letters: B clips, T frames, S side of the input in pixels, K classes.
"""

import math
from collections.abc import Callable, Collection, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from benchmark.class_options import subclasses
from benchmark.clip import ClipBatch, FeatureBatch, VideoBatch, cut_view
from benchmark.errors import UserError
from benchmark.metrics.classification import ClassificationScores
from benchmark.metrics.descriptors import lower_is_better, try_added
from benchmark.metrics.hit import HitAtK
from benchmark.models.convolutions import work_around_onednn
from benchmark.models.options import differing, differing_shapes, plain, stored_options, stored_shape
from benchmark.models.planned_steps import planned_steps
from benchmark.models.recipe import Recipe, RecipeSchedule, named_rates, translate_plateau
from benchmark.models.stored import network_from, read_checkpoint, stored_class


class VideoClassifier(L.LightningModule):
    """A network that gives each clip a score for each class; the base of every architecture.

    A subclass sets `frame_offsets` (frames it reads, counted from the first of a 16-frame clip) and `input_side`
    (pixels), and implements `forward`: (B, T, S, S, 3) uint8 RGB to logits (B, K). It overrides `layer_groups` where
    its layers are not direct children in the order in which a clip passes through them, and `clip_frames` where it
    needs more than 16: its clips then lie elsewhere, under a protocol of their own. Where it overrides
    `configure_optimizers`, its optimisers and schedulers are stepped as Lightning documents, and the recipe has no part
    in it. Where its constructor loads weights that were trained elsewhere, it sets `begins_with_published_weights`:
    what they had seen is then recorded as unknown. Where it cannot be built without a library that is not always
    installed, `optional_library` names it, and its absence is said first.

    The arguments of the constructors are kept as hyper-parameters. A checkpoint only loads into a network that was
    built with the same ones, but for those named in `training_options`.

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
    weights_provenance: dict[str, Any] | None = None
    """What weights that its constructor loaded say of the videos they have seen; None where they say nothing."""
    optional_library: str | None = None
    training_options: frozenset[str] = frozenset({"recipe", "dropout", "weights"})
    """Options that a trained network does not depend on: another value is no other network."""
    reads_whole_videos: bool = False
    """Whether it is given videos, as `VideoBatch`, in place of clips; its callbacks then make the loaders of them."""

    def __init__(self, num_classes: int, recipe: Recipe) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        if num_classes < 2:
            raise UserError(f"num_classes is {num_classes}; a classifier needs at least 2 classes")
        self.num_classes, self.recipe = num_classes, recipe
        self.train_hit1, self.train_hit5 = HitAtK(1), HitAtK(5)
        self.scores: ClassificationScores | None = None
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self._compiled_for: frozenset[int] = frozenset()

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # a file alone, read strictly
        cls, checkpoint_path: Path | str, map_location: torch.device | str = "cpu", **options: Any
    ) -> Self:
        """A trained network from its checkpoint alone.

        Args:
            checkpoint_path: File that a fit has written, read as tensors and plain values; it imports nothing.
            map_location: Device on which the network is returned.
            options: Of the constructor, instead of the file's. How the network was trained (`training_options`) is
                left at its defaults.

        Returns:
            A network of this class or one that derives from it, in training mode as every new one.

        Raises:
            UserError: If the file is no such checkpoint, or is of a class that is neither this one nor below it, or
                leaves open which of several, or names code that was not imported yet.

        Example:
            >>> network = SingleFrame.load_from_checkpoint("runs/NAME/checkpoints/best.ckpt")
        """
        path = str(checkpoint_path)
        checkpoint = read_checkpoint(path, "checkpoint_path")
        shape, held = stored_shape(checkpoint) or {}, stored_options(checkpoint)
        found = stored_class(shape, held, known := [cls, *subclasses(cls)])
        if found is None:
            raise UserError(
                f"checkpoint_path {path} is of a network of the class {held.get('_class_path', shape.get('class'))}, "
                f"and {cls.__name__} reads {', '.join(sorted({each.__name__ for each in known}))}; import it before"
            )
        return found._stored(checkpoint, path, options).to(map_location)

    @classmethod
    def _stored(cls, checkpoint: Mapping[str, Any], path: str, given: Mapping[str, Any]) -> Self:
        """The network of a checkpoint of this very class, with some options given."""
        held = stored_options(checkpoint)
        names = checkpoint.get("class_names")
        held |= {} if names is None else {"num_classes": len(names)}
        options = {**held, **{name: plain(value) for name, value in given.items()}}
        return network_from(cls, options, checkpoint["state_dict"], where=path, keep=frozenset(given))

    def setup(self, stage: str) -> None:
        """Prepare the metrics for the classes and groups of the data."""
        data = getattr(self.trainer, "datamodule", None)
        groups = data.groups if data is not None else {}
        has_clips = not self.reads_whole_videos
        clips = getattr(getattr(data, "validation_protocol", None), "clips_per_video", 1) if has_clips else 0
        if stage != "predict":
            try:
                try_added(self.num_classes, clips, groups)
            except ValueError as error:
                raise UserError(str(error)) from error
        self.scores = ClassificationScores(self.num_classes, groups, has_clips=has_clips).to(self.device)

    def on_fit_start(self) -> None:
        """Prepare the layers for the processor, when all of them are made."""
        if self.device.type == "cpu":
            work_around_onednn(self)

    on_validation_start = on_test_start = on_predict_start = on_fit_start

    def on_train_batch_start(self, batch: ClipBatch, batch_idx: int) -> None:
        """Let dropout be a function of (seed, step, process), so that a resumed run repeats an uninterrupted one."""
        seed = int(getattr(self.trainer.datamodule, "seed", 0)) if hasattr(self.trainer, "datamodule") else 0
        step = self.trainer.fit_loop.epoch_loop.total_batch_idx
        torch.manual_seed((seed * 1_000_003 + step) * 4096 + self.global_rank)
        for name, rate in named_rates(self.trainer.optimizers).items():
            self.log(name, torch.tensor(rate), batch_size=1)  # on the processor, since a GPU would be waited for

    def training_step(self, batch: ClipBatch | FeatureBatch, batch_idx: int) -> Tensor:
        """Cross entropy against the labels' mass, spread evenly over several; 0 for a batch without clips."""
        logits = self._from_features(batch) if isinstance(batch, FeatureBatch) else self.logits(batch.frames)
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
        level = "video" if self.reads_whole_videos else "clip"
        self.log(f"train/{level}_hit1", self.train_hit1, on_step=False, on_epoch=True, batch_size=clips)
        self.log(f"train/{level}_hit5", self.train_hit5, on_step=False, on_epoch=True, batch_size=clips)
        return loss

    def logits(self, clips: Tensor) -> Tensor:
        """What `forward` gives, compiled for batches of the sizes that were asked for."""
        if self._compiled is not None and len(clips) in self._compiled_for:
            return self._compiled(clips)
        logits: Tensor = self(clips)
        return logits

    def compile_for(self, batches: Collection[int]) -> None:
        """Let PyTorch compile `forward` when it next sees a batch of one of these sizes.

        Args:
            batches: Clips of the usual batches; others, as the last of an epoch, are not worth the time.
        """
        self._compiled = torch.compile(self.forward, dynamic=False)
        self._compiled_for = frozenset(batches)

    def __getstate__(self) -> dict[str, Any]:
        """A copy is not compiled: it would compute with this network's weights."""
        return {**super().__getstate__(), "_compiled": None}

    @property
    def head_layers(self) -> nn.Sequential | None:
        """The upper layers, where `forward` is `forward_head(forward_features(clips))`; None where it has no such cut.

        With it, what layers below the first trained one make of a clip need not be worked out again in each epoch.
        """
        return None

    def forward_features(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB to what `head_layers` take, (B, F)."""
        raise UserError(f"{type(self).__name__} has no forward_features, which networks with head_layers need")

    def forward_head(self, features: Tensor) -> Tensor:
        """What `forward_features` gives, (B, F), to logits (B, K)."""
        if self.head_layers is None:
            raise UserError(f"{type(self).__name__} has no head_layers, so features cannot be classified by themselves")
        logits: Tensor = self.head_layers(features)
        return logits

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
        views = [self.logits(cut_view(batch.frames, view, self.input_side)).float().softmax(1) for view in batch.views]
        return torch.stack(views).mean(0)

    def validation_step(self, batch: ClipBatch | FeatureBatch, batch_idx: int) -> Tensor:
        """Score the clips of whole videos; returns (B, K) probabilities."""
        if self.scores is None:
            raise RuntimeError("the metrics are prepared in setup()")
        probabilities = self.clip_probabilities(batch)
        self.scores.update(probabilities, batch.labels, batch.rows)
        return probabilities

    def test_step(self, batch: ClipBatch | VideoBatch, batch_idx: int) -> Tensor:
        """Score the clips of whole videos for the ledger; returns (B, K) probabilities."""
        return self.clip_probabilities(batch)

    def predict_step(self, batch: ClipBatch | VideoBatch, batch_idx: int) -> Tensor:
        """Score clips whose labels may be unknown; returns (B, K) probabilities."""
        return self.clip_probabilities(batch)

    def on_validation_epoch_end(self) -> None:
        """Log clip and video Hit@k and average precision, and tell the recipe's schedule."""
        values = self._log_scores()
        if self.trainer.state.fn != "fit" or self.trainer.sanity_checking:
            return
        sign = -1 if lower_is_better(self.recipe.plateau_metric) else 1
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, RecipeSchedule):
                config.scheduler.observe(sign * float(self._plateau_value(values)))

    def _plateau_value(self, values: dict[str, Tensor]) -> Tensor:
        if self.recipe.plateau_metric not in values:
            raise UserError(
                f"model.recipe.plateau_metric is {self.recipe.plateau_metric}; validation logs {', '.join(values)}"
            )
        return values[self.recipe.plateau_metric]

    @property
    def validated_values(self) -> tuple[str, ...] | None:
        """What a validation logs, by name; None before `setup`, and where an architecture logs values of its own."""
        own = ("training_step", "validation_step", "on_validation_epoch_end", "on_train_epoch_end", "on_validation_end")
        if self.scores is None or any(getattr(type(self), name) is not getattr(VideoClassifier, name) for name in own):
            return None
        return tuple(f"val/{name}" for name in self.scores.names)

    def _log_scores(self) -> dict[str, Tensor]:
        if self.scores is None:
            raise RuntimeError("the metrics are prepared in setup()")
        try:
            values = {f"val/{name}": value for name, value in self.scores.compute().items()}
        except ValueError as error:  # of a score that was added
            raise UserError(str(error)) from error
        for name, value in values.items():
            self.log(name, value, prog_bar=name.endswith(("clip_hit1", "video_hit1")), sync_dist=False)
        self.scores.reset()
        return values

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD with the recipe's schedule (section 3.3).

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
        schedule = RecipeSchedule(optimizer, recipe, self._planned_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _planned_steps(self) -> float:
        """Optimiser steps of the whole run, infinite where it has no planned end."""
        return math.inf if self._trainer is None else planned_steps(self.trainer)

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

    @property
    def built_with(self) -> dict[str, Any]:
        """Class and constructor arguments that shape the network, as plain values by name."""
        options = {name: plain(value) for name, value in self.hparams.items() if not name.startswith("_")}
        return {"class": type(self).__name__, **options}

    @property
    def shape(self) -> dict[str, Any]:
        """What a checkpoint must share with the configured network: `built_with` less `training_options`."""
        return {name: value for name, value in self.built_with.items() if name not in self.training_options}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the network's class, what it was built with, and the names of its classes, beside the weights."""
        checkpoint["architecture"] = self.shape
        # Only plain values can be read back without running code of the file's.
        held = {"_class_path": f"{type(self).__module__}.{type(self).__qualname__}", **self.hparams}  # or Lightning's
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = {name: plain(value) for name, value in held.items()}
        if self.begins_with_published_weights and "provenance" in checkpoint:
            checkpoint["provenance"]["is_known"] = False
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            checkpoint["class_names"] = list(data.class_names)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights of a network that was built otherwise, naming what differs.

        Raises:
            UserError: If the class, an option that shapes the network, or number, names or order of the classes differ.
        """
        differs = differing(stored_shape(checkpoint) or {"class": None}, self.shape)
        # Weights may also be loaded without a Trainer, and so without data.
        data = None if self._trainer is None else getattr(self._trainer, "datamodule", None)
        known, wanted = checkpoint.get("class_names"), None if data is None else list(data.class_names)
        if known and wanted and known != wanted:
            first = next(pair for pair in zip_longest(known, wanted) if pair[0] != pair[1])
            differs.append(f"the classes differ, first {first[0]} in the checkpoint and {first[1]} in the data")
        differs += differing_shapes(checkpoint["state_dict"], self.state_dict())
        if differs:
            raise UserError(f"the checkpoint does not fit the configured model: {'; '.join(differs)}")
        if type(self).configure_optimizers is VideoClassifier.configure_optimizers:
            translate_plateau(checkpoint, self.recipe.learning_rate)
