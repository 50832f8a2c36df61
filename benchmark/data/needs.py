"""What a data module needs to know of others: the network that is fed, and where it runs."""

import dataclasses
from typing import Protocol, Self, cast

import lightning as L

from benchmark.errors import UserError


class ModelNeeds(Protocol):
    """What a data module reads off the model: the frames of a clip and the side of its input.

    A model may also have `clip_frames`, where a clip of its own is longer than the 16 frames that others share.
    """

    @property
    def frame_offsets(self) -> tuple[int, ...]:
        """Frames it reads, counted from the first of a clip."""

    @property
    def input_side(self) -> int:
        """Pixels."""


@dataclasses.dataclass(frozen=True)
class ClipNeeds:
    """Needs of a network that is not there: by default every frame of a clip, as large as the paper's networks see it.

    Args:
        frame_offsets: Frames, counted from the first of a clip.
        input_side: Pixels.
        clip_frames: Frames of a clip.
    """

    frame_offsets: tuple[int, ...] = tuple(range(16))
    input_side: int = 170
    clip_frames: int = 16


def require_needs(model: object, side: int) -> ModelNeeds:
    """What a model declares.

    Args:
        model: A network, or `ClipNeeds`.
        side: Of the frames that its input is cut from, in pixels.

    Raises:
        UserError: If it declares nothing, or a side that cannot be cut.
    """
    missing = [name for name in ("frame_offsets", "input_side") if not hasattr(model, name)]
    if missing:
        raise UserError(
            f"{type(model).__name__} lacks {' and '.join(missing)}; a video model declares the frames it reads "
            "inside a clip and the side of its input in pixels"
        )
    needs = cast(ModelNeeds, model)
    if not 1 <= needs.input_side <= side:
        raise UserError(f"{type(model).__name__}.input_side is {needs.input_side}; it must be from 1 to {side}")
    return needs


def clip_frames(model: object, usual: int) -> int:
    """Frames of the clips that a model scores.

    Args:
        model: A network, or None.
        usual: Where it does not say.

    Raises:
        UserError: If what it says is no number of frames.
    """
    frames = getattr(model, "clip_frames", usual)
    if not isinstance(frames, int) or frames < 1:
        raise UserError(f"{type(model).__name__}.clip_frames is {frames!r}; it must be a whole number from 1")
    return frames


@dataclasses.dataclass(frozen=True)
class Process:
    """The process that loads, among those of a run.

    Args:
        rank: Its number.
        count: How many there are.
        local_rank: Its number among those of its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @classmethod
    def of(cls, trainer: L.Trainer | None) -> Self:
        """A Trainer's process; without one this process is alone."""
        return cls() if trainer is None else cls(trainer.global_rank, trainer.world_size, trainer.local_rank)

    @classmethod
    def scoring(cls, trainer: L.Trainer | None) -> Self:
        """Likewise among those that share the videos to score; under some strategies each process scores all."""
        is_alone = trainer is not None and getattr(trainer.strategy, "scores_alone", False)
        return cls() if is_alone else cls.of(trainer)
