"""Carrying a network over to other classes: which layers are trained, and from which weights (section 5).

The layer groups of an architecture, bottom to top, are all it takes, so this works for any architecture.
"""

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import lightning as L
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.dropout import _DropoutNd

from benchmark.changes import changes
from benchmark.errors import UserError
from benchmark.models.options import differing, differing_shapes, stored_shape
from benchmark.runs.provenance import ContaminationGuard, SeenVideos
from benchmark.transfer.regimes import REGIMES, Regime

_KEY = "transfer"
_TRAINED_GROUPS: dict[Regime, int | None] = {"scratch": None, "top": 1, "top3": 3, "all": None}
_FACTS: dict[str, type | tuple[type, ...]] = {
    "regime": str,
    "keep_probability": float,
    "feature_draws": int,
    "pretrained_sha256": (str, type(None)),
}


@dataclasses.dataclass(frozen=True)
class Transfer:
    """How a fit carries a trained network over to the classes of its data; a fit without a regime is an ordinary one.

    Args:
        regime: Layers to train: `top` the new classifier alone, `top3` it and the two layers below, `all` every layer,
            each from the pretrained weights; `scratch` every layer from fresh ones.
        pretrained: Checkpoint of the same architecture, trained on any classes.
        keep_probability: Chance of keeping a unit in front of every trained fully connected layer, above 0 to 1.
        feature_draws: Random crops and flips of each clip in which what the frozen layers make of it is worked out
            once and stored, 4 or more; 0 runs the whole network in every step.
        cache: Folder in which those features are kept, each set in a folder of its own, for other fits with the same
            frozen layers and clips; in the run folder, and removed in the end, by default.
        cache_gb: Most that they may take, in 10^9 bytes.

    Raises:
        UserError: If a value is out of range, or regime and pretrained weights do not go together.
    """

    regime: Regime | None = None
    pretrained: Path | None = None
    keep_probability: float = 0.5
    feature_draws: int = 4
    cache: Path | None = None
    cache_gb: float = 8.0

    def __post_init__(self) -> None:
        if self.regime is not None and self.regime not in REGIMES:
            raise UserError(f"transfer.regime is {self.regime!r}; allowed are {', '.join(REGIMES)}")
        if self.regime is None and self.pretrained is not None:
            raise UserError(f"transfer.pretrained is given without transfer.regime; name one of {', '.join(REGIMES)}")
        if self.regime == "scratch" and self.pretrained is not None:
            raise UserError(
                "transfer.regime is scratch, which begins with fresh weights; leave out transfer.pretrained"
            )
        if self.regime not in {None, "scratch"} and self.pretrained is None:
            raise UserError(f"transfer.regime is {self.regime}; give the weights to begin with as transfer.pretrained")
        if not 0 < self.keep_probability <= 1:
            raise UserError(f"transfer.keep_probability is {self.keep_probability}; it is a chance above 0 and up to 1")
        if self.feature_draws != 0 and self.feature_draws < 4:
            raise UserError(
                f"transfer.feature_draws is {self.feature_draws}; it must be 4 or more, so that stored features do not "
                "freeze the augmentation, or 0 to store none"
            )
        if not self.cache_gb > 0:
            raise UserError(f"transfer.cache_gb is {self.cache_gb}; it must be above 0")


def transfer_facts(checkpoint: dict[str, Any]) -> dict[str, Any] | None:
    """How a checkpoint says that it was carried over, or None if it says nothing that can be understood."""
    held = checkpoint.get(_KEY)
    is_whole = (
        isinstance(held, dict)
        and held.keys() == _FACTS.keys()
        and all(isinstance(held[name], kind) for name, kind in _FACTS.items())
        and held["regime"] in REGIMES
    )
    return dict(cast(dict[str, Any], held)) if is_whole else None


