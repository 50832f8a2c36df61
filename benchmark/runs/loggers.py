"""Loggers of a configuration: where they write, and W&B's where wandb is not installed."""

import os
import sys

from jsonargparse import Namespace
from lightning import Callback
from lightning.pytorch.loggers import Logger, WandbLogger

from benchmark.errors import UserError
from benchmark.extras import why_missing
from benchmark.plugins import load_class
from benchmark.runs.result_writer import ResultWriter

_MODES = {"offline": True, "dryrun": True, "online": False, "run": False}
"""Whether logs stay on this disk, by what `WANDB_MODE` says."""


def configured_loggers(trainer: Namespace) -> list[Namespace]:
    """Loggers that the Trainer's options name by their class."""
    held = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    return [logger for logger in held if isinstance(logger, Namespace)]


def move_logs(trainer: Namespace, before: str, after: str) -> None:
    """Let loggers that write to one folder write to another; those without a folder write to the current one."""
    for logger in configured_loggers(trainer):
        options = _options(logger)
        if "save_dir" in options and str(options.save_dir or ".") == before:
            options.save_dir = after


def leave_out_wandb(trainer: Namespace, checkpoint: Namespace) -> str | None:
    """Take W&B's loggers out of the Trainer's options where wandb cannot be imported or is switched off.

    `WANDB_MODE` has the last word on whether they are offline. Without a login they are; and where all of them are,
    wandb's own lines about that are left out. What `log_model` would upload is left as an artifact of the run then, as
    by `checkpoint.artifact`, since Lightning refuses the two together.

    Args:
        trainer: Its options.
        checkpoint: Those of the checkpoints.

    Returns:
        A line that says what becomes of W&B's logs, or None where they are sent or nobody asked for any.

    Raises:
        UserError: If one of them sends its logs online, which is more than a mirror on this disk.
    """
    # One that has no such option decides for itself.
    mirrors = [logger for logger in configured_loggers(trainer) if _is_wandb(logger) and "offline" in _options(logger)]
    mode = os.environ.get("WANDB_MODE", "")
    for logger in mirrors:  # whose `offline` Lightning would follow instead
        logger.init_args.offline = _MODES.get(mode, bool(logger.init_args.get("offline")))
    is_disabled = mode == "disabled"
    reason = "is switched off by WANDB_MODE" if is_disabled else why_missing("wandb")
    is_offline = all(logger.init_args.offline for logger in mirrors)
    if mirrors and not is_offline and reason is None and not _is_logged_in():
        for logger in mirrors:
            logger.init_args.offline = True
        is_offline = True
        said = "no login to W&B: its logs stay here; later: wandb login, wandb sync"
    else:
        said = "W&B logs stay in the run folder, and `wandb sync` sends them"
    for logger in mirrors:
        if logger.init_args.offline and logger.init_args.get("log_model"):
            logger.init_args.log_model, checkpoint.artifact = False, True
            said = f"{said}\nlog_model cannot upload offline: best.ckpt is left as an artifact of the run"
    if mirrors and is_offline and reason is None:
        os.environ.setdefault("WANDB_SILENT", "true")
        return said
    if not mirrors or reason is None:
        return None
    if not is_disabled and not is_offline:
        raise UserError(f"trainer.logger sends logs to W&B, which needs wandb, which {reason}; or leave the logger out")
    kept = [logger for logger in configured_loggers(trainer) if logger not in mirrors]
    trainer.logger = kept or False
    return f"no W&B logs: wandb {reason}"


def has_wandb(trainer: Namespace) -> bool:
    """Whether one of the Trainer's loggers is W&B's, so that what imports wandb can be imported."""
    return any(_is_wandb(logger) for logger in configured_loggers(trainer))


def wandb_mirrors(trainer: Namespace, writer: ResultWriter) -> list[Callback]:
    """What copies a finished test into the runs of the Trainer's loggers; only W&B's have room for it."""
    if not has_wandb(trainer):
        return []
    from benchmark.runs.wandb_tables import WandbTables  # imports wandb, which not everybody has

    return [WandbTables(writer)]


def end_wandb_runs(*, failed: bool) -> None:
    """Finish the W&B runs of this process, if there are any."""
    runs = sys.modules.get("benchmark.runs.wandb_runs")  # which imports wandb
    if runs is not None:
        runs.end_runs(failed=failed)


def _is_logged_in() -> bool:
    from benchmark.runs.wandb_runs import is_logged_in  # imports wandb, which not everybody has

    return is_logged_in()


def _options(logger: Namespace) -> Namespace:
    """Those of its class; the parser leaves out `init_args` where there are none."""
    options: Namespace = logger.get("init_args") or Namespace()  # type: ignore[no-untyped-call]
    return options


def _is_wandb(logger: Namespace) -> bool:
    found = load_class(logger.class_path, Logger)
    return isinstance(found, type) and issubclass(found, WandbLogger)
