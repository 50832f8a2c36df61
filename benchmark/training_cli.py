"""The verbs fit, validate, test and predict: Lightning's command line with run folders."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from jsonargparse import ArgumentError
from lightning import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from benchmark.command_line import unknown_option
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError, needs_checkpoint
from benchmark.files import file_hash
from benchmark.models.average import UNTRAINABLE
from benchmark.models.options import plain
from benchmark.models.stored import read_checkpoint
from benchmark.models.video_classifier import VideoClassifier
from benchmark.plugins import require_named_classes
from benchmark.runs.averages import is_average, write_average
from benchmark.runs.best_validation import BestValidation
from benchmark.runs.carried import agreed_checkpoint
from benchmark.runs.casts import CastOnce
from benchmark.runs.checkpoints import BestWeights, run_checkpoints
from benchmark.runs.code import code_facts
from benchmark.runs.compiling import CompiledNetwork
from benchmark.runs.conditions import TrainingConditions
from benchmark.runs.failures import FailedVideos
from benchmark.runs.finite import FiniteLoss
from benchmark.runs.first_batch import FirstBatch
from benchmark.runs.folder import OWN_CHECKPOINTS, experiment_name, how_to_go_on, keep, new_run_dir, require_writable
from benchmark.runs.loggers import end_wandb_runs, has_wandb, leave_out_wandb, move_logs, wandb_mirrors
from benchmark.runs.meeting import Meeting
from benchmark.runs.optimisers import BeforeFirstStep, use_named
from benchmark.runs.predictions import PredictionTable
from benchmark.runs.provenance import ContaminationGuard, OwnSplits, SeenVideos, ValidationNotice
from benchmark.runs.ranks import EndTogether
from benchmark.runs.resolved_config import ResolvedConfig, shareable
from benchmark.runs.result_writer import ResultWriter
from benchmark.runs.run_report import RunReport
from benchmark.runs.screen import RunLines, ScoreLines, quiet
from benchmark.runs.throughput import ThroughputMeter
from benchmark.runs.trainer import Trainer
from benchmark.shipped import with_files
from benchmark.transfer.carrying import Transfer, transfer_callbacks, transfer_facts
from benchmark.transfer.feature_store import FeatureStore
from benchmark.verb_checks import (
    choose_mode,
    require_consistent,
    require_from_fit,
    require_more_to_train,
    require_no_tuners,
    require_number_of_classes,
    require_sound,
    require_state,
    require_values,
    require_work,
)
from benchmark.verb_options import (
    TrainerParser,
    add_options,
    parser_settings,
    unlabelled_videos,
    usual_entry_name,
    with_literal_paths,
)
from benchmark.verbs import TRAINER_VERBS


class BenchmarkCLI(LightningCLI):
    """Lightning's command line with run folders, and a model that is never replaced by what a checkpoint says.

    Args:
        args: Words of the command line.
        kwargs: Everything else is Lightning's.
    """

    def __init__(self, args: list[str], **kwargs: Any) -> None:
        self.together, self.words, self.meeting = EndTogether(), args, Meeting.of_environment()
        try:
            super().__init__(
                VideoClassifier,
                VideoDataModule,
                trainer_class=Trainer,
                parser_class=TrainerParser,
                seed_everything_default=0,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                args=args,
                **kwargs,
            )
        except Exception as error:
            self.meeting.refuse(error)
            self.together.refuse()
            raise

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Of Lightning's the one that is run, as the parsers of the others take a while to make."""
        return {verb: given for verb, given in super().subcommands().items() if verb in self.words[:1]}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and name the option that was probably meant by one that is not there."""
        (parser_of_verb,) = getattr(self, "_subcommand_parsers", {"": parser}).values()
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            message = unknown_option(str(error), parser_of_verb)
            if message is None:
                raise
            raise UserError(message) from error
        config = self.config.get(self.config.get("subcommand"), self.config)
        require_sound(config, [action.dest for action in parser_of_verb._actions])

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options that are neither the model's, the data's nor the Trainer's."""
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")
        add_options(parser, parser.prog.split()[-1])

    def _parse_ckpt_path(self) -> None:
        """Do not let a checkpoint's hyper-parameters replace the configured model; it is compared on loading."""

    def before_instantiate_classes(self) -> None:
        """Choose the run folder, print it first, and send logs and checkpoints there."""
        config = self.config[self.subcommand]
        named = config.get("config")
        name = experiment_name(Path(str(named[0]))) if named else config.model.class_path.split(".")[-1]
        self.experiment = name
        require_consistent(str(self.subcommand), config)
        require_values(config)
        is_averaged = is_average(config.model.class_path)
        if is_averaged and self.subcommand == "fit":
            raise UserError(UNTRAINABLE)
        require_work(str(self.subcommand), config.trainer)
        self.run_dir = new_run_dir(config.run_dir, name, resume=config.get("ckpt_path") in OWN_CHECKPOINTS)
        self.meeting = self.meeting.of_machines(config.trainer.num_nodes)
        if config.get("ckpt_path"):
            config.ckpt_path = agreed_checkpoint(config.ckpt_path, self.run_dir, self.meeting)
        if config.get("ckpt_path"):
            self.checkpoint = read_checkpoint(config.ckpt_path)
            require_from_fit(self.checkpoint, config.ckpt_path)
            if self.subcommand == "fit":
                require_state(self.checkpoint, config.ckpt_path)
                require_more_to_train(self.checkpoint, config.trainer, config.ckpt_path)
        elif is_averaged:
            config.ckpt_path = write_average(plain(config.model.init_args), self.run_dir)
            self.checkpoint = read_checkpoint(config.ckpt_path)
        elif self.subcommand != "fit":
            raise needs_checkpoint(str(self.subcommand))
        config.weights_only = True
        if self.subcommand == "predict":
            config.return_predictions = False
            config.trainer.logger = False  # there is nothing to log
        leaves_folder = self.subcommand != "predict" or config.predict.output is None or config.run_dir is not None
        if not leaves_folder:
            self.save_config_callback = None
        # Absolute, since a W&B service that is running already may have been started in another folder.
        config.trainer.default_root_dir = str(self.run_dir.absolute())
        left_out = leave_out_wandb(config.trainer, config.checkpoint)
        move_logs(config.trainer, ".", config.trainer.default_root_dir)
        if leaves_folder and self.meeting.rank == 0 and os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"run folder: {self.run_dir}{f'{chr(10)}{left_out}' if left_out else ''}", flush=True)
        if self.subcommand == "predict" and config.predict.videos:
            config.data = unlabelled_videos(config, self.checkpoint.get("class_names"))

    def instantiate_classes(self) -> None:
        """Make them, and begin once every process has."""
        super().instantiate_classes()
        require_number_of_classes(self._get(self.config, "model"), self.datamodule.num_classes)
        self.meeting.tell()
        self.meeting.end()

    def before_fit(self) -> None:
        """Let an optimiser that was named take the place of the network's own, and say so where that is a plugin's."""
        config = self.config_init[self.subcommand]
        if not config.optimizer:
            return
        schedule = config.lr_scheduler.as_dict() if config.lr_scheduler else None
        use_named(self.model, config.optimizer.as_dict(), schedule, says_so=self.trainer.is_global_zero)

    def after_fit(self) -> None:
        """Refuse to call a fit done that trained nothing."""
        self.first_step.require_trained(self.trainer, self.model)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The Trainer, with what every run has: checkpoints, throughput, failed videos, lines of figures."""
        checkpoint = self._get(self.config, "checkpoint")
        seen = SeenVideos()  # with what the weights that it begins with have seen
        if begins_with := self.config[self.subcommand].get("ckpt_path"):
            seen.inherit(self.checkpoint)
        choose_mode(checkpoint)
        goes_on = bool(begins_with) and self._is_own(begins_with)
        folder = self.run_dir / "checkpoints"
        checkpoints = run_checkpoints(folder, checkpoint.monitor, checkpoint.minutes, goes_on=goes_on)
        wandb_runs = self._wandb_runs(next(each for each in checkpoints if isinstance(each, BestWeights)))
        begins = [each.begin for each in wandb_runs]
        self.trainer_defaults["callbacks"] = [
            self.together,
            FirstBatch(lambda _: keep(self.run_dir), *begins),
            *wandb_runs,
            ThroughputMeter(),
            FailedVideos(),
            FiniteLoss(),
            CompiledNetwork(),
            CastOnce(),
            ScoreLines(),
            seen,
            *checkpoints,
        ]
        if self.subcommand == "fit":
            best = next(each for each in checkpoints if isinstance(each, BestWeights))
            self.trainer_defaults["callbacks"].append(BestValidation(self.run_dir, checkpoint.monitor, goes_on=goes_on))
            self.trainer_defaults["callbacks"] += self._report()
            self.trainer_defaults["callbacks"].append(RunLines(best, self.run_dir / "config.yaml"))
            config = self.config[self.subcommand]
            named = config.optimizer.class_path if config.optimizer else None
            self.first_step = BeforeFirstStep(named, self.words, checkpoint.monitor)
            self.trainer_defaults["callbacks"] += [
                self._conditions(),
                OwnSplits(allowed=config.allow_contaminated),
                *self._transfer(seen),
                self.first_step,
            ]
        if self.subcommand == "validate":
            self.trainer_defaults["callbacks"].append(ValidationNotice(self.checkpoint))
        if self.subcommand == "test":
            self.trainer_defaults["callbacks"] += [*self._scoring(), *self._report()]
        if self.subcommand == "predict":
            predict = self._get(self.config, "predict")
            output = predict.output or self.run_dir / "predictions.csv"
            require_writable(output.parent, "--predict.output")
            figure = self.config[self.subcommand].figure
            if figure is not None:
                require_writable(figure.parent, "--figure")
            self.trainer_defaults["callbacks"].append(PredictionTable(output, predict.top, figure))
        trainer = cast(Trainer, super().instantiate_trainer(**kwargs))
        require_no_tuners(trainer)
        for each in wandb_runs:
            each.hold(trainer)
        return trainer

    def _wandb_runs(self, best: BestWeights) -> list[Any]:
        """What names and begins the W&B runs, where there are any."""
        config = self.config[self.subcommand]
        if not has_wandb(config.trainer):
            return []
        from benchmark.runs.wandb_runs import WandbRuns  # imports wandb, which not everybody has

        checkpoint = self.checkpoint if config.get("ckpt_path") else None
        goes_on = self.subcommand == "fit" and checkpoint is not None and self._is_own(config.ckpt_path)
        tags = [config[part].class_path.rpartition(".")[2] for part in ("model", "data")]
        names = str(self.subcommand), self.run_dir.absolute().name, self.experiment
        uploads = config.checkpoint.artifact
        return [WandbRuns(*names, tags, self._plain(), checkpoint, best=best, goes_on=goes_on, uploads=uploads)]

    def _is_own(self, checkpoint: str) -> bool:
        """Whether a checkpoint is of this run's folder."""
        return Path(checkpoint).resolve().parent == (self.run_dir / "checkpoints").resolve()

    def _plain(self) -> dict[str, Any]:
        """The whole configuration, as plain values."""
        text = self._parser(self.subcommand).dump(shareable(self.config[self.subcommand]), skip_none=False)
        held: dict[str, Any] = yaml.safe_load(text)
        return held

    def _conditions(self) -> TrainingConditions:
        """What checkpoints say of how they were trained; a fit that goes on in its own folder has to agree."""
        config = self.config[self.subcommand]
        chosen = {name: plain(config.get(name)) for name in ("seed_everything", "optimizer", "lr_scheduler")}
        data = vars(config.data.init_args) if config.data.get("init_args") else {}
        if not config.get("ckpt_path"):
            return TrainingConditions(chosen, data)
        return TrainingConditions(chosen, data, self.checkpoint, same_run=self._is_own(config.ckpt_path))

    def _transfer(self, seen: SeenVideos) -> list[Callback]:
        """What a fit with a regime needs: pretrained weights, frozen layers and their features."""
        config = self.config[self.subcommand]
        transfer, path = Transfer(**config.transfer.as_dict()), config.transfer.pretrained
        resumed = self.checkpoint if config.get("ckpt_path") else None
        found = None if path is None else read_checkpoint(str(path), "--transfer.pretrained")
        hashed = None if path is None else file_hash(Path(path))
        allowed = config.allow_contaminated
        callbacks = transfer_callbacks(transfer, found, resumed, seen, hashed, allow_contaminated=allowed)
        return [*callbacks, FeatureStore(transfer, self.run_dir)] if callbacks else []

    def _report(self) -> list[Callback]:
        """What leaves the run as a page."""
        config = self.config[self.subcommand]
        return [RunReport(self.run_dir, opens=config.open)] if config.report else []

    def _scoring(self) -> list[Callback]:
        """What turns a test into a ledger and a record."""
        config = self.config[self.subcommand]
        guard = ContaminationGuard(self.checkpoint, allowed=config.allow_contaminated)
        plain = self._plain()
        plain.pop("transfer")  # what was asked of this command; the checkpoint says what was done
        if facts := transfer_facts(self.checkpoint):
            plain["transfer"] = facts
        name = config.entry_name or usual_entry_name(plain["model"], self.checkpoint)
        same = {"batch_size": 0, "num_workers": 0, "multiprocessing_context": None}  # they change no score
        data = {**plain["data"], "init_args": {**plain["data"].get("init_args", {}), **same}}
        settings = {"model": plain["model"], "data": data, "code": code_facts().model_dump()}
        checkpoint, sample = Path(config.ckpt_path), config.sample
        writer = ResultWriter(
            *(self.run_dir, name, checkpoint, guard, plain, settings),
            sample_videos=sample.videos,
            sample_seed=sample.seed,
            sample_list=sample.list,
            keep_clips=config.keep_clips,
        )
        return [guard, writer, *wandb_mirrors(config.trainer, writer)]


def train(verb: str, words: Sequence[str]) -> None:
    """Run one of the four verbs.

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
        words: Its options.
    """
    words = with_literal_paths(with_files(words))
    require_named_classes(words)
    is_done = False
    try:
        with quiet():
            _run(verb, words)
        is_done = True
    except SIGTERMException:  # which Lightning would end with success
        hint = how_to_go_on() if verb == "fit" else ""
        print(f"clipbench: {verb} was stopped by SIGTERM before its end{hint}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM) from None
    finally:
        end_wandb_runs(failed=not is_done)


def _run(verb: str, words: Sequence[str]) -> None:
    BenchmarkCLI(
        [verb, *words],
        save_config_callback=ResolvedConfig,
        parser_kwargs={
            "prog": "clipbench",
            "exit_on_error": False,
            verb: parser_settings(verb, TRAINER_VERBS[verb]),
        },
    )
