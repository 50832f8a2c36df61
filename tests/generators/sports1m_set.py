"""Lists in Sports-1M's format, and small videos for their ids."""

from collections.abc import Sequence
from pathlib import Path

from tests.generators.encoded import encode

CLASSES = 3


def ids(count: int) -> list[str]:
    """Distinct ids of 11 characters, the same each time."""
    return [f"vid{number:04d}-_{'AbC'[number % 3]}z"[:11].ljust(11, "q") for number in range(count)]


def write_lists(folder: Path, names: Sequence[str], *, tests: int) -> Path:
    """The official lists of some ids, the first `tests` of them to test on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.txt").write_text("".join(f"sport {number}\n" for number in range(CLASSES)), "utf-8")
    lines = [f"https://www.youtube.com/watch?v={name} {number % CLASSES}\n" for number, name in enumerate(names)]
    (folder / "test_partition.txt").write_text("".join(lines[:tests]), "utf-8")
    (folder / "train_partition.txt").write_text("".join(lines[tests:]), "utf-8")
    return folder


def write_videos(folder: Path, names: Sequence[str], *, frames: int = 40) -> Path:
    """A small video an id, each of another length from `frames` on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        encode(folder / f"{name}.mp4", frames=frames + number % 7, options={"g": "12", "threads": "1"})
    return folder
