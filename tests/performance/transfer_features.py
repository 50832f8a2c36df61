"""Processor time of a fit on stored features against one that runs the whole network; run it, it is no test.

nice -n 19 python tests/performance/transfer_features.py --epochs 40
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as L

from benchmark.cli import main
from benchmark.data.synthetic import read_synthetic_index

CONF = Path(__file__).resolve().parents[2] / "conf/multires.yaml"


class Clock(L.Callback):
    """Seconds of the processor between the beginning and the end of a fit, features included."""

    seconds = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Begin."""
        Clock.seconds = -time.process_time()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End."""
        Clock.seconds += time.process_time()


def measure(root: Path, run: Path, *more: str) -> float:
    """Processor seconds of one fit."""
    words: list[Any] = ["fit", "--config", CONF, "--run_dir", run, "--data.root", root, "--data.source_groups", "3"]
    words += ["--data.num_workers", "0", "--trainer.logger", "false", "--trainer.enable_progress_bar", "false"]
    words += ["--trainer.callbacks", "tests.performance.transfer_features.Clock", "--trainer.accelerator", "cpu"]
    words += ["--trainer.enable_model_summary", "false", *more]
    if main([str(word) for word in words]):
        raise SystemExit(1)
    from tests.performance.transfer_features import Clock as Ran  # the class that the command line has imported

    return Ran.seconds


def compare(epochs: int, clips: int) -> None:
    """Print the time of each regime, with and without stored features."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        read_synthetic_index(root, source_groups=3)
        classes = ["--data.classes", "[Discs, Tiles, Stripes, Blobs]"]
        measure(root, root / "pre", *classes, "--trainer.max_epochs", "1")
        source = ["--transfer.pretrained", str(root / "pre/checkpoints/last.ckpt")]
        shared = ["--data.classes", "[Expand, Contract, Rise, Sink]", "--trainer.max_epochs", str(epochs)]
        shared += ["--data.clips_per_video.train", str(clips)]
        seconds = {}
        for regime, draws in (("all", 0), ("top3", 0), ("top3", 4), ("top", 0), ("top", 4)):
            options = [*shared, *source, "--transfer.regime", regime, "--transfer.feature_draws", str(draws)]
            seconds[regime, draws] = measure(root, root / f"{regime}-{draws}", *options)
        for (regime, draws), spent in seconds.items():
            print(f"{regime:5s} feature_draws {draws}: {spent:7.2f} s, {seconds['all', 0] / spent:5.1f} x all")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--clips", type=int, default=4, help="Training clips of each video.")
    chosen = parser.parse_args()
    compare(chosen.epochs, chosen.clips)
