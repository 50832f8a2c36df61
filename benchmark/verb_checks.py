"""What fit, validate, test and predict refuse before any work: limits of nothing, checkpoints that do not suit."""

from collections.abc import Iterable, Mapping
from typing import Any

from jsonargparse import Namespace
from lightning import Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder

from benchmark.class_options import empty_options, nearest_names
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError
from benchmark.metrics.descriptors import set_mode
from benchmark.models.options import plain
from benchmark.models.video_classifier import VideoClassifier
from benchmark.plugins import load_class


def require_values(config: Mapping[str, Any]) -> None:
    """Refuse null where an option of the model or the data takes none.

    Raises:
        UserError: With the option.
    """
    for part, base in (("model", VideoClassifier), ("data", VideoDataModule)):
        chosen = config[part]
        cls = load_class(chosen.class_path, base)
        given = plain(chosen.get("init_args")) or {}
        for name in empty_options(cls, given) if isinstance(cls, type) else ():
            raise UserError(f"{part}.{name} is null, and needs a value; leave the option out to have its default")


def require_number_of_classes(model: Mapping[str, Any], num_classes: int) -> None:
    """Refuse another number of classes than the data have, which the network is made with whatever was given.

    Args:
        model: As configured.
        num_classes: Of the data.

    Raises:
        UserError: With both numbers.
    """
    given = (model.get("init_args") or {}).get("num_classes")
    if given not in {None, num_classes}:
        raise UserError(
            f"model.num_classes is {given}, and the data have {num_classes} classes; leave the option out, since the "
            "data say how many there are: --data.classes chooses among them, and --data names others"
        )


def require_sound(config: Mapping[str, Any], options: Iterable[str]) -> None:
    """Refuse one value in the place of a group of options, as `checkpoint: 3`, and numbers that mean nothing.

    Args:
        config: What was parsed.
        options: Names of all options, as in `checkpoint.minutes`.

    Raises:
        UserError: With the option and what is allowed.
    """
    groups: dict[str, list[str]] = {}
    for option in options:
        name, dot, inner = option.partition(".")
        if dot and inner != "help":
            groups.setdefault(name, []).append(inner)
    for name, known in groups.items():
        if not isinstance(config.get(name, {}), Namespace | Mapping):
            raise UserError(
                f"{name} is {config[name]}, and is a group of options; give them as {name}: {{{known[0]}: ...}}. It "
                f"has {nearest_names(str(config[name]), known)}"
            )

    _require_ranges(config)


_MOST_MINUTES, _SEEDS = 1e6, 2**32


def _require_ranges(config: Mapping[str, Any]) -> None:
    seed, minutes = config.get("seed_everything"), config["checkpoint"]["minutes"]
    clip = config["trainer"].get("gradient_clip_val")
    if seed is not None and not 0 <= seed < _SEEDS:
        raise UserError(f"seed_everything is {seed}; it must be a whole number from 0 to {_SEEDS - 1}")
    if not 0 <= minutes <= _MOST_MINUTES:
        raise UserError(f"checkpoint.minutes is {minutes}; it must be a number from 0 to {_MOST_MINUTES:.0f}")
    if clip is not None and not clip >= 0:
        raise UserError(f"trainer.gradient_clip_val is {clip}; it must be a number from 0, or null")


def choose_mode(checkpoint: Mapping[str, Any]) -> None:
    """Say of the value that `best.ckpt` is chosen by which way it is better, where an option says so.

    Args:
        checkpoint: The options of that name.

    Raises:
        UserError: If it is known to be better the other way.
    """
    try:
        set_mode(checkpoint["monitor"], checkpoint["mode"])
    except ValueError as error:
        raise UserError(f"--checkpoint.{error}; leave the option out") from error


def require_no_tuners(trainer: Trainer) -> None:
    """Refuse Lightning's callbacks that change a batch size or a learning rate after the run has noted it.

    Raises:
        UserError: With the option to give in their place.
    """
    for each in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        for kind, option in ((BatchSizeFinder, "data.batch_size"), (LearningRateFinder, "model.recipe.learning_rate")):
            if isinstance(each, kind):
                raise UserError(
                    f"trainer.callbacks has {type(each).__name__}, which changes what a run has noted of itself; leave "
                    f"it out, try some values in short fits, and give the best by --{option}"
                )


