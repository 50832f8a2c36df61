"""Loggers of a configuration: where they write, and what becomes of W&B's without wandb."""

import os

import pytest
from jsonargparse import Namespace

from benchmark.errors import UserError
from benchmark.runs import loggers
from benchmark.runs.loggers import configured_loggers, leave_out_wandb, move_logs

REASON = "is not installed; run: pip install 'clipbench[wandb]'"


def space(**values: object) -> Namespace:
    made: Namespace = Namespace(**values)  # type: ignore[no-untyped-call]
    return made


def logger(name: str, **options: object) -> Namespace:
    return space(class_path=f"lightning.pytorch.loggers.{name}", init_args=space(**options))


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "why_missing", {"wandb": REASON}.get)


@pytest.mark.parametrize("held", [None, True, False, []])
def test_there_may_be_no_logger(held: object, absent: None) -> None:
    trainer = space(logger=held)
    assert configured_loggers(trainer) == []
    assert leave_out_wandb(trainer, space(artifact=False)) is None
    assert trainer.logger == held


def test_logs_without_a_folder_move() -> None:
    trainer = space(
        logger=[
            logger("CSVLogger", save_dir="."),
            logger("WandbLogger", save_dir=None),
            logger("CSVLogger", save_dir="x"),
        ]
    )
    move_logs(trainer, ".", "run")
    assert [held.init_args.save_dir for held in trainer.logger] == ["run", "run", "x"]
    single = space(logger=logger("CSVLogger", save_dir="."))
    move_logs(single, ".", "run")
    assert single.logger.init_args.save_dir == "run"


def test_a_logger_that_takes_no_folder_is_left_as_it_is() -> None:
    bare = space(class_path="tests.runs.test_loggers.Bare")
    trainer = space(logger=[bare, logger("CometLogger", project="x")])
    move_logs(trainer, ".", "run")
    assert trainer.logger == [space(class_path=bare.class_path), logger("CometLogger", project="x")]


def test_offline_logs_are_left_out(absent: None) -> None:
    kept = logger("CSVLogger", save_dir=".")
    trainer = space(logger=[kept, logger("WandbLogger", offline=True)])
    assert leave_out_wandb(trainer, space(artifact=False)) == f"no W&B logs: wandb {REASON}"
    assert trainer.logger == [kept]
    alone = space(logger=logger("WandbLogger", offline=True))
    assert leave_out_wandb(alone, space(artifact=False)) == f"no W&B logs: wandb {REASON}"
    assert alone.logger is False


def test_online_logs_are_not_left_out_in_silence(absent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for online in (logger("WandbLogger", offline=False), logger("WandbLogger", offline=None)):
        with pytest.raises(
            UserError, match=r"trainer\.logger sends logs to W&B, which needs wandb, which is not installed"
        ):
            leave_out_wandb(space(logger=[online]), space(artifact=False))


def test_with_wandb_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "why_missing", lambda library: None)
    trainer = space(logger=[logger("WandbLogger", offline=True)])
    monkeypatch.delenv("WANDB_SILENT", raising=False)
    assert "stay in the run folder" in str(leave_out_wandb(trainer, space(artifact=False)))
    assert os.environ["WANDB_SILENT"] == "true"
    assert len(trainer.logger) == 1


def test_logs_that_are_switched_off_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for offline in (True, False):
        kept = logger("CSVLogger", save_dir=".")
        trainer = space(logger=[kept, logger("WandbLogger", offline=offline)])
        assert leave_out_wandb(trainer, space(artifact=False)) == "no W&B logs: wandb is switched off by WANDB_MODE"
        assert trainer.logger == [kept]


@pytest.mark.parametrize("log_model", [True, "all", False])
def test_a_model_that_cannot_be_uploaded_becomes_an_artifact(
    log_model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(loggers, "why_missing", lambda library: None)
    checkpoint = space(artifact=False)
    held = logger("WandbLogger", offline=True, log_model=log_model)
    said = str(leave_out_wandb(space(logger=[held]), checkpoint))
    assert held.init_args.log_model is False  # Lightning refuses it offline
    assert checkpoint.artifact is bool(log_model)
    assert ("left as an artifact" in said) is bool(log_model)
    assert all(len(line) < 80 for line in said.splitlines())