class TransferRegime(L.Callback):
    """Begins with pretrained weights, freezes what the regime does not train, and puts dropout where it does.

    Frozen layers get no gradient, do not enter the optimiser, and stay in evaluation mode. No parameter changes its
    name, so resuming and testing take the architecture as it is.

    Args:
        transfer: What to do, with a regime.
        checkpoint: The pretrained checkpoint, or None for `scratch`.
        resumed: The checkpoint that this fit goes on from, or None.
        pretrained_sha256: Of the pretrained file.

    Raises:
        UserError: If the fit goes on from one that was carried over otherwise; in `setup`, if the checkpoint is of
            another architecture, or the network begins with other weights or has too few layer groups.
    """

    def __init__(
        self,
        transfer: Transfer,
        checkpoint: dict[str, Any] | None,
        resumed: dict[str, Any] | None = None,
        pretrained_sha256: str | None = None,
    ) -> None:
        if transfer.regime is None:
            raise ValueError("a transfer without a regime")
        self.transfer, self.regime, self.checkpoint = transfer, transfer.regime, checkpoint
        self.facts = {
            "regime": transfer.regime,
            "keep_probability": float(transfer.keep_probability),
            "feature_draws": transfer.feature_draws,
            "pretrained_sha256": pretrained_sha256,
        }
        if resumed is not None:
            require_same(transfer_facts(resumed), self.facts)
        self._frozen: list[nn.Module] = []
        self._is_ready = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Load, freeze and put dropout in place, before the optimiser is made."""
        if stage != "fit" or self._is_ready:
            return
        network = cast(Any, pl_module)
        groups: list[list[nn.Parameter]] = [list(group) for group in network.layer_groups]
        require_carried(network, groups, self.regime)
        if self.checkpoint is not None:
            load_lower_groups(network, groups, self.checkpoint, self.transfer.pretrained)
        count = _TRAINED_GROUPS[self.regime] or len(groups)
        frozen = [parameter for group in groups[: len(groups) - count] for parameter in group]
        for parameter in frozen:
            parameter.requires_grad_(False)
        self._frozen = list(frozen_modules(pl_module)) if frozen else []
        self._still()
        dropped = place_dropout(pl_module, groups[-1], 1 - self.transfer.keep_probability)
        self._is_ready = True
        warnings.filterwarnings("ignore", r".*module\(s\) in eval mode at the start of training.*")  # it is meant so
        if trainer.is_global_zero:
            trained = sum(parameter.numel() for parameter in pl_module.parameters() if parameter.requires_grad)
            total = sum(parameter.numel() for parameter in pl_module.parameters())
            print(
                f"{REGIMES[self.regime]}: {count} of {len(groups)} layer groups, {trained:,} of {total:,} parameters; "
                f"{self.transfer.keep_probability:.0%} of the units are kept in front of {dropped} layers",
                flush=True,
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Frozen layers stay in evaluation mode."""
        self._still()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Also where something has called `train()` in between."""
        self._still()

    def _still(self) -> None:
        for module in self._frozen:
            module.eval()

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let the weights say how they were made."""
        checkpoint[_KEY] = dict(self.facts)


def transfer_callbacks(
    transfer: Transfer,
    checkpoint: dict[str, Any] | None,
    resumed: dict[str, Any] | None,
    seen: SeenVideos,
    pretrained_sha256: str | None,
    *,
    allow_contaminated: bool,
) -> list[L.Callback]:
    """What a fit needs to carry a network over.

    Args:
        transfer: What to do.
        checkpoint: The pretrained checkpoint, or None.
        resumed: The checkpoint that this fit goes on from, or None.
        seen: Told what the pretrained weights have seen.
        pretrained_sha256: Of the pretrained file.
        allow_contaminated: Go on even if the pretrained weights have seen test videos.

    Raises:
        UserError: If an ordinary fit goes on from one that was carried over, or the other way round.
    """
    if transfer.regime is None:
        if resumed is not None:
            require_same(transfer_facts(resumed), None)
        return []
    found: list[L.Callback] = [TransferRegime(transfer, checkpoint, resumed, pretrained_sha256)]
    if checkpoint is not None:
        seen.inherit(checkpoint)
        # What the test would refuse in the end is refused before training.
        found.insert(0, ContaminationGuard(checkpoint, allowed=allow_contaminated))
    return found