def require_consistent(verb: str, config: Mapping[str, Any]) -> None:
    """Refuse options that say nothing without another one.

    Raises:
        UserError: With the option that lacks.
    """
    wanted = config.get("ckpt_path")
    if wanted == "":
        raise UserError("--ckpt_path is empty; give a checkpoint, `last` or `best`, or leave it out")
    if wanted == "auto" and (verb != "fit" or config.get("run_dir") is None):
        raise UserError(
            f"--ckpt_path auto is for a fit with --run_dir, which it begins or goes on with; name the folder by "
            f"--run_dir, or give {verb} a checkpoint, `last` or `best`"
        )
    if config.get("lr_scheduler") and not config.get("optimizer"):
        raise UserError(
            f"lr_scheduler is {config['lr_scheduler']['class_path']} without an optimizer to work on; give one too, as "
            "in --optimizer SGD --optimizer.lr 0.01, or change model.recipe"
        )


# What a verb goes through, by the option that limits it; a fit may do without validation.
_WORK = {
    "fit": ("max_epochs", "max_steps", "limit_train_batches"),
    "validate": ("limit_val_batches",),
    "test": ("limit_test_batches",),
    "predict": ("limit_predict_batches",),
}


def require_work(verb: str, trainer: Mapping[str, Any]) -> None:
    """Refuse limits with which a verb would end without having done anything.

    Raises:
        UserError: With the option.
    """
    for name in _WORK[verb]:
        if trainer.get(name) == 0:
            raise UserError(f"trainer.{name} is 0, with which {verb} does nothing; raise it, or leave it out")
    if trainer.get("default_root_dir"):
        raise UserError(f"trainer.default_root_dir is {trainer['default_root_dir']}; --run_dir names a run's folder")


def require_from_fit(checkpoint: Mapping[str, Any], path: str) -> None:
    """Refuse weights without what a checkpoint of a fit says of them.

    Raises:
        UserError: If that lacks.
    """
    if "pytorch-lightning_version" not in checkpoint or not isinstance(checkpoint["state_dict"], Mapping):
        raise UserError(f"--ckpt_path {path} holds weights alone; give a checkpoint that a fit has written")
    names = checkpoint.get("class_names")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _damaged(path, "class_names")


def require_state(checkpoint: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint without what a fit needs to go on.

    Raises:
        UserError: If that lacks, as where weights alone were saved, or is damaged.
    """
    for name in ("optimizer_states", "lr_schedulers", "loops"):
        if name not in checkpoint:
            raise UserError(
                f"--ckpt_path {path} has no {name}, as where save_weights_only was set; a fit goes on from a whole "
                "checkpoint, and begins with weights by --transfer.regime all --transfer.pretrained"
            )
    states, schedules, held = checkpoint["optimizer_states"], checkpoint["lr_schedulers"], checkpoint["loops"]
    if not _are_mappings(states) or not all(each.get("param_groups") for each in states):
        raise _damaged(path, "optimizer_states")
    if not _are_mappings(schedules):
        raise _damaged(path, "lr_schedulers")
    for part in ("fit_loop", "epoch_progress", "current"):
        if not isinstance(held, Mapping):
            raise _damaged(path, "loops")
        held = held.get(part, {})
    if not isinstance(held, Mapping) or not all(isinstance(count, int) for count in held.values()):
        raise _damaged(path, "loops")


def _are_mappings(held: object) -> bool:
    return isinstance(held, list) and all(isinstance(each, Mapping) for each in held)


def _damaged(path: str, part: str) -> UserError:
    return UserError(f"--ckpt_path {path} is damaged: its {part} are not what a fit writes; give another checkpoint")


def require_more_to_train(checkpoint: Mapping[str, Any], trainer: Mapping[str, Any], path: str) -> None:
    """Refuse a fit that goes on and has a limit below what was trained already.

    A limit that has just been reached is a fit that is finished, which may be asked for again.

    Raises:
        UserError: With both numbers.
    """
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    trained = {"max_epochs": progress.get("processed", 0), "max_steps": checkpoint.get("global_step", 0)}
    for name, done in trained.items():
        limit = trainer.get(name)
        if limit is not None and 0 <= limit < done:
            raise UserError(
                f"trainer.{name} is {limit}, and {path} was trained for {done} {name[4:]} already; raise it above "
                f"{done} to go on"
            )
