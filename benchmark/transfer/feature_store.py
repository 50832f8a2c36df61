"""Works out once what frozen layers make of the clips, so that training above them runs on that alone.

Stored are the features in front of the first trained layer, of every (clip, draw of crop and flip) that the epochs of
the fit will visit, and of the validation clips; in the precision in which the network makes them. They lie in a folder
named by all that they are a function of, which appears whole or not at all.
Letters: N keys (row, clip, draw), B clips, F features.
"""

import contextlib
import dataclasses
import hashlib
import json
import pickle
import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from benchmark.clip import ClipBatch, Failure, FeatureBatch, cut_view
from benchmark.errors import UserError
from benchmark.files import UNFINISHED
from benchmark.runs.folder import keep
from benchmark.transfer.carrying import Transfer
from benchmark.transfer.stored_features import FeatureLoaders, StoredFeatures
from benchmark.wording import counted

_VALUES, _FACTS, _KEYS, _VALIDATION = "features.bin", "features.json", "keys.npy", "validation.pt"
_Store = tuple[Tensor, np.ndarray, dict[int, Failure], list[FeatureBatch]]


class FeatureStore(L.Callback):
    """Lets training and validation read stored features in place of frames, where the network can be split.

    Args:
        transfer: How many draws, where they are kept, and how large they may be.
        run_dir: In its folder `features` they lie during the fit if `transfer.cache` names no other.

    Raises:
        UserError: In `on_fit_start`, if they would be too large.
    """

    def __init__(self, transfer: Transfer, run_dir: Path) -> None:
        self.transfer = transfer
        self.run_dir = run_dir
        self.folder = transfer.cache or run_dir / "features"
        self.place: Path | None = None  # of this fit's own features, in that folder
        self.seconds = 0.0
        self.ends = contextlib.ExitStack()  # what is undone after a fit

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compute or find the features; the weights, also those of a resumed fit, are in place."""
        reason = self._reason_against(trainer, pl_module)
        if reason is not None:
            if trainer.is_global_zero:
                print(f"no features are stored ({reason}); every step runs the whole network", flush=True)
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        first_layer = first_trained_layer(pl_module)
        batches = data.training_batches(self.transfer.feature_draws)
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs >= 0 else 2**31
        keys = batches.keys(epochs)
        begun, facts = time.perf_counter(), self._facts(trainer, pl_module, first_layer, keys)
        self.place = self.folder / hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        found = _held(self.place, facts)
        if found is None:
            was_training = {module: module.training for module in pl_module.modules()}
            pl_module.eval()
            try:
                with torch.no_grad(), trainer.precision_plugin.val_step_context():
                    self.place = self._made(trainer, pl_module, first_layer, keys, facts, self.place)
            finally:
                for module, training in was_training.items():
                    module.training = training
            found = _held(self.place, facts)
        if found is None:
            raise RuntimeError(f"{self.place} was just written")
        values, held_keys, failures, validation = found
        labels = {int(row): data.index.video(int(row)).labels for row in np.unique(held_keys[:, 0])}
        draws = self.transfer.feature_draws
        stored = StoredFeatures(held_keys, values, draws, first_layer, labels, failures, validation)
        self.ends.callback(setattr, data, "loaders", data.loaders)
        data.loaders = FeatureLoaders(stored, data)
        self.seconds = time.perf_counter() - begun
        size = _bytes(values) + sum(_bytes(batch.features) for batch in validation)
        print(
            f"features of {len(values):,} draws of training clips (up to {self.transfer.feature_draws} a clip) and of "
            f"{sum(len(batch) for batch in validation):,} validation clips: {values.shape[1]:,} {_name(values.dtype)} "
            f"each, {size:,} bytes in {self.place}, ready after {self.seconds:.1f} s",
            flush=True,
        )

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the data its own loaders back, and remove features that no other fit was promised."""
        self.ends.close()
        if self.place is not None and (self.transfer.cache is None or _is_unfinished(self.place)):
            shutil.rmtree(self.place, ignore_errors=True)
        if self.place is not None and self.transfer.cache is None:
            with contextlib.suppress(OSError):  # another's files lie there
                self.folder.rmdir()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Leave nothing that a fit which goes on would not find."""
        self.ends.close()
        if self.place is not None and _is_unfinished(self.place):
            shutil.rmtree(self.place, ignore_errors=True)

    def _reason_against(self, trainer: L.Trainer, network: L.LightningModule) -> str | None:
        head = cast(Any, network).head_layers
        if self.transfer.feature_draws == 0:
            return "transfer.feature_draws is 0"
        if all(parameter.requires_grad for parameter in network.parameters()):
            return "no layer is frozen"
        if not hasattr(getattr(getattr(trainer, "datamodule", None), "loaders", None), "drawn"):
            return "the data cannot give chosen draws of its clips"
        if head is None:
            return f"{type(network).__name__} does not split into forward_features and head_layers"
        inside = {id(parameter) for parameter in head.parameters()}
        if any(p.requires_grad and id(p) not in inside for p in network.parameters()):
            return "layers below head_layers are trained"
        if trainer.world_size > 1:
            return f"{trainer.world_size} processes"
        return None

    def _facts(
        self, trainer: L.Trainer, network: L.LightningModule, first_layer: int, keys: np.ndarray
    ) -> dict[str, Any]:
        """Everything that the features are a function of."""
        data, model = cast(Any, trainer).datamodule, cast(Any, network)
        facts = {
            "weights": frozen_hash(network),
            "architecture": model.shape,
            "first_layer": first_layer,
            "frame_offsets": model.frame_offsets,
            "input_side": model.input_side,
            "precision": str(trainer.precision),
            "device": network.device.type,
            "dataset": data.index.fingerprint,
            "root": str(data.index.root),
            "protocols": [dataclasses.asdict(data.test_protocol), dataclasses.asdict(data.validation_protocol)],
            "decoder": data.decoder,
            "seed": data.seed,
            "batch_size": data.batch_size,
            "augmentation": repr(data.augmentation),
            "keys": hashlib.sha256(keys.tobytes()).hexdigest(),
            "videos": files_hash(data.index, [*np.unique(keys[:, 0]), *data.index.rows("validation")]),
        }
        plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
        return plain

    def _made(
        self,
        trainer: L.Trainer,
        network: L.LightningModule,
        first_layer: int,
        keys: np.ndarray,
        facts: dict[str, Any],
        place: Path,
    ) -> Path:
        """Work the features out beside their place and move them there; returns where they lie.

        Where a video could not be read they stay beside it, for this fit alone: the next may be able to.
        """
        unfinished = self.folder / f"{place.name}-{uuid.uuid4().hex[:8]}{UNFINISHED}"
        unfinished.mkdir(parents=True)
        try:
            if not self._compute(trainer, network, first_layer, keys, facts, unfinished):
                return unfinished
            if place.exists() and _held(place, facts) is None:  # damaged
                shutil.rmtree(place)
            try:
                unfinished.rename(place)
                keep(self.run_dir)  # whatever is refused after this took hours, perhaps
            except OSError:
                if _held(place, facts) is None:
                    raise
                shutil.rmtree(unfinished)  # another process was quicker
            return place
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def _compute(
        self,
        trainer: L.Trainer,
        network: L.LightningModule,
        first_layer: int,
        keys: np.ndarray,
        facts: dict[str, Any],
        folder: Path,
    ) -> bool:
        """Run the frozen layers over everything and leave it in a folder; returns whether every video was read."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        validation = [self._scored(network, batch.to(network.device), first_layer) for batch in data.val_dataloader()]
        loader = data.loaders.drawn(keys)
        values, first, kept = torch.empty(0), 0, []
        failures: dict[int, Failure] = {}
        for chunk, batch in zip(loader.batch_sampler, loader, strict=True):
            wanted = chunk[0]
            failures |= {failure.row: failure for failure in batch.failures}
            if not len(batch):
                continue
            made = self._checked(network, batch.frames.to(network.device), first_layer, is_first=first == 0)
            if first == 0:
                self._require_room(len(keys), made, validation)
                values = _mapped(folder / _VALUES, len(keys), made.shape[1], made.dtype)
            values[first : first + len(made)] = made.cpu()
            kept.append(wanted)
            first += len(made)
        if not first:
            raise UserError("no training clip could be read, so there is nothing to train on")
        np.save(folder / _KEYS, np.concatenate(kept))
        parts = [
            {
                **{f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)},
                "failures": [[failure.row, failure.video_id, failure.reason] for failure in batch.failures],
            }
            for batch in validation
        ]
        torch.save(parts, folder / _VALIDATION)
        text = {
            "facts": facts,
            "shape": [first, values.shape[1]],
            "dtype": _name(values.dtype),
            "bytes": _bytes(values),
            "failures": [[failure.row, failure.video_id, failure.reason] for failure in failures.values()],
        }
        (folder / _FACTS).write_text(json.dumps(text), "utf-8")
        return not failures and not any(batch.failures for batch in validation)

    def _checked(self, network: L.LightningModule, clips: Tensor, first_layer: int, *, is_first: bool) -> Tensor:
        """Features (B, F) of clips; the first time also whether the rest of the network makes its logits of them."""
        made = lower_part(network, clips, first_layer)
        if is_first:
            whole, split = network(clips).float(), made
            for layer in list(cast(Any, network).head_layers)[first_layer:]:
                split = layer(split)
            split = split.float()
            if whole.shape != split.shape or not torch.allclose(whole, split, rtol=1e-2, atol=1e-4):
                raise UserError(
                    f"{type(network).__name__}.forward is not forward_head(forward_features(clips)), so its features "
                    "cannot replace the clips; override both, or store none with --transfer.feature_draws 0 "
                    "(grid.feature_draws in a grid)"
                )
        return made

    def _scored(self, network: L.LightningModule, batch: ClipBatch, first_layer: int) -> FeatureBatch:
        """A batch of validation, in its one view."""
        (view,) = batch.views
        clips = cut_view(batch.frames, view, int(cast(Any, network).input_side))
        made = FeatureBatch(
            lower_part(network, clips, first_layer), first_layer, batch.labels, batch.rows, batch.clips, batch.failures
        )
        return made.to("cpu")

    def _require_room(self, count: int, example: Tensor, validation: list[FeatureBatch]) -> None:
        size = count * _bytes(example[:1]) + sum(_bytes(batch.features) for batch in validation)
        free = shutil.disk_usage(self.folder).free
        if size > min(self.transfer.cache_gb * 1e9, free):
            raise UserError(
                f"the features of {counted(count, 'clip')} and draws take {size:,} bytes; transfer.cache_gb allows "
                f"{self.transfer.cache_gb:g} * 10^9, and {free:,} are free in {self.folder}. Lower "
                "data.clips_per_video.train or transfer.feature_draws, raise transfer.cache_gb, or store none with "
                "--transfer.feature_draws 0; in a grid these are grid.feature_draws and grid.cache_gb"
            )


