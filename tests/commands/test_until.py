"""`compare --until` on two real fits, of which the second has its classes turned round."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from benchmark.cli import main
from benchmark.commands import until
from benchmark.metrics.arrays import ranks
from benchmark.results.ledger import Ledger
from tests.generators.audits import run_here


@pytest.fixture
def fits(checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Run folders; tests of them run in this process."""
    monkeypatch.setattr(until, "run_test", run_here)
    first, second = Path(checkpoint).parents[1], tmp_path / "second"
    shutil.copytree(first, second)
    for name in ("best", "last"):
        path = second / "checkpoints" / f"{name}.ckpt"
        held = torch.load(path, weights_only=True)
        last = [key for key in held["state_dict"] if key.endswith("weight")][-1]
        held["state_dict"][last] *= -1
        torch.save(held, path)
    return first, second


def refused(*_: Any, **__: Any) -> None:
    raise AssertionError("nothing is left to test")


def test_sources_are_added_until_all_are_scored(
    fits: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen sources decide nothing; the difference is that of whole tests; what was scored is not scored again."""
    words = ["compare", *map(str, fits), "--until", "2", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr().out
    lines = re.findall(r"(\d+) of 16 sources, (\d+) videos: difference ([+-][\d.]+) points", said)
    assert [int(line[0]) for line in lines] == [12, 15, 16]
    assert "all 16 sources were scored: neither told apart nor shown to be the same within 2 points" in said
    hits, names = [], []
    for place in ("first", "second"):
        ledgers = [Ledger.read(path) for path in sorted((tmp_path / "out" / place).glob("*/ledger.parquet"))]
        hits.append(np.concatenate([ranks(each.scores, each.labels) == 1 for each in ledgers]))
        names.append([name for each in ledgers for name in each.video_ids])
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0]) == int(lines[-1][1]) == 32
    assert float(lines[-1][2]) == pytest.approx(100 * (hits[0].mean() - hits[1].mean()), abs=0.05)
    monkeypatch.setattr(until, "run_test", refused)
    assert main(words) == 0
    assert main([*words, "--seed", "1"]) == 2
    assert "holds a test of other videos" in capsys.readouterr().err


def test_tests_of_other_weights_and_other_clips_are_not_taken(
    fits: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["compare", *map(str, fits), "--until", "40", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    monkeypatch.setattr(until, "run_test", refused)
    assert main(["compare", str(fits[0]), str(fits[0]), "--until", "40", "--out", str(tmp_path / "out")]) == 2
    assert "is of other weights than" in capsys.readouterr().err
    monkeypatch.setattr(until, "run_test", run_here)
    config = fits[1] / "config.yaml"
    held = yaml.safe_load(config.read_text("utf-8"))
    held["data"]["init_args"]["sampler_seed"] = 1
    config.write_text(yaml.safe_dump(held), "utf-8")
    assert main([*words[:-1], str(tmp_path / "again")]) == 2
    assert "the two cannot be compared: the protocol's sampler_seed is" in capsys.readouterr().err
    for idle in (["--equivalence", "2"], ["--classes", "1"], ["--across_protocols", "true"], ["--json"]):
        assert main([*words, *idle]) == 2
        assert f"{idle[0]} does nothing with --until" in capsys.readouterr().err


def test_what_a_list_shows_is_known_once_it_is_scored(
    fits: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = ["compare", str(fits[0]), str(fits[0]), "--until", "30", "--out", str(tmp_path / "out"), "--of_list", "true"]
    assert main(same) == 0
    assert "the same within 30 points on these 16 sources" in capsys.readouterr().out


def test_what_is_no_fit_is_refused(
    fits: tuple[Path, Path], tested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        ([str(fits[0]), str(tested), "--until", "2", "--out", str(tmp_path)], "is no run folder of a fit"),
        ([str(fits[0]), str(fits[1]), "--until", "2"], "--out is None"),
        ([str(fits[0]), str(fits[1]), "--until", "0", "--out", str(tmp_path)], "--until is 0"),
    ):
        assert main(["compare", *words]) == 2
        assert message in capsys.readouterr().err


def test_a_list_of_other_videos_is_refused(
    fits: tuple[Path, Path], small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list.txt"
    words = ["test", "--config", str(fits[0] / "config.yaml"), "--ckpt_path", str(fits[0] / "checkpoints/last.ckpt")]
    for text, message in ((b"nobody\n", "names nobody, 1 of 1 in all"), (b"\n", "names no video"), (b"\xff", "cannot")):
        listed.write_bytes(text)
        assert main([*words, "--run_dir", str(tmp_path / "run"), "--sample.list", str(listed)]) == 2
        assert message in capsys.readouterr().err
