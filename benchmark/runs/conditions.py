"""On what and how a fit trains travels with its checkpoints, and the same run does not go on otherwise."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import lightning as L

from benchmark.changes import changes, leaves
from benchmark.errors import UserError
from benchmark.models.options import plain

_KEY = "conditions"
# What comes after training, which another value does not change.
_OF_TESTS = {"data.clips_per_video.test", "data.test_views"}
DATA_PLACES = (
    *("root", "store", "lists", "class_groups"),
    *("cache", "cache_gb", "cache_dir", "num_workers", "multiprocessing_context"),
)
"""Options of data that say where things are and how fast they come, and change no weight."""
VIDEOS = "the fingerprint of the videos held"
_PROCESSES, _BATCH = "the number of processes", "data.batch_size"


class TrainingConditions(L.Callback):
    """Writes into every checkpoint what decides its weights, and compares a fit that goes on with its beginning.

    Only facts that both sides know are compared, so that checkpoints of earlier versions go on. How long, where and
    how fast a fit runs, as epochs, workers, cache, device and loggers, is none of them.

    Args:
        chosen: What the command line chose besides model, data and Trainer, as plain values: `seed_everything`, and
            `optimizer` and `lr_scheduler`, None for the network's own.
        data_options: Every option of the data module, as configured; a path among them is where things are.
        resumed: The checkpoint that this fit goes on from, or None.
        same_run: Whether that is in the folder of this run. A new run that begins with another run's checkpoint may
            train it otherwise, and says so.

    Raises:
        UserError: In `setup`, with the names of what differs.
    """

    def __init__(
        self,
        chosen: dict[str, Any],
        data_options: Mapping[str, Any],
        resumed: dict[str, Any] | None = None,
        *,
        same_run: bool = True,
    ) -> None:
        self.chosen, self.data_options, self.resumed, self.same_run = chosen, data_options, resumed, same_run
        self._facts: dict[str, Any] | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare, before anything of the run's folder is written over."""
        if stage != "fit" or self._facts is not None:
            return
        data, network = cast(Any, trainer).datamodule, cast(Any, pl_module)
        known = {**self.chosen, **_data_facts(data), **_model_facts(network), **_trainer_facts(trainer)}
        self._facts = {**known, **{n: v for n, v in _option_facts(self.data_options).items() if n not in known}}
        differs = differences(self.resumed or {}, self._facts)
        if not differs:
            return
        if self.same_run:
            raise UserError(
                f"this fit cannot go on from --ckpt_path: {'; '.join(differs)}. Give the options of its beginning, "
                "name the run that was meant by --run_dir, or leave out --ckpt_path for a new run"
            )
        if trainer.is_global_zero:
            print(f"this run begins with a checkpoint that was trained otherwise: {'; '.join(differs)}", flush=True)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let a new run whose steps have other numbers of clips go on at the same clip of the epoch."""
        if self._facts is None or self.same_run:
            return
        said = go_on_at_same_clip(checkpoint, self._facts, lambda: _batches_of_epoch(trainer))
        if said and trainer.is_global_zero:
            print(said, flush=True)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note the facts."""
        if self._facts is not None:
            checkpoint[_KEY] = dict(self._facts)