def first_trained_layer(network: nn.Module) -> int:
    """Number of the first layer of `head_layers` that has a trained parameter."""
    head: nn.Sequential = cast(Any, network).head_layers
    return next(n for n, layer in enumerate(head) if any(p.requires_grad for p in layer.parameters()))


def lower_part(network: nn.Module, clips: Tensor, first_layer: int) -> Tensor:
    """(B, T, S, S, 3) uint8 RGB to what the first trained layer takes, (B, F)."""
    whole = cast(Any, network)
    seen: Tensor = whole.forward_features(clips)
    for layer in list(whole.head_layers)[:first_layer]:
        seen = layer(seen)
    return seen


def frozen_hash(network: nn.Module) -> str:
    """SHA-256 over everything that the network holds but its trained parameters."""
    digest = hashlib.sha256()
    for name, value in network.state_dict(keep_vars=True).items():
        if not value.requires_grad:
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def files_hash(index: Any, rows: Iterable[int]) -> str:
    """SHA-256 over row, name, size and time of change of some videos of an index, in order."""
    digest = hashlib.sha256()
    for row in rows:
        video = index.video(int(row))
        try:
            held = video.path.stat()
            state = f"{held.st_size} {held.st_mtime_ns}"
        except OSError as error:
            state = str(error.errno)
        digest.update(f"{row} {video.video_id} {state}\n".encode())
    return digest.hexdigest()


def _held(place: Path, facts: dict[str, Any]) -> _Store | None:
    """What a folder holds, if that is whole and of the same facts."""
    try:
        held = json.loads((place / _FACTS).read_text("utf-8"))
        # Mapping a file that is absent or short would make or fill it with zeros.
        if held["facts"] != facts or (place / _VALUES).stat().st_size != held["bytes"]:
            return None
        rows, columns = held["shape"]
        values = _mapped(place / _VALUES, rows, columns, getattr(torch, held["dtype"]))
        failures = {row: Failure(row, name, reason) for row, name, reason in held["failures"]}
        parts = torch.load(place / _VALIDATION, weights_only=True)
        validation = [
            FeatureBatch(**{**part, "failures": [Failure(*failure) for failure in part["failures"]]}) for part in parts
        ]
        return values, np.load(place / _KEYS), failures, validation
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None


def _is_unfinished(place: Path) -> bool:
    return place.name.endswith(UNFINISHED)


def _mapped(path: Path, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """A file, made where there is none, as a tensor (rows, columns) that need not fit into memory."""
    return torch.from_file(str(path), shared=True, size=rows * columns, dtype=dtype).view(rows, columns)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
