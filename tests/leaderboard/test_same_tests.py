"""Whether two entries are of the same test, against counts by hand."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.errors import UserError
from benchmark.leaderboard.entries import add_entry, check_entries
from benchmark.leaderboard.same_tests import other_videos
from benchmark.results.ledger import Ledger
from tests.generators.ledgers import make_ledger, write_run


def renamed(ledger: Ledger, count: int) -> Ledger:
    """The same with other names of the first videos."""
    names = [f"other{n}" if n < count else name for n, name in enumerate(ledger.video_ids)]
    return Ledger(ledger.info, ledger.table.set_column(0, ledger.table.schema.field(0), pa.array(names)))


@pytest.mark.parametrize(("renamed_videos", "differ"), [(0, False), (2, False), (3, True), (100, True)])
def test_ledgers_share_98_of_100_videos(renamed_videos: int, differ: bool) -> None:
    one, other = make_ledger(1, videos=100), make_ledger(1, videos=100, model_seed=2)
    found = other_videos(one, renamed(other, renamed_videos))
    assert (found is not None) == differ
    if found is not None:
        assert f"{100 - renamed_videos} of its 100 test videos are among the 100 of the other" in found


def test_one_that_lacks_videos_is_of_the_same_test() -> None:
    """It has no rank, and is no other dataset."""
    whole = make_ledger(1, videos=100)
    assert other_videos(whole, whole.select(np.arange(60))) is None


def test_an_official_list_says_which_videos_there_are() -> None:
    """Of a list of which half is gone everywhere, two may hold different halves."""
    one = make_ledger(1, videos=100, official_videos=1000)
    assert other_videos(one, renamed(one, 100)) is None


def test_two_datasets_of_one_name_share_no_board(tmp_path: Path) -> None:
    root = tmp_path / "leaderboards"
    for name, rows, seed in (("first", range(40), 2), ("second", range(30, 70), 3)):
        ledger = make_ledger(1, videos=70, model_seed=seed, dataset="videos").select(np.array(rows))
        info = dataclasses.replace(ledger.info, held_videos=40)
        write_run(tmp_path / name, Ledger(info, ledger.table), name=name)
    add_entry(tmp_path / "first", root)
    with pytest.raises(UserError, match=r"cannot be on a board with videos/fold1/first-.*: 10 of its 40 test videos"):
        add_entry(tmp_path / "second", root)
    assert check_entries(root)[1] == []
    add_entry(tmp_path / "second", tmp_path / "elsewhere")
    (made,) = (tmp_path / "elsewhere" / "videos" / "fold1").iterdir()
    made.rename(root / "videos" / "fold1" / made.name)
    (problem,) = check_entries(root)[1]
    assert "it cannot be on a board with videos/fold1/first-" in problem
