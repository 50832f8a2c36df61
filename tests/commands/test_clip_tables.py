import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main as cli
from benchmark.commands.rescore import main
from benchmark.errors import UserError
from benchmark.protocol import Protocol
from benchmark.results.calibration import brier
from benchmark.results.scores import metrics
from tests.generators.ledgers import draw_clips, draw_labels, ledger_of_clips, make_clips, write_run

LABELS = draw_labels(0, 40, 5)
PROBABILITIES = draw_clips(1, LABELS, 6)
LEDGER = ledger_of_clips(PROBABILITIES, LABELS, failed=np.arange(40) == 7)
CLIPS = make_clips(PROBABILITIES, LEDGER, draw_clips(2, draw_labels(2, 12, 5), 2))


def test_the_curve_is_that_of_tests_with_fewer_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, LEDGER, clips=CLIPS)
    assert main([str(tmp_path), "--curve", "true", "--output", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert "clips a video" in printed
    assert "the ledger's hash and its clips" in printed
    held = json.loads((tmp_path / "out.json").read_text("utf-8"))["curve"]
    assert [point["clips_per_video"] for point in held] == [1, 2, 3, 5, 6]
    for point in held:
        count = point["clips_per_video"]
        shorter = ledger_of_clips(
            PROBABILITIES[:, :count], LABELS, failed=np.arange(40) == 7, protocol=Protocol(clips_per_video=count)
        )
        for name, value in metrics(shorter).items():
            assert point["metrics"][name]["value"] == pytest.approx(value, abs=1e-6)
        assert point["gflop_per_video"] == pytest.approx(1.5 * 4 * count)
        assert point["seconds_per_video"] == pytest.approx(count / 100)


def test_calibration_is_that_of_videos_clips_and_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, LEDGER, clips=CLIPS)
    assert main([str(tmp_path), "--calibration", "true", "--output", str(tmp_path / "out.json")]) == 0
    held = json.loads((tmp_path / "out.json").read_text("utf-8"))["calibration"]
    rows = np.flatnonzero(LEDGER.scored)
    assert held["videos"]["brier"] == pytest.approx(brier(LEDGER.scores[rows], LABELS[rows]))
    clips, truth = PROBABILITIES[rows].reshape(-1, 5), np.repeat(LABELS[rows], 6, 0)
    assert held["clips"]["brier"] == pytest.approx(brier(clips, truth))
    assert sum(each["count"] for each in held["clips"]["reliability"]) == len(clips)
    assert "validation videos" in held
    assert "probability of the best class" in capsys.readouterr().out


def test_an_older_test_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, LEDGER)
    assert main([str(tmp_path), "--calibration", "true"]) == 0
    assert "clips and validation videos: not kept by this test" in capsys.readouterr().out
    with pytest.raises(UserError, match="--curve true needs what was said of single clips, and there is none"):
        main([str(tmp_path), "--curve", "true"])


def test_changed_clips_deny_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, LEDGER, clips=CLIPS)
    make_clips(PROBABILITIES[:, ::-1], LEDGER).write(tmp_path / "clips.parquet")
    assert cli(["rescore", str(tmp_path)]) == 1
    assert "the scores of its clips have the SHA-256" in capsys.readouterr().out
    (tmp_path / "clips.parquet").unlink()
    assert cli(["rescore", str(tmp_path)]) == 0
    assert "not checked: scores of single clips" in capsys.readouterr().out
