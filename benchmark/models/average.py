"""The mean of several trained networks' class probabilities (section 4.1, the last row of Table 1).

Letters: B clips, T frames, S side of the input in pixels, K classes.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

import torch
from torch import Tensor, nn

from benchmark.class_options import subclasses
from benchmark.clip import ClipBatch, FeatureBatch, cut_view
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.models.options import stored_options, stored_shape
from benchmark.models.recipe import Recipe
from benchmark.models.stored import network_from, read_checkpoint, stored_class
from benchmark.models.video_classifier import VideoClassifier
from benchmark.wording import counted

KEY = "average"
"""Of the members in a checkpoint of an average."""


UNTRAINABLE = (
    "an Average is not trained: fit each member by itself, then test, validate or predict with "
    "--model Average --model.checkpoints [A.ckpt,B.ckpt]"
)


_OF_A_MEMBER = {"name": str, "sha256": str, "shape": dict, "options": dict, "share": float}


def stored_members(checkpoint: Mapping[str, Any], where: str) -> list[dict[str, Any]] | None:
    """What the checkpoint of an average says of its members, as `packed` wrote it; None of another network's.

    Args:
        checkpoint: What the file holds.
        where: What messages call it.

    Raises:
        UserError: If it says something else.
    """
    members = checkpoint.get(KEY)
    if members is None:
        return None
    if not (isinstance(members, list) and len(members) > 1 and all(map(_is_member, members))):
        raise UserError(
            f"{where} is an average, and its list of members is damaged; average them again: "
            "test --model Average --model.checkpoints [A.ckpt,B.ckpt]"
        )
    return members


def _is_member(held: object) -> bool:
    if not isinstance(held, dict) or not all(isinstance(held.get(n), kind) for n, kind in _OF_A_MEMBER.items()):
        return False
    is_hash, name = re.fullmatch("[0-9a-f]{64}", held["sha256"]) is not None, held["shape"].get("class")
    return is_hash and 0 <= held["share"] <= 1 and isinstance(name, str) and name.isidentifier()


@dataclasses.dataclass(frozen=True)
class Part:
    """One trained network, as its checkpoint holds it.

    Args:
        name: Its file.
        sha256: Of that file.
        shape: Its class, and the options that shape it.
        options: All that it was built with.
        weights: Its tensors by name.
        class_names: In the order of its outputs; empty where the checkpoint does not say.
        share: Of the average, 0 to 1.
    """

    name: str
    sha256: str
    shape: dict[str, Any]
    options: dict[str, Any]
    weights: dict[str, Tensor]
    class_names: tuple[str, ...]
    share: float


def read_parts(checkpoints: Sequence[Path], weights: Sequence[float] | None = None) -> list[Part]:
    """The networks of several checkpoints; of an average's own checkpoint, its members.

    Args:
        checkpoints: Files that fits have written.
        weights: Of each, 0 or more; None weighs all alike. They are divided by their sum.

    Raises:
        UserError: If a file is no checkpoint, there are too few, or they have other classes.
    """
    if weights is not None and not _are_weights(weights, len(checkpoints)):
        raise UserError(
            f"model.weights is {list(weights)}; give {len(checkpoints)} numbers, one for each of model.checkpoints, "
            "each 0 or more and not all 0, or null for the plain mean"
        )
    weighed = [1.0] * len(checkpoints) if weights is None else list(weights)
    parts = [
        dataclasses.replace(part, share=part.share * weight / math.fsum(weighed))
        for path, weight in zip(checkpoints, weighed, strict=True)
        for part in _parts_of(path)
    ]
    if len(parts) < 2:
        raise UserError(f"model.checkpoints names {counted(len(parts), 'network')}; an average is of two or more")
    first = parts[0]
    for part in parts:
        if part.class_names != first.class_names:
            raise UserError(
                f"{part.name} of model.checkpoints has other classes than {first.name}, or the same in another order; "
                "average networks that were trained for the same classes"
            )
    return parts


def _are_weights(weights: Sequence[float], checkpoints: int) -> bool:
    is_each = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    return len(weights) == checkpoints and is_each and sum(weights) > 0


def _parts_of(path: Path) -> list[Part]:
    held = read_checkpoint(str(path), "model.checkpoints")
    shape = stored_shape(held)
    if shape is None:
        raise UserError(f"{path} of model.checkpoints does not say of which network it is; give a checkpoint of a fit")
    names = tuple(held.get("class_names") or ())
    members = stored_members(held, f"{path} of model.checkpoints")
    if members is None:
        return [Part(str(path), file_hash(path), shape, stored_options(held), held["state_dict"], names, 1.0)]
    prefixes = [f"members.{number}." for number in range(len(members))]
    weights = [
        {name.removeprefix(start): value for name, value in held["state_dict"].items() if name.startswith(start)}
        for start in prefixes
    ]
    return [
        Part(each["name"], each["sha256"], each["shape"], each["options"], tensors, names, each["share"])
        for each, tensors in zip(members, weights, strict=True)
    ]


def packed(parts: Sequence[Part]) -> dict[str, Any]:
    """What a checkpoint of their average holds: all weights, what each network was built with, and its share."""
    return {
        "state_dict": {
            f"members.{number}.{name}": value
            for number, part in enumerate(parts)
            for name, value in part.weights.items()
        },
        "architecture": _shape(parts),
        "class_names": list(parts[0].class_names),
        KEY: [
            {
                "name": Path(part.name).name,
                "sha256": part.sha256,
                "shape": part.shape,
                "options": part.options,
                "share": part.share,
            }
            for part in parts
        ],
    }


def _shape(parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "class": Average.__name__,
        "members": [part.shape for part in parts],
        "shares": [part.share for part in parts],
    }


class Average(VideoClassifier):
    """The mean of the class probabilities of networks that are trained already, each with the pixels it was trained on.

    The members read one decode: the frames that any of them wants, whole; each takes its own frames and cuts its own
    views from them. It is tested, and cannot be trained.

    Args:
        num_classes: K.
        checkpoints: Of the members, two or more; or one that an average has left.
        weights: Of each, 0 or more; None is the plain mean.
        classes: Classes of members that are neither of this package nor of a plugin, as in `my_file.MyModel`.

    Raises:
        UserError: If members have other classes or clips, or one cannot be built.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        checkpoints: Sequence[Path],
        weights: Sequence[float] | None = None,
        classes: Sequence[type[VideoClassifier]] = (),
    ) -> None:
        super().__init__(num_classes, Recipe())
        self.parts = read_parts([Path(path) for path in checkpoints], weights)
        self.members = nn.ModuleList(_built(part, num_classes, classes) for part in self.parts)
        self.shares = [part.share for part in self.parts]
        self.parts = [dataclasses.replace(part, weights={}) for part in self.parts]  # the members hold them
        spans = {part.name: member.clip_frames for part, member in zip(self.parts, self.networks, strict=True)}
        if len(set(spans.values())) > 1:
            said = ", ".join(f"{name} of {counted(frames, 'frame')}" for name, frames in spans.items())
            raise UserError(f"members of an average must score the same clips; {said}")
        self.clip_frames = next(iter(spans.values()))
        self.frame_offsets = tuple(sorted({offset for member in self.networks for offset in member.frame_offsets}))
        self.input_side = max(member.input_side for member in self.networks)
        for number, member in enumerate(self.networks):  # buffers, so that they go where the weights go
            wanted = [self.frame_offsets.index(offset) for offset in member.frame_offsets]
            self.register_buffer(f"places_{number}", torch.tensor(wanted), persistent=False)

    @classmethod
    def _stored(cls, checkpoint: Mapping[str, Any], path: str, given: Mapping[str, Any]) -> Self:
        return cls(len(checkpoint["class_names"]), checkpoints=[Path(path)], **given)

    @property
    def networks(self) -> list[VideoClassifier]:
        """The members."""
        return [member for member in self.members if isinstance(member, VideoClassifier)]

    @property
    def _places(self) -> list[Tensor]:
        """Of each member the places of its frames, (T,) int64, among those that are read."""
        return [self.get_buffer(f"places_{number}") for number in range(len(self.members))]

    @property
    def shape(self) -> dict[str, Any]:
        """Its members and their shares, wherever their files are."""
        return _shape(self.parts)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, S, S, 3) uint8 RGB, of which each member sees its centre, to logits (B, K): logarithms of the mean."""

        def scored(member: VideoClassifier, frames: Tensor) -> Tensor:
            return member.logits(cut_view(frames, "centre", member.input_side)).float().softmax(1)

        mean = self._mean(scored, clips)
        return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()

    def clip_probabilities(self, batch: ClipBatch | FeatureBatch) -> Tensor:
        """(B, K) float32: the weighted mean of what each member gives for its own views of the clips."""
        if isinstance(batch, FeatureBatch):
            raise TypeError("an average has no features")
        return self._mean(lambda member, frames: member.clip_probabilities(_with(batch, frames)), batch.frames)

    def _mean(self, scored: Callable[[VideoClassifier, Tensor], Tensor], frames: Tensor) -> Tensor:
        """Weighted mean of the members' probabilities, each of its own frames among (B, T, H, W, 3)."""
        total = frames.new_zeros((len(frames), self.num_classes), dtype=torch.float32)
        for member, share, places in zip(self.networks, self.shares, self._places, strict=True):
            reads_all = tuple(member.frame_offsets) == self.frame_offsets
            own = frames if reads_all else frames.index_select(1, places)
            total = total + share * scored(member, own)
        return total

    def compile_for(self, batches: Any) -> None:
        """Let PyTorch compile each member."""
        for member in self.networks:
            member.compile_for(batches)

    def configure_optimizers(self) -> NoReturn:
        """There is nothing to train.

        Raises:
            UserError: Always.
        """
        raise UserError(UNTRAINABLE)


def _with(batch: ClipBatch, frames: Tensor) -> ClipBatch:
    return batch if frames is batch.frames else dataclasses.replace(batch, frames=frames)


def _built(part: Part, num_classes: int, classes: Sequence[type[VideoClassifier]]) -> VideoClassifier:
    """The network of a checkpoint, with its weights."""
    name = str(part.shape.get("class"))
    cls = stored_class(part.shape, part.options, [*subclasses(VideoClassifier), *classes])
    if cls is None:
        path = part.options.get("_class_path", name)
        raise UserError(
            f"{part.name} of model.checkpoints is a {name}, and no such class is known here; name it: "
            f"--model.classes [{path}]"
        )
    if issubclass(cls, Average):  # whose own members `read_parts` has taken in its place
        raise UserError(f"{part.name} of model.checkpoints is an average within an average; give its members instead")
    held = part.options.get("num_classes", num_classes)
    if held != num_classes:
        raise UserError(
            f"{part.name} of model.checkpoints was trained for "
            f"{counted(held, 'class')}, and the data have {num_classes}"
        )
    options = {**part.options, "num_classes": num_classes}
    return network_from(cls, options, part.weights, where=f"{part.name} of model.checkpoints", keep=frozenset())
