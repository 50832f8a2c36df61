"""What the processes of a run tell each other while it runs: collective, and the same where there is only one."""

from typing import Any, TypeVar, cast

import lightning as L
import torch.distributed

_T = TypeVar("_T")


def of_all(held: _T, trainer: L.Trainer) -> list[_T]:
    """What each process holds, in the order of their ranks; all of them must come here.

    Processes that are no group, as replicas that train without waiting for each other, hold what they hold.
    """
    if trainer.world_size == 1 or not torch.distributed.is_initialized():
        return [held]
    parts = [held] * trainer.world_size
    torch.distributed.all_gather_object(parts, held)
    return parts


def from_one(held: _T, trainer: L.Trainer, rank: int = 0) -> _T:
    """What one process holds, usually the first; all of them must come here."""
    if trainer.world_size == 1:
        return held
    told: Any = trainer.strategy.broadcast(held, rank)
    return cast(_T, told)
