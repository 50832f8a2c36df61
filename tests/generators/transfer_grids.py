"""Small grids of transfer, and their cells run in this process."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark.cli import main
from benchmark.grid.processes import CellFailure

ROOT = Path(__file__).resolve().parents[2]
MOTION = ["Expand", "Contract", "Rise", "Sink"]


def write_config(folder: Path, small_set: Path, **grid: Any) -> Path:
    """A grid of `top` and `scratch` on folds 1 and 2 of the motion classes, one epoch each."""
    config = yaml.safe_load((ROOT / "conf/transfer/embedded.yaml").read_text("utf-8"))
    regimes = {"top": {"keep_probabilities": [0.2, 0.9]}, "scratch": {"keep_probabilities": [0.9], "max_epochs": 1}}
    config["grid"] = {"regimes": regimes, "folds": [1, 2], "feature_draws": 4, **grid}
    config["data"]["init_args"].update(root=str(small_set), classes=MOTION, batch_size=4)
    config["trainer"] = {"max_epochs": 2, "accelerator": "cpu", "precision": "32-true", "logger": False}
    config["trainer"]["enable_progress_bar"] = False
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    return path


class InProcess:
    """Runs the verbs of cells in this process; raises where it is told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.dies_at: str | None = None

    def __call__(self, words: Sequence[str], folder: Path, lock: int) -> None:
        what = f"{words[0]} {folder.name}"
        self.ran.append(what)
        (folder / "log.txt").touch()
        if self.dies_at == what:
            raise KeyboardInterrupt("killed")
        error, sys.stderr = sys.stderr, io.StringIO()
        try:
            code, said = main(words), sys.stderr.getvalue()
        finally:
            sys.stderr = error
        if code:
            raise CellFailure(said.strip().splitlines()[-1].removeprefix("clipbench: "))
