"""Who uses the folder of a cache, while others remove what nobody uses."""

import os
from pathlib import Path

import pytest

from benchmark.data import cache_claim
from benchmark.data.cache_claim import claim, remove_unused
from benchmark.data.own_files import private_folder

pytest.importorskip("fcntl", reason="the cache needs a POSIX system")


def test_a_folder_goes_only_while_nobody_has_claimed_it(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    files = [claim(folder), claim(folder)]
    for file in files:
        assert not remove_unused(folder)
        os.close(file)
    assert remove_unused(folder)
    assert not folder.exists()


def test_a_folder_that_goes_while_it_is_claimed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = tmp_path / "store", private_folder

    def removed_once(path: Path) -> Path:
        monkeypatch.setattr(cache_claim, "private_folder", made)
        there = made(path)
        assert remove_unused(there)  # by another run
        return there

    monkeypatch.setattr(cache_claim, "private_folder", removed_once)
    file = claim(folder)
    assert not remove_unused(folder)
    os.close(file)
