import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard import entries
from benchmark.leaderboard.entries import add_entry, check_entries
from benchmark.results.record import Record
from tests.generators.ledgers import draw_clips, draw_labels, ledger_of_clips, make_clips, write_run

LABELS = draw_labels(0, 40, 5)
PROBABILITIES = draw_clips(1, LABELS, 6)
LEDGER = ledger_of_clips(PROBABILITIES, LABELS, official_videos=40)
CLIPS = make_clips(PROBABILITIES, LEDGER)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", LEDGER, clips=CLIPS)
    return tmp_path / "run"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "boards").mkdir()
    return tmp_path / "boards"


def test_an_entry_takes_its_clips_along(run: Path, root: Path) -> None:
    folder = add_entry(run, root)
    assert (folder / "clips.parquet").read_bytes() == (run / "clips.parquet").read_bytes()
    assert check_entries(root)[1:] == ([], [])


def test_changed_clips_are_caught_also_with_their_new_hash(run: Path, root: Path) -> None:
    folder = add_entry(run, root)
    other = make_clips(np.roll(PROBABILITIES, 1, 1), LEDGER)  # of which the means are the same
    sha256 = other.write(folder / "clips.parquet")
    (problem,) = check_entries(root)[1]
    assert "the scores of its clips have the SHA-256" in problem
    held = json.loads((folder / "record.json").read_text("utf-8"))
    held["clips"]["sha256"] = sha256
    (folder / "record.json").write_text(json.dumps(held), "utf-8")
    (problem,) = check_entries(root)[1]
    assert "the ranks in its ledger are not those of the scores of its clips" in problem
    (folder / "clips.parquet").unlink()
    (problem,) = check_entries(root)[1]
    assert "clips.parquet is missing, and the record has no address for it" in problem
    held["clips"] = None
    (folder / "record.json").write_text(json.dumps(held), "utf-8")
    assert check_entries(root)[1:] == ([], [])
    CLIPS.write(folder / "clips.parquet")
    (problem,) = check_entries(root)[1]
    assert "clips.parquet is not named in its record" in problem


def test_large_clips_stay_out_or_elsewhere(run: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "LARGEST_LEDGER_BYTES", 100_000)
    write_run(run, LEDGER, clips=make_clips(PROBABILITIES, LEDGER, draw_clips(5, draw_labels(5, 4000, 5), 6)))
    folder = add_entry(run, root)
    assert Record.read(folder).clips is None
    assert not (folder / "clips.parquet").exists()
    assert check_entries(root)[1:] == ([], [])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder = add_entry(run, root, clips_url="https://example.org/clips.parquet")
    kept = Record.read(folder).clips
    assert kept is not None
    assert not (folder / "clips.parquet").exists()
    ((), (line,)) = check_entries(root)[1:]
    assert "scores of single clips, whose file is not at hand; fetch https://example.org/clips.parquet as" in line
    (root.parent / "large").mkdir()
    (run / "clips.parquet").replace(root.parent / "large" / f"{kept.sha256}.parquet")
    assert check_entries(root, root.parent / "large")[1:] == ([], [])
