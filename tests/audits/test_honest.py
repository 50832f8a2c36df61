"""No honest entry is accused by an audit, whatever its architecture, precision and batch."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli import main
from tests.generators.audits import entered, problems, words

NARROW = ("--model.width", "0.05")
HONEST: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "a plugin": ("tests.generators.cheats.Tint", (), ()),
    "a constant": ("tests.generators.cheats.ZeroTint", (), ()),
    "single frame": ("SingleFrame", ("--model.resolution", "context", *NARROW), ()),
    "multires": ("SingleFrame", ("--model.resolution", "multires", *NARROW), ()),
    "late fusion": ("LateFusion", ("--model.resolution", "context", *NARROW), ()),
    "early fusion": ("EarlyFusion", ("--model.resolution", "fovea", *NARROW), ()),
    "bfloat16": ("tests.generators.cheats.Tint", (), ("--trainer.precision", "bf16-mixed")),
    "float64": ("tests.generators.cheats.Tint", (), ("--trainer.precision", "64-true")),
    "batches of one": ("tests.generators.cheats.Tint", (), ("--data.batch_size", "1")),
    "large batches": ("tests.generators.cheats.Tint", (), ("--data.batch_size", "64", "--data.num_workers", "1")),
    "seconds": ("tests.generators.cheats.Tint", (), ("--data.clip_seconds", "0.5")),
}


@pytest.mark.parametrize("name", HONEST)
def test_nobody_honest_is_accused(
    name: str,
    fitted: Callable[..., str],
    tested_as: Callable[..., Path],
    tinted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, options, tested = HONEST[name]
    checkpoint = fitted(model, *options, "--checkpoint.monitor", "val/video_hit1")
    folder = entered(tested_as(model, checkpoint, *options, *tested), tmp_path / "boards")
    assert problems(monkeypatch, folder, checkpoint, tinted) == {}


def test_an_average_is_not_accused(
    fitted: Callable[..., str], tinted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [
        fitted("SingleFrame", "--model.resolution", "context", *NARROW),
        fitted("LateFusion", "--model.resolution", "context", *NARROW),
    ]
    run = tmp_path / "run"
    assert main(["test", *words(tinted, run, "Average", "--model.checkpoints", f"[{', '.join(members)}]")]) == 0
    folder = entered(run, tmp_path / "boards")
    assert problems(monkeypatch, folder, str(run / "average.ckpt"), tinted) == {}
