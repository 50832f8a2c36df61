from pathlib import Path

import pytest

from benchmark.cli import main as cli
from benchmark.commands.protocol import main
from benchmark.results.record import FILE_NAME
from tests.generators.ledgers import make_ledger, write_run


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_run(tmp_path, make_ledger(classes=3, chosen=("A", "B", "C")), name="An entry")
    for path in (tmp_path, tmp_path / FILE_NAME):
        assert main(["show", str(path)]) == 0
        printed = capsys.readouterr().out.splitlines()
        rows = dict(text.split("  ", 1) for text in printed[:-1])
        assert {name: value.strip() for name, value in rows.items()} == {
            "record": "An entry",
            "dataset": "Made",
            "fold": "1",
            "classes": "3: A, B, C",
            "clip_frames": "16",
            "frame_side": "200",
            "sampler_seed": "2014",
            "clips_per_video": "4",
            "views": "upper_left, upper_left_flipped, lower_right, lower_right_flipped",
            "averaging": "mean_probability",
            "clip_seconds": "None",
            "version": "1",
            "stored": "None",
            "protocol hash": record.protocol_hash,
        }


def test_show_does_not_believe_a_stated_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_run(tmp_path, make_ledger())
    record.model_copy(update={"protocol_hash": "f" * 16}).write(tmp_path / FILE_NAME)
    assert main(["show", str(tmp_path)]) == 1
    assert "states the hash ffffffffffffffff, which is not" in capsys.readouterr().out


def test_diff_of_comparable_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "a", make_ledger())
    write_run(tmp_path / "b", make_ledger(4))
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "b" / FILE_NAME)]) == 0
    printed = capsys.readouterr().out
    assert printed == "the records can be compared: dataset, fold, class subset and protocol agree\n"


def test_diff_says_where_other_videos_were_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_run(tmp_path / "a", make_ledger(official_videos=60))
    other = record.dataset.model_copy(update={"fingerprint": "f" * 16, "held_videos": 55})
    record.model_copy(update={"dataset": other}).write(tmp_path / "b.json")
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "b.json")]) == 0
    printed = capsys.readouterr().out
    assert "not scored on the same videos" in printed
    assert printed.splitlines()[-1].split()[:3] == ["second", "55", "60"]


def test_diff_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "a", make_ledger())
    write_run(tmp_path / "b", make_ledger(clips=2, fold=None))
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert capsys.readouterr().out == (
        "the records cannot be compared:\n"
        "  the fold is 1 in the first and none in the second\n"
        "  the protocol's clips_per_video is 4 in the first and 2 in the second\n"
    )


def test_wrong_paths_and_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["protocol", "show", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("clipbench: there is no record")
    for arguments in ([], ["shout"], ["diff", "one"]):
        assert cli(["protocol", *arguments]) == 2
        assert capsys.readouterr().err.startswith("clipbench: ")
