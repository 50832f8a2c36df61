"""W&B runs of the Trainer's loggers: begun when there is something to log, named, and one over all resumes of a fit."""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import wandb
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, WandbLogger

from benchmark.metrics.descriptors import score_of
from benchmark.results import wandb_names

# What wandb reads from the environment, which then is not said again; a sweep's agent names its runs so.
_VARIABLES = {
    "id": "WANDB_RUN_ID",
    "name": "WANDB_NAME",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "tags": "WANDB_TAGS",
}
_STEP = "trainer/global_step"
_KEY = "wandb"

_begun: list[Any] = []


class WandbRuns(L.Callback):
    """Begins the W&B runs when it is told to, so that a command which is refused leaves none.

    Lightning would begin them before anything is looked at. They are named by the run folder, grouped by experiment,
    and hold the whole configuration. A checkpoint carries the name of the run that made it: a fit that goes on goes on
    in it, and a test says which fit it is of.

    Args:
        verb: `fit`, `validate` or `test`.
        name: Of the run folder.
        group: The experiment.
        tags: To find runs by.
        options: The whole configuration, as plain values.
        checkpoint: What the run goes on from or scores, or None.
        goes_on: Whether it is a fit that goes on in its own folder.
        best: Keeps the best weights.
        uploads: Whether their file becomes an artifact at the end of a fit.
    """

    def __init__(
        self,
        verb: str,
        name: str,
        group: str,
        tags: Sequence[str],
        options: Mapping[str, Any],
        checkpoint: Mapping[str, Any] | None = None,
        *,
        best: ModelCheckpoint,
        goes_on: bool = False,
        uploads: bool = False,
    ) -> None:
        made_by = (checkpoint or {}).get(_KEY)
        self.verb, self.options, self.best, self.uploads = verb, dict(options), best, uploads
        self.fit: dict[str, str] | None = made_by if isinstance(made_by, dict) else None
        self.goes_on = goes_on and self.fit is not None
        own = self.fit if goes_on and self.fit is not None else {"id": secrets.token_hex(4), "name": name}
        group = group if self.fit is None else self.fit.get("group", group)
        self.chosen = {"id": own["id"], "name": own["name"], "group": group, "job_type": verb, "tags": list(tags)}
        self.loggers: list[Logger] = []

    def hold(self, trainer: L.Trainer) -> None:
        """Take the loggers away from a Trainer that has just been made."""
        self.loggers = trainer.loggers
        trainer.loggers = [logger for logger in self.loggers if not isinstance(logger, WandbLogger)]

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note the run of the fit, whose names an earlier version of this checkpoint may have had already."""
        checkpoint[_KEY] = {name: self.chosen[name] for name in ("id", "name", "group")}

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the best value of all times that the fit went on, and leave its checkpoint where that was asked for."""
        path, score = Path(self.best.best_model_path), self.best.best_model_score
        if not path.is_file() or score is None or not trainer.is_global_zero:
            return
        for run in _begun:
            run.summary[f"best/{self.best.monitor}"] = float(score)
            if self.uploads:
                artifact = wandb.Artifact(
                    f"checkpoint-{run.id}", "model", metadata={str(self.best.monitor): float(score)}
                )
                artifact.add_file(str(path), name="best.ckpt")
                run.log_artifact(artifact, aliases=["best"])

    def begin(self, trainer: L.Trainer) -> None:
        """Give the loggers back, and begin and describe their runs."""
        trainer.loggers, self.loggers = self.loggers, []
        for logger in trainer.loggers:
            if not isinstance(logger, WandbLogger):
                continue
            _choose(logger, self.chosen)
            mode = os.environ.get("WANDB_MODE")
            run = self._begun(logger)
            _restore("WANDB_MODE", mode)  # which Lightning sets for all runs of the process, where one is offline
            if isinstance(run, wandb.Run):
                # What the run is called where the logger's options or the environment say so.
                self.chosen |= {name: getattr(run, name) or self.chosen[name] for name in ("id", "name", "group")}
                _begun.append(run)
                self._describe(run, trainer)

    def _begun(self, logger: WandbLogger) -> Any:
        """The run of a logger, which this begins in the first process; of its own where the fit's cannot go on."""
        try:
            return logger.experiment
        except Exception as error:  # wandb's own errors and its service's share no base class
            if not self.goes_on:
                raise
            # As while a process that was killed is still the run's, for the service that both were started with.
            print(f"W&B does not go on with run {self.chosen['id']} ({error}); a new one begins", flush=True)
            self.goes_on = False
            self.chosen["id"] = logger._wandb_init["id"] = secrets.token_hex(4)
            return logger.experiment

    def _describe(self, run: Any, trainer: L.Trainer) -> None:
        held = {"options": self.options}
        if self.verb != "fit" and self.fit is not None:
            held[wandb_names.FIT] = dict(self.fit)
        run.config.update(held, allow_val_change=True)
        if self.verb != "fit":
            return
        run.define_metric("train/loss_epoch", step_metric=_STEP, step_sync=True, summary="min,last")
        for name in getattr(trainer.lightning_module, "validated_values", None) or ():
            score = score_of(name.removeprefix("val/"))
            if name == "val/videos":
                continue
            best = "max" if score.higher_is_better else "min"
            run.define_metric(name, step_metric=_STEP, step_sync=True, summary=f"{best},last")


def is_logged_in() -> bool:
    """Whether there is a login to W&B; on a terminal wandb asks for one."""
    try:
        return bool(wandb.login(verify=False))
    except wandb.errors.UsageError:
        return False


def end_runs(*, failed: bool) -> None:
    """Finish the runs that this process has begun, with what is their last in their summaries."""
    while _begun:
        _begun.pop().finish(exit_code=int(failed))


def _choose(logger: WandbLogger, chosen: Mapping[str, Any]) -> None:
    """Say what a run is to be called, where neither its options nor the environment do."""
    options = logger._wandb_init
    for name, value in chosen.items():
        if options.get(name) is None and _VARIABLES[name] not in os.environ:
            options[name] = value
    if logger._offline:  # for which Lightning sets the environment, which wandb may have read before
        options["mode"] = "offline"
    if options.get("anonymous", ...) is None:
        # Lightning always passes this option, of which wandb warns and which it will not take one day.
        del options["anonymous"]


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