def require_same(held: dict[str, Any] | None, mine: dict[str, Any] | None) -> None:
    """Refuse to go on with a fit that was carried over in another way.

    Raises:
        UserError: With what differs.
    """
    named = [
        {f"transfer.{name.removesuffix('_sha256')}": (facts or {}).get(name) for name in _FACTS}
        for facts in (held, mine)
    ]
    if differs := changes(*named):
        raise UserError(
            f"this fit cannot go on from --ckpt_path: {'; '.join(differs)}. Give the options of its beginning"
        )


def require_carried(network: Any, groups: list[list[nn.Parameter]], regime: Regime) -> None:
    """Refuse a network that cannot be trained as a regime says.

    Raises:
        UserError: If it begins with weights of its own, or has too few layer groups for the regime to leave one frozen.
    """
    name, trained = type(network).__name__, _TRAINED_GROUPS[regime]
    if isinstance(getattr(network, "weights", None), str | Path):
        raise UserError(
            f"model.weights is {network.weights}, and transfer.regime {regime} says which weights to begin with; leave "
            "model.weights at null. To carry published weights over, train with them once by `fit`, and give its "
            "checkpoint as --pretrained of `transfer`, or as --transfer.pretrained of `fit`"
        )
    if regime != "scratch" and len(groups) < 2:
        raise UserError(
            f"{name} is a single layer group, the classifier, so no weights can be carried over; let its layer_groups "
            "name the layers below"
        )
    if trained is not None and len(groups) <= trained:
        raise UserError(
            f"transfer.regime is {regime}, and {name} has {len(groups)} layer groups, so that every layer would "
            "be trained; take the regime all or top, or let its layer_groups name more layers"
        )


def load_lower_groups(
    network: Any, groups: list[list[nn.Parameter]], checkpoint: dict[str, Any], path: Path | None
) -> None:
    """Load everything but the last layer group, whose classes are others.

    Raises:
        UserError: If the checkpoint is of another architecture, naming what differs.
    """
    held, mine = stored_shape(checkpoint), {n: v for n, v in network.shape.items() if n != "num_classes"}
    if held is None:
        raise UserError(f"transfer.pretrained {path} does not say of which architecture it is; give one of a fit")
    top = {id(parameter) for parameter in groups[-1]}
    new = {name for name, parameter in network.named_parameters() if id(parameter) in top}
    stored: dict[str, Tensor] = {name: v for name, v in checkpoint["state_dict"].items() if name not in new}
    present = {name: value for name, value in network.state_dict().items() if name not in new}
    differs = differing(held, mine) or differing_shapes(stored, present)
    if differs:
        raise UserError(f"transfer.pretrained {path} does not fit the configured model: {'; '.join(differs)}")
    network.load_state_dict(stored, strict=False)


def frozen_modules(module: nn.Module, beside_frozen: bool = False) -> Iterator[nn.Module]:
    """The largest modules without a trained parameter: frozen ones, and those without any parameter beside them."""
    parameters = list(module.parameters())
    if any(parameter.requires_grad for parameter in parameters):
        partly = not all(parameter.requires_grad for parameter in parameters)
        for child in module.children():
            yield from frozen_modules(child, partly)
    elif parameters or beside_frozen:
        yield module


def place_dropout(network: nn.Module, last_group: list[nn.Parameter], drop: float) -> int:
    """Switch the network's own dropout off, and drop units in front of every trained fully connected layer.

    A 1x1 convolution of the last group is a fully connected layer too, as some networks write their classifier.

    Args:
        network: Its parameters say whether they are trained.
        last_group: Parameters of the layer that makes the logits.
        drop: Chance of dropping a unit.

    Returns:
        The number of layers that dropout comes before.
    """
    top, layers = {id(parameter) for parameter in last_group}, 0
    for module in network.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        own = list(module.parameters(recurse=False))
        is_linear = isinstance(module, nn.Linear)
        is_linear |= (
            isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
            and set(module.kernel_size) == {1}
            and any(id(parameter) in top for parameter in own)
        )
        if is_linear and all(parameter.requires_grad for parameter in own):
            module.register_forward_pre_hook(_Dropped(drop))
            layers += 1
    return layers


class _Dropped:
    """Dropout on the input of a layer while that is in training mode."""

    def __init__(self, drop: float) -> None:
        self.drop = drop

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not module.training or not self.drop:
            return None
        return F.dropout(inputs[0], self.drop, training=True), *inputs[1:]
