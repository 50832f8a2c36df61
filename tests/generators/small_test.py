"""Arguments of a small fit and test on the embedded data, seconds each."""

from pathlib import Path

CONF = Path(__file__).resolve().parents[2] / "conf/multires.yaml"
VIDEOS = 32  # of the test list: 16 classes, one source group, two clips each
BROKEN = "v_Rise_g01_c01"  # a test video of fold 1


def options(root: Path, run: Path, *more: str, report: bool | None = False) -> list[str]:
    """Fold 1 of the smallest set, 3 clips a video, a very narrow network, one epoch.

    Args:
        root: Folder of the set.
        run: The run folder.
        more: Further options.
        report: Whether the run leaves a report, which takes as long as the rest; None for verbs that leave none.
    """
    return [
        *("--config", str(CONF), "--data.root", str(root), "--data.source_groups", "3"),
        *("--data.num_workers", "0", "--data.batch_size", "4", "--model.width", "0.05"),
        *("--data.clips_per_video", '{"train": 8, "train_epoch": 1, "validation": 1, "test": 3}'),
        *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.precision", "32-true"),
        *("--trainer.enable_progress_bar", "false", "--trainer.logger", "false"),
        *(() if report is None else ("--report", str(report).lower())),
        *("--run_dir", str(run), *more),
    ]
