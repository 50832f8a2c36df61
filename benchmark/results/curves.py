"""What a fit has logged, epoch by epoch."""

import csv
from pathlib import Path

from benchmark.errors import UserError

Curves = dict[str, tuple[list[int], list[float]]]
"""Epochs from 1 and values, by the logged name."""


def read_curves(folder: Path) -> Curves:
    """What a fit has logged in each epoch.

    Args:
        folder: Of a run, with `csv/`. Of runs that went on, the later files say what an epoch came to.

    Raises:
        UserError: If there is no log.
    """
    files = sorted(folder.glob("csv/version_*/metrics.csv"), key=lambda path: int(path.parent.name.partition("_")[2]))
    found: dict[str, dict[int, float]] = {}
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epoch = row.pop("epoch", "")
                for name, text in row.items():
                    if epoch and text and name != "step":
                        found.setdefault(name, {})[int(float(epoch)) + 1] = float(text)
    if not any(name.startswith("val/") or name == "train/loss_epoch" for name in found):
        raise UserError(f"{folder} has no csv/version_*/metrics.csv with an epoch of a fit in it")
    return {name: (sorted(held), [held[epoch] for epoch in sorted(held)]) for name, held in found.items()}
