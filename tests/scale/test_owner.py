from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.scale.owner import claim


def test_a_run_goes_on_and_another_of_its_name_is_refused(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    claim(store, Path("/runs/seed0/slow"))
    claim(store, Path("/runs/seed0/slow"))
    claim(f"file://{store}", Path("/runs/seed0/fast"))
    with pytest.raises(UserError, match=r"holds checkpoints of /runs/seed0/slow and not of /runs/seed1/slow"):
        claim(store, Path("/runs/seed1/slow"))
    (tmp_path / "store" / "slow" / "run_dir.txt").unlink()
    claim(store, Path("/runs/seed1/slow"))


@pytest.mark.parametrize("store", ["relative", "no-such://store", "FILE"])
def test_a_store_that_cannot_be_used_is_one_message(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.raises(UserError, match="which cannot be used"):
        claim(store.replace("FILE", str(tmp_path / "file")), Path("/runs/slow"))
