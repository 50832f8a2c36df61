"""What a checkpoint was trained on travels with it, and no test may use any of that, under any name.

A video is (dataset, video id), a source (dataset, class/gNN); both are kept as 64-bit hashes. Beside them is what the
videos show, see `seen_content`.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.results.record import ContentCheck, Provenance
from benchmark.runs.seen_content import Overlap, Parts, joined, overlap, own_content, packed, unpacked
from benchmark.runs.weights_origin import find_origins, is_loaded, leave_origin, marks_of
from benchmark.wording import counted, say

_KEY = "provenance"
_NAMED = 5
_OVERRIDE = "pass --allow_contaminated true to `fit` and `test`, which marks the record as contaminated"


def seen_hash(kind: Literal["video", "source"], dataset: str, name: str) -> int:
    """Signed 64-bit hash of a video or of a source group."""
    digest = hashlib.blake2b(f"{kind}\0{dataset}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class SeenVideos(L.Callback):
    """Writes into every checkpoint which videos and source groups it, or what it began from, was trained or chosen on.

    Weights that came without this knowledge stay unknown for good; those that a fit on this machine made are known by
    their numbers, however the network came by them.
    """

    def __init__(self) -> None:
        self.inherited = torch.empty(0, dtype=torch.int64)
        self.trained_before = torch.empty(0, dtype=torch.int64)
        self.content: Parts = {}
        self.is_known = True
        self._own: dict[str, Tensor] | None = None
        self._begun_with: frozenset[int] = frozenset()

    def inherit(self, checkpoint: dict[str, Any]) -> None:
        """Take over what the weights that a run begins with have seen."""
        held = _provenance(checkpoint)
        if held is None:
            self.is_known = False
        else:
            self.is_known = self.is_known and held["is_known"]
            self.inherited = torch.unique(torch.cat([self.inherited, held["seen"]]))
            self.trained_before = torch.unique(torch.cat([self.trained_before, _trained(held)]))
            self.content = joined(self.content, unpacked(held.get("content")))

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find out where the network's weights come from, and what the videos of the fit show."""
        if stage != "fit" or self._own is not None:
            return
        network: Any = pl_module
        named = getattr(network, "weights_provenance", None)
        found = [named] if named is not None else find_origins(network)
        for provenance in found:
            self.inherit({_KEY: provenance})
        if found:
            network.begins_with_published_weights = False  # where they come from is known better now
        elif not network.begins_with_published_weights and is_loaded(network):
            self.is_known = False
            if trainer.is_global_zero:
                print(
                    f"{type(network).__name__} begins with the same weights whatever the seed, so they were loaded "
                    "from elsewhere; what they have seen is recorded as unknown",
                    flush=True,
                )
        self._begun_with = marks_of(network)
        data = trainer.datamodule  # type: ignore[attr-defined]
        hashes = {split: _hashes(data.index, (split,)) for split in ("train", "validation")}
        self._own = {"seen": torch.cat([*hashes.values()]), "trained": hashes["train"]}
        if trainer.local_rank == 0:
            own_content(data)  # the other processes of the machine find it in the store
        trainer.strategy.barrier("content")
        self.content = joined(self.content, own_content(data))

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note everything seen so far."""
        if self._own is None:
            hashes = _hashes(trainer.datamodule.index, ("train", "validation"))  # type: ignore[attr-defined]
            self._own = {"seen": hashes, "trained": hashes}
        checkpoint[_KEY] = {
            "is_known": self.is_known,
            "seen": torch.unique(torch.cat([self.inherited, self._own["seen"]])),
            "trained": torch.unique(torch.cat([self.trained_before, self._own["trained"]])),
            "content": packed(self.content),
        }
        changed = marks_of(pl_module) - self._begun_with
        if trainer.is_global_zero and changed:
            is_known = self.is_known and not getattr(pl_module, "begins_with_published_weights", False)
            leave_origin(str(trainer.default_root_dir), changed, {**checkpoint[_KEY], "is_known": is_known})


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


def _trained(held: dict[str, Any]) -> Tensor:
    """What it was trained on; of older checkpoints also what they were chosen on, which cannot be told from it."""
    trained = held.get("trained")
    return trained if isinstance(trained, Tensor) and trained.dtype == torch.int64 else held["seen"]


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


def union_of(checkpoints: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several checkpoints together have seen, as one would hold it."""
    seen = SeenVideos()
    for checkpoint in checkpoints:
        seen.inherit(checkpoint)
    return {
        "is_known": seen.is_known,
        "seen": seen.inherited,
        "trained": seen.trained_before,
        "content": packed(seen.content),
    }


def own_provenance(checkpoint: dict[str, Any]) -> Provenance:
    """What a checkpoint that has seen no test video is: one that names nothing it has seen does not say."""
    held = _provenance(checkpoint)
    return "clean" if held is not None and held["is_known"] and len(held["seen"]) else "unknown"


