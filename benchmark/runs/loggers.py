"""Loggers of a configuration: where they write, and W&B's where wandb is not installed."""

import os

from jsonargparse import Namespace
from lightning import Callback
from lightning.pytorch.loggers import Logger, WandbLogger

from benchmark.errors import UserError
from benchmark.extras import why_missing
from benchmark.plugins import load_class
from benchmark.runs.result_writer import ResultWriter


def configured_loggers(trainer: Namespace) -> list[Namespace]:
    """Loggers that the Trainer's options name by their class."""
    held = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    return [logger for logger in held if isinstance(logger, Namespace)]


def move_logs(trainer: Namespace, before: str, after: str) -> None:
    """Let loggers that write to one folder write to another; those without a folder write to the current one."""
    for logger in configured_loggers(trainer):
        if str(logger.init_args.get("save_dir") or ".") == before:
            logger.init_args.save_dir = after


def leave_out_wandb(trainer: Namespace) -> str | None:
    """Take W&B's loggers out of the Trainer's options where wandb cannot be imported or is switched off.

    Where all of them are offline, wandb's own lines about that are left out.

    Returns:
        A line that says what becomes of W&B's logs, or None where they are sent or nobody asked for any.

    Raises:
        UserError: If one of them sends its logs online, which is more than a mirror on this disk.
    """
    mirrors = [logger for logger in configured_loggers(trainer) if _is_wandb(logger)]
    is_disabled = os.environ.get("WANDB_MODE") == "disabled"  # which Lightning's `offline` would overrule
    reason = "is switched off by WANDB_MODE" if is_disabled else why_missing("wandb")
    is_offline = all(logger.init_args.get("offline") for logger in mirrors)
    if mirrors and is_offline and reason is None:
        os.environ.setdefault("WANDB_SILENT", "true")
        return "W&B logs stay in the run folder, and `wandb sync` sends them"
    if not mirrors or reason is None:
        return None
    if not is_disabled and not is_offline:
        raise UserError(f"trainer.logger sends logs to W&B, which needs wandb, which {reason}; or leave the logger out")
    kept = [logger for logger in configured_loggers(trainer) if logger not in mirrors]
    trainer.logger = kept or False
    return f"no W&B logs: wandb {reason}"


def wandb_mirrors(trainer: Namespace, writer: ResultWriter) -> list[Callback]:
    """What copies a finished test into the runs of the Trainer's loggers; only W&B's have room for it."""
    if not any(_is_wandb(logger) for logger in configured_loggers(trainer)):
        return []
    from benchmark.runs.wandb_tables import WandbTables  # imports wandb, which not everybody has

    return [WandbTables(writer)]


def _is_wandb(logger: Namespace) -> bool:
    found = load_class(logger.class_path, Logger)
    return isinstance(found, type) and issubclass(found, WandbLogger)
