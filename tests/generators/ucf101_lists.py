"""Official-looking UCF-101 lists over a few classes, with the carriage returns that the real ones have."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.data.ucf101 import read_classes

Clips = Mapping[str, Sequence[str]]


def listed_line(class_name: str, clip: str) -> str:
    """A video as a list names it; clip is like "g01_c02". One class differs in case between folder and file."""
    stem = "HandStandPushups" if class_name == "HandstandPushups" else class_name
    return f"{class_name}/v_{stem}_{clip}.avi"


def write_lists(folder: Path, train: Clips, test: Clips, folds: Sequence[int] = (1, 2, 3)) -> Path:
    """Write trainlistNN.txt and testlistNN.txt with the same content for each fold."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {name: number for number, name in enumerate(read_classes(), start=1)}
    train_lines = [f"{listed_line(name, clip)} {numbers[name]}\r\n" for name, clips in train.items() for clip in clips]
    test_lines = [f"{listed_line(name, clip)}\r\n" for name, clips in test.items() for clip in clips]
    for fold in folds:
        (folder / f"trainlist{fold:02d}.txt").write_bytes("".join(train_lines).encode())
        (folder / f"testlist{fold:02d}.txt").write_bytes("".join(test_lines).encode())
    return folder
