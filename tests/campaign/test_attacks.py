"""The campaign itself: what crashes, hangs, grows or raises is a fault of its own attack, and the rest goes on."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.attacks import Kind, Outcome, make, require

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")


def attack(prepared: Any, seed: int, folder: Path) -> Outcome:
    assert prepared == "made once"
    (folder / "file").write_text("x", "utf-8")
    if seed == 2:
        os._exit(3)
    if seed == 3:
        time.sleep(30)
    if seed == 4:
        raise KeyError("lost")
    if seed == 5:
        folder.chmod(0)
    require(seed != 6, "that must not be")
    return Outcome("refused" if seed % 2 else "survived", f"attack {seed}")


def test_every_attack_is_counted_and_every_fault_can_be_made_again(tmp_path: Path) -> None:
    kind = Kind("made", attack, lambda folder: "made once", size=9, seconds=2)
    said = list[str]()
    tally = make(kind, 0, 9, 60, tmp_path, said.append)
    assert (tally.tried, tally.survived, tally.refused) == (9, 2, 3)
    faults = dict(tally.faults)
    assert [*faults] == [2, 3, 4, 6]
    assert faults[2] == "the process ended with 3"
    assert faults[3] == "nothing for 2 seconds"
    assert faults[4].startswith("KeyError: 'lost' (File ")
    assert faults[6] == "that must not be"
    assert "python -m tests.campaign --only made --seed 6 --size 1" in said[-1]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["prepared"]  # and nothing of any attack


def slow(prepared: Any, seed: int, folder: Path) -> Outcome:
    time.sleep(0.1)
    return Outcome("survived", "slowly")


def test_a_campaign_ends_when_its_time_is_over(tmp_path: Path) -> None:
    kind = Kind("slow", slow, lambda folder: None, size=9)
    tally = make(kind, 0, 1000, 0.3, tmp_path, print)
    assert 0 < tally.tried < 100


def test_what_cannot_be_prepared_is_no_fault_of_an_attack(tmp_path: Path) -> None:
    kind = Kind("lost", attack, lambda folder: 1 / 0, size=9)
    with pytest.raises(RuntimeError, match="lost could not be prepared"):
        make(kind, 0, 1, 10, tmp_path, print)