def declared_share(checkpoint: dict[str, Any], index: Any) -> float:
    """Share of the training videos and sources of an index that a checkpoint names, 0 to 1."""
    held, declared = _provenance(checkpoint), _hashes(index, ("train", "validation"))
    return 0.0 if held is None or not len(declared) else float(torch.isin(declared, held["seen"]).float().mean())


def find_seen(checkpoint: dict[str, Any], index: Any, split: str = "test") -> list[str]:
    """Names of the videos of a split, and of their source groups, that a checkpoint has seen.

    Of the validation videos only those that it was trained on; it may be chosen on them.
    """
    held = _provenance(checkpoint)
    if held is None:
        return []
    seen = set((held["seen"] if split == "test" else _trained(held)).tolist())
    return [name for name, hashed in _named_hashes(index, split) if hashed in seen]


def find_seen_content(checkpoint: dict[str, Any], data: Any, split: str = "test") -> Overlap:
    """The same by content."""
    held = _provenance(checkpoint)
    return overlap(unpacked((held or {}).get("content")), data, split, only_trained=split != "test")


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
        self.content: ContentCheck | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare what it has seen with the test videos, by name and by content."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        index = data.index
        found = find_seen(self.checkpoint, index)
        if trainer.local_rank == 0 and not found:
            find_seen_content(self.checkpoint, data)
        trainer.strategy.barrier("content of the test")
        same = find_seen_content(self.checkpoint, data)
        self.content = ContentCheck(
            videos=same.videos, by_bytes=same.by_bytes, by_print=same.by_print, against=same.against,
            same_file=len(same.same_file), alike=len(same.alike),
        )  # fmt: skip
        message = None
        if found:
            videos = [name for name in found if not name.startswith("source group ")]
            sources = [name for name in found if name.startswith("source group ")]
            message = (
                f"the checkpoint was trained or validated on {len(videos)} of the "
                f"{counted(len(index.rows('test')), 'test video')}"
                f" of {index.identity} and on videos of {len(sources)} of their source groups"
                f" ({', '.join([*videos[:_NAMED], *sources[:_NAMED]])}, ...); test it on the fold it was trained for"
            )
        elif same.is_too_much:
            message = (
                f"the checkpoint was trained or validated on the content of test videos of {index.identity}, under "
                f"whatever names: {same}; test it on videos that it has not seen"
            )
        if message is not None:
            if not self.allowed:
                raise UserError(f"{message}, or {_OVERRIDE}; in a grid of `transfer`, leave the fold out of grid.folds")
            if trainer.is_global_zero:
                say(f"warning: {message}; the record will say contaminated")
            self.provenance = "contaminated"
            return
        if trainer.is_global_zero and stage == "test":
            say("leak check by name: the weights saw no test video, and no other video of its source")
            say(f"leak check by content: {same.checked}")
            if same.found:
                say(f"  the same content was seen: {same}; {same.why_allowed}")
        self.provenance = own_provenance(self.checkpoint)


class OwnSplits(L.Callback):
    """Refuses a fit whose training or validation videos are in its own test split under other names.

    What the test would refuse in the end is refused before training. Validation videos that show what training videos
    show are a warning, and a data set without any is said. Official lists are left as they are: the test says what
    they share.

    Args:
        allowed: Go on nevertheless.

    Raises:
        UserError: In `setup`, with names.
    """

    def __init__(self, *, allowed: bool) -> None:
        self.allowed = allowed

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare the splits, after `SeenVideos` has had the contents worked out."""
        if stage != "fit":
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        is_official = data.index.official_videos is not None
        own = {} if is_official else own_content(data)
        tested = overlap(own, data, "test")
        if tested.is_too_much and not self.allowed:
            raise UserError(
                f"training or validation videos of {data.index.identity} are in its test split too, by their content: "
                f"{tested}. `clipbench audit` with the same --data lists the pairs; leave one of each out, "
                f"or {_OVERRIDE}"
            )
        if not trainer.is_global_zero:
            return
        if tested.found:
            say(f"warning: test videos show what training or validation videos show: {tested}")
        if not len(data.index.rows("validation")):
            say("no validation split: nothing is validated, and no best.ckpt is chosen; last.ckpt is kept")
            return
        validated = overlap(own, data, "validation", only_trained=True)
        if validated.found:
            say(f"warning: validation flatters, as it shows what training videos show: {validated}")


class ValidationNotice(L.Callback):
    """Says where a checkpoint is validated on videos that it was trained on.

    Args:
        checkpoint: What is validated.
    """

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        self.checkpoint = checkpoint

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare by name, then by content."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        named = find_seen(self.checkpoint, data.index, "validation")
        same = find_seen_content(self.checkpoint, data, "validation")
        if not trainer.is_global_zero or not (named or same.found):
            return
        videos = [name for name in named if not name.startswith("source group ")]
        what = str(same)
        if named:
            what = (
                f"{len(videos)} of {counted(same.videos, 'video')}, or their sources: {', '.join(named[:_NAMED])}, ..."
            )
        say(f"notice: the checkpoint was trained on what it is validated on here: {what}")
