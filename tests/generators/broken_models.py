"""Architectures with one fault each, so that every check can be seen to fail; and a sound one."""

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models.recipe import Recipe
from benchmark.models.video_classifier import VideoClassifier

SIDE = 16
K = 5


class Sound(VideoClassifier):
    """Means of the colours of two frames, a hidden layer, logits."""

    frame_offsets: tuple[int, ...] = (0, 15)
    input_side: int = SIDE

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe)
        self.hidden = nn.Linear(6, 8)
        self.norm = nn.LayerNorm(8)
        self.classifier = nn.Linear(8, num_classes)

    def features(self, clips: Tensor) -> Tensor:
        means = clips.float().mean((2, 3)).flatten(1)
        hidden: Tensor = self.norm(self.hidden((means - 117) / 58))
        return hidden

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 2, 16, 16, 3) uint8 to logits (B, K)."""
        logits: Tensor = self.classifier(self.features(clips))
        return logits


class OutsideTheClip(Sound):
    frame_offsets = (0, 16)


class OneNumber(Sound):
    frame_offsets = 8  # type: ignore[assignment]


class TooLarge(Sound):
    input_side = 224


class OneLogitTooMany(Sound):
    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.classifier = nn.Linear(8, num_classes + 1)


class OtherSide(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips.view(-1, 2, 17, 17, 3))


class NotFinite(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips) / 0.0


class NeedsClips(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips) - clips.max() * 0


class BatchNorm(Sound):
    """Refuses a single clip in training."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.norm = nn.BatchNorm1d(8)  # type: ignore[assignment]


class ChangesItsInput(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips.clamp_(min=50))


class IdleFrame(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips[:, :1].expand(-1, 2, -1, -1, -1))


class IdleParameter(Sound):
    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.idle = nn.Linear(2, 2)
        self.classifier = nn.Linear(8, num_classes)


class Detached(Sound):
    def features(self, clips: Tensor) -> Tensor:
        return super().features(clips).detach()


class WildGradient(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        logits = super().forward(clips)
        return logits + torch.sqrt((logits - logits.detach()).abs())


class SystemNoise(Sound):
    """Initial weights that no seed repeats."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4)))
        nn.init.normal_(self.hidden.weight, generator=generator)


class RandomTraining(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        noise = int.from_bytes(os.urandom(2)) / 2**16 if self.training else 0.0
        return super().forward(clips) + noise


class RandomBehindZero(Sound):
    """Noise that a last layer of zeros does not let through before it is trained."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        nn.init.zeros_(self.classifier.weight)

    def features(self, clips: Tensor) -> Tensor:
        return super().features(clips) + (int.from_bytes(os.urandom(2)) / 2**16 if self.training else 0.0)


class RandomEvaluation(Sound):
    def forward(self, clips: Tensor) -> Tensor:
        return F.dropout(super().forward(clips), 0.5, training=True)


class HiddenState(Sound):
    """A tensor that the state does not hold."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.mix = torch.randn(8, 8)

    def features(self, clips: Tensor) -> Tensor:
        return super().features(clips) @ self.mix


class GrowingState(Sound):
    """A buffer whose shape depends on what it has seen."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.register_buffer("seen", torch.zeros(0))

    def forward(self, clips: Tensor) -> Tensor:
        self.seen = torch.zeros(len(clips))
        return super().forward(clips)


class LooksAtNeighbours(Sound):
    def features(self, clips: Tensor) -> Tensor:
        hidden = super().features(clips)
        return hidden - (hidden.mean(0) if len(hidden) else 0)


class GroupLacks(Sound):
    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(self.hidden.parameters()), list(self.classifier.parameters())]


class GroupTwice(Sound):
    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(self.parameters()), list(self.classifier.parameters())]


class GroupOrder(Sound):
    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [[*self.classifier.parameters(), *self.norm.parameters()], list(self.hidden.parameters())]


class GroupWhole(Sound):
    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(self.parameters())]


class LooseParameter(Sound):
    """Held by the network itself, which the default groups cannot place."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.scale = nn.Parameter(torch.ones(()))

    def features(self, clips: Tensor) -> Tensor:
        return super().features(clips) * self.scale


class WrongPrecision(Sound):
    """Insists on float32 where autocast hands on bfloat16."""

    def forward(self, clips: Tensor) -> Tensor:
        logits = super().forward(clips)
        return torch.zeros(logits.shape).index_put((torch.arange(len(logits)),), logits)


class NeverLearns(Sound):
    """Follows the gradient the wrong way."""

    def forward(self, clips: Tensor) -> Tensor:
        logits = super().forward(clips)
        return 2 * logits.detach() - logits


class Demanding(Sound):
    """An option of its own."""

    def __init__(self, num_classes: int, *, size: int, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.size = size


class NoClassifier:
    """Something else."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes: Any = num_classes


class TakenName(Sound):
    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.scores = nn.Linear(1, 1)  # type: ignore[assignment]


class NotBuilt(Sound):
    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        raise ZeroDivisionError("a constructor's own error")


class BeginsAtZero(Sound):
    """Sound: its logits are all zero until the first step."""

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe=recipe)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)


class OptimisersAndSchedules(Sound):
    """Sound: Lightning's two lists."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]


class NoOptimiser(Sound):
    def configure_optimizers(self) -> Any:
        return None


class OwnOptimiser(Sound):
    """Sound: chooses its optimiser and its schedule itself."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)}


class NeverStepped(Sound):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Forgotten."""


class RarelyNeverStepped(NeverStepped):
    def configure_optimizers(self) -> Any:
        held = super().configure_optimizers()
        held["lr_scheduler"]["frequency"] = 10
        return held


class RarelyStepped(Sound):
    """Sound: its scheduler is due less often than a check can wait for."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "frequency": 30}}
