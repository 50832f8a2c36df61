"""Entries to audit, and tests of an audit that run in this process, which takes a tenth of the time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmark.cli import main
from benchmark.commands import entry_audit
from benchmark.commands.entry_audit import EntryAudit
from benchmark.errors import UserError
from benchmark.isolation import Isolation
from benchmark.leaderboard.entries import add_entry


def run_here(
    settings: dict[str, Any], checkpoint: Path, run_dir: Path, *more: str, isolate: bool = False
) -> Isolation | None:
    """As `run_test`, but in this process, and so with its network."""
    config = run_dir.with_suffix(".yaml")
    config.write_text(yaml.safe_dump({**settings, "trainer": {**settings["trainer"], "accelerator": "cpu"}}), "utf-8")
    words = ["--config", str(config), "--ckpt_path", str(checkpoint), "--run_dir", str(run_dir), *more]
    words += ["--trainer.logger", "false", "--trainer.enable_progress_bar", "false", "--report", "false"]
    if main(["test", *words]):
        raise UserError("the recorded test does not run here")
    return "connections refused by Python alone"


def problems(
    monkeypatch: pytest.MonkeyPatch, folder: Path, checkpoint: str, data_root: Path, *, copies: int = 60
) -> dict[str, str]:
    """What an audit of a whole entry finds against it, by what it looked at."""
    monkeypatch.setattr(entry_audit, "run_test", run_here)
    audit = EntryAudit(folder, Path(checkpoint), data_root, None, True, 0.01)
    _, findings = audit.run(200, copies)
    return {each.about: each.said for each in findings if each.outcome == "problem"}


def entered(run: Path, root: Path) -> Path:
    """The folder of a test that has become an entry."""
    return add_entry(run, root)


def words(root: Path, run: Path, model: str, *more: str) -> list[str]:
    """Options of a small fit or test."""
    return [
        *("--model", model, "--data", "VideoFolder", "--data.root", str(root), "--data.num_workers", "0"),
        *("--data.clips_per_video", '{"train": 1, "train_epoch": 1, "validation": 1, "test": 2}'),
        *("--data.test_views", "[upper_left, lower_right_flipped]", "--data.batch_size", "8"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.logger", "false"),
        *("--trainer.precision", "32-true", "--report", "false", "--run_dir", str(run), *more),
    ]


def rewritten(checkpoint: str, path: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """Another checkpoint with something changed."""
    held = torch.load(checkpoint, weights_only=True)
    change(held)
    torch.save(held, path)
    return str(path)
