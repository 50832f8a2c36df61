"""What a checkpoint was trained on travels with it, and no test may use any of that.

A video is (dataset, video id), a source (dataset, class/gNN); both are kept as 64-bit hashes.
"""

import hashlib
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.results.record import Provenance

_KEY = "provenance"
_NAMED = 5


def seen_hash(kind: Literal["video", "source"], dataset: str, name: str) -> int:
    """Signed 64-bit hash of a video or of a source group."""
    digest = hashlib.blake2b(f"{kind}\0{dataset}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class SeenVideos(L.Callback):
    """Writes into every checkpoint which videos and source groups it, or what it began from, was trained or chosen on.

    Weights that came without this knowledge stay unknown for good.
    """

    def __init__(self) -> None:
        self.inherited = torch.empty(0, dtype=torch.int64)
        self.is_known = True
        self._own: Tensor | None = None

    def inherit(self, checkpoint: dict[str, Any]) -> None:
        """Take over what the weights that a run begins with have seen."""
        held = _provenance(checkpoint)
        if held is None:
            self.is_known = False
        else:
            self.is_known = self.is_known and held["is_known"]
            self.inherited = torch.unique(torch.cat([self.inherited, held["seen"]]))

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note everything seen so far."""
        if self._own is None:
            self._own = _hashes(trainer.datamodule.index, ("train", "validation"))  # type: ignore[attr-defined]
        seen = torch.unique(torch.cat([self.inherited, self._own]))
        checkpoint[_KEY] = {"is_known": self.is_known, "seen": seen}


def _provenance(checkpoint: dict[str, Any]) -> dict[str, Any] | None:
    """What a checkpoint says that it has seen, or None if it says nothing that can be understood."""
    held = checkpoint.get(_KEY)
    is_whole = (
        isinstance(held, dict)
        and isinstance(held.get("is_known"), bool)
        and isinstance(held.get("seen"), Tensor)
        and held["seen"].dtype == torch.int64
    )
    return held if is_whole else None


def _hashes(index: Any, splits: tuple[str, ...]) -> Tensor:
    found = [hashed for split in splits for _, hashed in _named_hashes(index, split)]
    return torch.tensor(sorted(set(found)), dtype=torch.int64)


def _named_hashes(index: Any, split: str) -> list[tuple[str, int]]:
    """Names and hashes of the videos held in a split, and of their source groups."""
    part = index.table.select(["video_id", "source_group"]).take(index.rows(split))
    dataset = index.identity.dataset
    videos = part["video_id"].to_pylist()
    sources = sorted(set(part["source_group"].drop_null().to_pylist()))
    return [
        *((name, seen_hash("video", dataset, name)) for name in videos),
        *((f"source group {name}", seen_hash("source", dataset, name)) for name in sources),
    ]


def find_seen(checkpoint: dict[str, Any], index: Any) -> list[str]:
    """Names of the test videos and of their source groups that a checkpoint has seen."""
    held = _provenance(checkpoint)
    if held is None:
        return []
    seen = set(held["seen"].tolist())
    return [name for name, hashed in _named_hashes(index, "test") if hashed in seen]


class ContaminationGuard(L.Callback):
    """Refuses to test a checkpoint on videos, or on sources of videos, that it was trained or validated on.

    Args:
        checkpoint: What is tested.
        allowed: Go on nevertheless; the record then says contaminated.

    Raises:
        UserError: In `setup`, with names.
    """

    def __init__(self, checkpoint: dict[str, Any], *, allowed: bool) -> None:
        self.checkpoint, self.allowed = checkpoint, allowed
        self.provenance: Provenance = "unknown"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare what it has seen with the test videos."""
        index = trainer.datamodule.index  # type: ignore[attr-defined]
        found = find_seen(self.checkpoint, index)
        if found:
            videos = [name for name in found if not name.startswith("source group ")]
            sources = [name for name in found if name.startswith("source group ")]
            message = (
                f"the checkpoint was trained or validated on {len(videos)} of the {len(index.rows('test'))} test videos"
                f" of {index.identity} and on videos of {len(sources)} of their source groups"
                f" ({', '.join([*videos[:_NAMED], *sources[:_NAMED]])}, ...); test it on the fold it was trained for"
            )
            if not self.allowed:
                raise UserError(
                    f"{message}, or pass --allow_contaminated true to `fit` and `test`, which marks the record as "
                    "contaminated; in a grid of `transfer`, leave the fold out of grid.folds"
                )
            if trainer.is_global_zero:
                print(f"warning: {message}; the record will say contaminated", flush=True)
            self.provenance = "contaminated"
            return
        held = _provenance(self.checkpoint)
        self.provenance = "clean" if held is not None and held["is_known"] else "unknown"
