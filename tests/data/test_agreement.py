"""Processes of a run compare the videos that they hold before they begin."""

from pathlib import Path

import pytest

from tests.generators.ranks import two_processes

_INDEX = """
from benchmark.data.agreement import require_same_index
from benchmark.data.index import VideoIndex
from benchmark.identity import Identity
from benchmark.errors import UserError
names, labels, classes = [f"v{n}.mp4" for n in range(40)], [[n % 2] for n in range(40)], ["A", "B"]
held = list(names)
def read():
    identity = Identity("Made", 1, None)
    return VideoIndex.from_columns(
        identity, Path(f"root{rank}"), classes, video_id=names, path=held, labels=labels, split=["train"] * 40
    )
"""
_COMPARE = """
try:
    require_same_index(read, 2)
except UserError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("held[:10] = [None] * 10", "process 1 lacks 10 videos that process 0 holds (v0.mp4, v1.mp4, v2.mp4"),
        ("labels[7] = [0]", "v7.mp4 has classes [1] of train in process 0 and [0] of train in process 1"),
        ("classes.reverse()", "whose classes are ('A', 'B') in process 0 and ('B', 'A') in process 1"),
        ("names.reverse(); labels.reverse(); held.reverse()", "the same videos in another order in process 1"),
    ],
)
def test_a_difference_is_named_by_every_process(tmp_path: Path, change: str, said: str) -> None:
    for code, text in two_processes(tmp_path, f"{_INDEX}\nif rank == 1: {change}\n{_COMPARE}"):
        assert code == 1
        assert said in text


def test_what_one_process_cannot_read_ends_both(tmp_path: Path) -> None:
    fails = "\nif rank == 1:\n    def read(): raise UserError('no folder there')\n"
    (_, first), (_, second) = two_processes(tmp_path, _INDEX + fails + _COMPARE)
    assert "process 1 of 2 cannot begin: no folder there" in first
    assert second.endswith("no folder there\n")


def test_equal_videos_in_other_folders_pass(tmp_path: Path) -> None:
    assert [code for code, _ in two_processes(tmp_path, _INDEX + _COMPARE)] == [0, 0]
