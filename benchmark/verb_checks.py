"""What fit, validate, test and predict refuse before any work: limits of nothing, checkpoints that do not suit."""

from collections.abc import Mapping
from typing import Any

from benchmark.class_options import empty_options
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError
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
