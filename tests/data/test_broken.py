"""What is said of videos that cannot be opened, and of classes that cannot be learned."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark.data.broken import unlearnable_classes, what_was_found
from benchmark.data.index import Split, VideoIndex
from benchmark.identity import Identity
from tests.generators.videos import write_video

CLASSES = ("jump", "run", "swim")


def index(root: Path, videos: Sequence[tuple[str, str, Split]], missing: Sequence[str] = ()) -> VideoIndex:
    """Videos by name, class and split."""
    return VideoIndex.from_columns(
        Identity("few"),
        root,
        CLASSES,
        video_id=[name for name, _, _ in videos],
        path=[None if name in missing else name for name, _, _ in videos],
        labels=[[CLASSES.index(label)] for _, label, _ in videos],
        split=[split for _, _, split in videos],
    )


ALL: tuple[tuple[str, str, Split], ...] = (
    *(("a.mp4", "jump", "train"), ("b.mp4", "run", "train"), ("c.mp4", "run", "train")),
    *(("d.mp4", "swim", "train"), ("e.mp4", "swim", "test")),
)


@pytest.mark.parametrize(
    ("broken", "missing", "classes"),
    [
        ([], [], []),
        (["a.mp4"], [], ["jump"]),
        (["b.mp4"], [], []),
        (["b.mp4", "c.mp4"], [], ["run"]),
        (["b.mp4"], ["c.mp4"], ["run"]),
        (["a.mp4"], ["d.mp4"], ["jump", "swim"]),  # what is in the test split teaches nothing
        (["e.mp4"], [], []),
    ],
)
def test_a_class_needs_a_training_video_that_can_be_read(
    broken: list[str], missing: list[str], classes: list[str]
) -> None:
    assert unlearnable_classes(index(Path(), ALL, missing), broken) == classes


def test_where_nothing_is_to_train_on_nothing_is_to_learn() -> None:
    assert unlearnable_classes(index(Path(), [("a.mp4", "jump", "test")]), ["a.mp4"]) == []


def test_a_class_whose_only_video_is_broken_is_named_before_training(tmp_path: Path) -> None:
    for name, _, _ in ALL:
        write_video(tmp_path / name)
    assert what_was_found(index(tmp_path, ALL), "pyav").endswith("; 0 broken")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    summary, broken, warning = what_was_found(index(tmp_path, ALL), "pyav").splitlines()
    assert summary.endswith("; 1 broken")
    assert broken.startswith("  broken: a.mp4 (")
    assert warning == "warning: 1 class has no training video that can be read, and cannot be learned: jump"