def differences(checkpoint: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """What a checkpoint and a fit both know and do not agree on, in words.

    Other processes make the same steps where they share as many clips a step: a step's clips are a function of its
    number, whoever trains on them.
    """
    held = checkpoint.get(_KEY)
    if not isinstance(held, dict):
        return []
    if _count_clips(held, facts) and held[_PROCESSES] != facts[_PROCESSES]:
        held, facts = _of_all_processes(held), _of_all_processes(facts)
    videos = changes({VIDEOS: held.get(VIDEOS)}, facts, only_common=True) if VIDEOS in held else []
    # Another fold has other videos, which goes without saying.
    return changes({**held, VIDEOS: facts.get(VIDEOS)}, facts, only_common=True) or videos


def go_on_at_same_clip(checkpoint: dict[str, Any], facts: dict[str, Any], batches_of_epoch: Callable[[], int]) -> str:
    """Count the batches of a checkpoint's epoch anew, where those of this fit hold another number of clips.

    Lightning and the training loader count batches, and know nothing of their size. Where the clips that were trained
    on are no whole number of batches now, the epoch begins anew.

    Args:
        checkpoint: Its counts are changed in place; one of an earlier version, which does not know, stays as it is.
        facts: Of this fit.
        batches_of_epoch: Tells how many batches an epoch has now.

    Returns:
        A line that says where the epoch goes on; empty if that is where it was or it had ended.
    """
    held = checkpoint.get(_KEY)
    if not isinstance(held, dict) or not _count_clips(held, facts):
        return ""
    before, now = (known[_BATCH] * known[_PROCESSES] for known in (held, facts))
    fit = checkpoint.get("loops", {}).get("fit_loop", {})
    progress = fit.get("epoch_loop.batch_progress", {})
    count, loaders = progress.get("current", {}), fit.get("state_dict", {}).get("combined_loader", [])
    if before == now or not count.get("ready"):
        return ""
    said = ""
    if progress.get("is_last_batch"):
        batches = batches_of_epoch()
    else:
        clips, epoch = count["ready"] * before, checkpoint["epoch"] + 1
        batches = 0 if clips % now else clips // now
        said = f"a step has {now} clips and had {before}: epoch {epoch} goes on behind its first {clips} clips"
        if clips % now:
            said = f"a step has {now} clips, of which {clips} are no whole number of steps: epoch {epoch} begins anew"
        for loader in loaders:
            if "batches" in loader:
                loader["batches"] = batches
    # A batch at whose end a checkpoint was written is not counted as completed yet.
    open_batch = count["processed"] - count["completed"]
    count.update(dict.fromkeys(("ready", "started", "processed"), batches), completed=batches - open_batch)
    return said


def _batches_of_epoch(trainer: L.Trainer) -> int:
    """How many batches a training epoch has, within the Trainer's limit."""
    batches, limit = len(cast(Any, trainer).datamodule.training_batches()), trainer.limit_train_batches
    return min(batches, limit) if isinstance(limit, int) else int(batches * (1.0 if limit is None else limit))


def _count_clips(*known: dict[str, Any]) -> bool:
    """Whether each side says how many clips a step has; a damaged checkpoint may hold anything."""
    return all(isinstance(each.get(name), int) for each in known for name in (_PROCESSES, _BATCH))


def _of_all_processes(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts, with the clips of all processes in the place of those of one."""
    rest = {name: value for name, value in facts.items() if name not in {_PROCESSES, _BATCH}}
    return {**rest, f"{_BATCH} times {_PROCESSES}": facts[_BATCH] * facts[_PROCESSES]}


def _data_facts(data: Any) -> dict[str, Any]:
    identity = data.index.identity
    return {
        "the dataset": identity.dataset,
        "data.fold": identity.fold,
        "data.classes": None if identity.classes is None else list(identity.classes),
        "data.seed": data.seed,
        "data.sampler_seed": data.test_protocol.sampler_seed,
        "data.clip_seconds": data.test_protocol.clip_seconds,
        "data.batch_size": data.batch_size,
        **_fields("data.clips_per_video", data.clips_per_video),
        **_fields("data.augmentation", data.augmentation),
        VIDEOS: data.index.fingerprint,
    }


def _option_facts(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of any data module, a plugin's too, that are neither places nor of tests alone."""
    kept = {name: value for name, value in options.items() if name not in DATA_PLACES and not _is_place(value)}
    return {name: value for name, value in leaves({"data": plain(kept)}).items() if name not in _OF_TESTS}


def _is_place(value: Any) -> bool:
    return isinstance(value, Path) or (isinstance(value, list | tuple) and any(map(_is_place, value)))


def _model_facts(network: Any) -> dict[str, Any]:
    options = {f"model.{name}": value for name, value in network.built_with.items() if name not in _TOLD_APART}
    return {**options, **_fields("model.recipe", network.recipe)}


# The class and the number of classes are compared when the weights are loaded, the recipe field by field.
_TOLD_APART = {"class", "num_classes", "recipe"}


def _trainer_facts(trainer: L.Trainer) -> dict[str, Any]:
    names = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "precision")
    facts = {f"trainer.{name}": plain(getattr(trainer, name)) for name in names}
    sharing = getattr(trainer.strategy, "sharing", "gradients, at each step")
    return {**facts, _PROCESSES: trainer.world_size, "what the processes share": sharing}


def _fields(part: str, options: Any) -> dict[str, Any]:
    named = {f"{part}.{name}": value for name, value in dataclasses.asdict(options).items()}
    return {name: value for name, value in named.items() if name not in _OF_TESTS}
