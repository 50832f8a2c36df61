import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main as cli
from benchmark.commands.compare import main
from benchmark.errors import UserError
from benchmark.metrics.arrays import average_precision
from benchmark.results.ledger import FILE_NAME
from benchmark.results.scores import metrics
from tests.generators.ledgers import make_ledger, write_run

BETTER = make_ledger(0, videos=90, classes=8, skill=2.5)
WORSE = make_ledger(0, model_seed=8, videos=90, classes=8, skill=0.5)


def test_differences_tests_and_classes_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "a", BETTER, name="Better one")
    write_run(tmp_path / "b", WORSE, name="Worse one", provenance="contaminated")
    assert main([str(tmp_path / "a"), str(tmp_path / "b" / FILE_NAME), "--classes", "2"]) == 0
    printed = capsys.readouterr().out
    assert "first: Better one (" in printed
    assert "second: Worse one (" in printed
    assert "HAVE SEEN test videos" in printed
    one, other = metrics(BETTER), metrics(WORSE)
    shown = re.search(r"^video Hit@1 +(.*)$", printed, re.M)
    assert shown is not None
    expected = [f"{100 * v:.1f}" for v in (one["video_hit1"], other["video_hit1"])]
    expected.append(f"{100 * (one['video_hit1'] - other['video_hit1']):+.1f}")
    assert re.findall(r"([+-]?[\d.]+)%", shown[1])[:3] == expected
    assert "on 90 common videos with labels, failed ones counted as wrong" in printed
    assert "that both have decoded" in printed
    assert "McNemar's exact test: p = " in printed
    assert "at video level and treats videos as independent" in printed
    assert "test over source groups: p = " in printed
    gains = average_precision(BETTER.scores, BETTER.labels) - average_precision(WORSE.scores, WORSE.labels)
    best = BETTER.info.class_names[int(np.argmax(gains))]
    table = printed.split("classes better with the first")[1].splitlines()
    assert table[1].split()[:2] == [best, f"{gains.max():+.3f}"]


def test_a_ledger_against_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BETTER.write(tmp_path / FILE_NAME)
    assert main([str(tmp_path), str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "no class differs" in printed
    assert "not told apart at 5%, which does not mean equal" in printed
    assert "detectable difference: " in printed


def test_equivalence_is_tested_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BETTER.write(tmp_path / FILE_NAME)
    for points, verdict in (
        ("50", "\nthe same within 50 points"),
        ("0.1", "\nnot shown to be the same within 0.1 points"),
    ):
        assert main([str(tmp_path), str(tmp_path), "--equivalence", points]) == 0
        assert verdict in capsys.readouterr().out
    with pytest.raises(UserError, match="--equivalence is -2"):
        main([str(tmp_path), str(tmp_path), "--equivalence=-2"])


def test_few_sources_are_said_to_be_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ledger(videos=30, failed=0, unlabelled=0).write(tmp_path / FILE_NAME)
    assert main([str(tmp_path), str(tmp_path), "--equivalence", "5"]) == 0
    printed = capsys.readouterr().out
    assert "no intervals: it takes 11 source groups, and there are 10" in printed
    assert "no test of equivalence" in printed
    assert "detectable" not in printed
    assert " to +" not in printed


def test_what_one_lacks_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BETTER.write(tmp_path / "a.parquet")
    WORSE.select(np.arange(70)).write(tmp_path / "b.parquet")
    assert main([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]) == 0
    printed = capsys.readouterr().out
    assert "90 videos, 20 of which the other lacks: left out" in printed
    assert "on 70 common videos" in printed


def test_other_protocols_only_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BETTER.write(tmp_path / "a.parquet")
    make_ledger(0, videos=90, classes=8, clips=3, fold=2).write(tmp_path / "b.parquet")
    both = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    assert cli(["compare", *both]) == 2
    captured = capsys.readouterr()
    assert "the fold is 1 in the first and 2 in the second; the protocol's clips_per_video is 4" in captured.err
    assert "--across_protocols true" in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert cli(["compare", *both, "--across_protocols", "true"]) == 0
    assert "WARNING: the fold is 1 in the first and 2 in the second" in capsys.readouterr().out


def test_other_classes_and_labels_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BETTER.write(tmp_path / "a.parquet")
    make_ledger(0, videos=90, classes=7).write(tmp_path / "b.parquet")
    make_ledger(1, videos=90, classes=8).write(tmp_path / "c.parquet")
    for name, words in (("b", "classes"), ("c", "other labels"), ("d", "there is no ledger")):
        assert cli(["compare", str(tmp_path / "a.parquet"), str(tmp_path / f"{name}.parquet")]) == 2
        assert words in capsys.readouterr().err


def test_intervals_of_average_precision_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BETTER.write(tmp_path / FILE_NAME)
    assert main([str(tmp_path), str(tmp_path), "--map_intervals", "false", "--classes", "0"]) == 0
    assert "no intervals for scores that are no shares" in capsys.readouterr().out
    assert cli(["compare", str(tmp_path), str(tmp_path), "--classes", "-1"]) == 2
