"""What a measurement of speed can be told besides what a fit can, and how a configuration becomes its objects."""

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from benchmark.errors import UserError
from benchmark.runs.folder import new_run_dir
from benchmark.runs.resolved_config import shareable
from benchmark.runs.trainer import Trainer
from benchmark.speed.training import StepClock
from benchmark.training_cli import BenchmarkCLI
from benchmark.verb_options import parser_settings
from benchmark.verbs import COMMANDS


@dataclasses.dataclass(frozen=True)
class SpeedOptions:
    """How long is measured, and beside whom.

    Args:
        clips: Training clips that the stages of loading read in each round.
        steps: Training steps that are measured in all, after the warm-up; more where several loader processes bring
            their batches in turns, and whole epochs where one has few batches.
        rounds: Medians and ranges are over so many rounds; clips are others in each.
        compare: Other libraries that read the same videos, or `all` that are installed.
        seed: Of the choice of clips; null takes `data.seed`, so that the fit visits the clips that were cached.

    Raises:
        UserError: If a value is out of range.
    """

    clips: int = 200
    steps: int = 20
    rounds: int = 5
    compare: list[str] | str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.clips < 1 or self.rounds < 1:
            raise UserError(f"speed.clips is {self.clips} and speed.rounds is {self.rounds}; both must be 1 or more")
        if self.steps < self.rounds:
            raise UserError(
                f"speed.steps is {self.steps} and speed.rounds is {self.rounds}; a round needs one step or more, so "
                "raise the first or lower the second"
            )
        if self.seed is not None and not 0 <= self.seed < 2**31:
            raise UserError(f"speed.seed is {self.seed}; it must be from 0 to below 2**31")


class SpeedCLI(BenchmarkCLI):
    """The command line of a fit that is measured instead of kept: no checkpoints, no logs, no validation.

    After construction `model`, `datamodule` and `trainer` are what a fit would run, joined to each other, with `clock`
    as the Trainer's only callback: those of the configuration may need a logger or checkpoints.

    Args:
        args: Words of the command line after the verb.
    """

    trainer: Trainer

    def __init__(self, args: list[str]) -> None:
        super().__init__(
            args,
            run=False,
            save_config_callback=None,
            parser_kwargs=parser_settings("speed", COMMANDS["speed"]),
        )
        self.trainer.strategy.connect(self.model)
        self.datamodule.trainer = self.trainer

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a fit, whose files and lines can be given as they are, and those of a measurement."""
        super().add_arguments_to_parser(parser)
        for name in ("--ckpt_path", "--weights_only"):
            parser.add_argument(name, type=Any, default=None, help="Of a fit; weights do not change its speed.")
        parser.add_class_arguments(SpeedOptions, "speed", instantiate=False)

    def before_instantiate_classes(self) -> None:
        """Choose the run folder, and leave out of the Trainer what is not measured."""
        config = self.config
        self.options = SpeedOptions(**config.speed.as_dict())
        if config.transfer.regime is not None:
            raise UserError(
                f"transfer.regime is {config.transfer.regime}; speed measures a fit of the whole network, "
                "so leave it out"
            )
        _require_one_process(config.trainer)
        self.plain: dict[str, Any] = yaml.safe_load(self.parser.dump(shareable(config), skip_none=False))
        self.name = Path(str(config.config[0])).stem if config.get("config") else config.model.class_path.split(".")[-1]
        self.run_dir = new_run_dir(config.run_dir, f"speed-{self.name}", resume=False)
        print(f"run folder: {self.run_dir}", flush=True)
        left_out = dict.fromkeys(
            ("max_time", "min_epochs", "min_steps", "limit_train_batches", "callbacks", "profiler")
        )
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        named = config.trainer.get("devices")
        measured = {"devices": named if isinstance(named, list) else 1}
        measured |= {"max_steps": -1, "max_epochs": -1}  # the clock ends it, which depends on the loaders
        measured |= {"limit_val_batches": 0, "overfit_batches": 0}
        settings = {**left_out, **off, **measured, "default_root_dir": str(self.run_dir), "fast_dev_run": False}
        for name, value in settings.items():
            config.trainer[name] = value

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The Trainer with a clock."""
        self.clock = StepClock()
        self.trainer_defaults["callbacks"] = [self.clock]
        trainer = LightningCLI.instantiate_trainer(self, **kwargs)
        if not isinstance(trainer, Trainer):
            raise TypeError(f"expected {Trainer}, got {type(trainer)}")
        return trainer


def _require_one_process(trainer: Namespace) -> None:
    devices, nodes = trainer.get("devices"), trainer.get("num_nodes")
    is_one = len(devices) == 1 if isinstance(devices, list) else str(devices) in {"auto", "1", "None"}
    if not is_one or nodes not in {None, 1}:
        raise UserError(
            f"trainer.devices is {devices} and trainer.num_nodes is {nodes}; speed measures one process, "
            "so leave them out, or name one device"
        )
