"""`--json` prints the numbers of a verb, and nothing else."""

import json
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.results.record import Record
from benchmark.shipped import configurations


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main([*words, "--json"]) == 0
    held: dict[str, object] = json.loads(capsys.readouterr().out)
    return held


def test_rescore_says_what_the_record_says(tested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    record = Record.read(tested)
    found = printed(capsys, "rescore", str(tested))
    assert found["metrics"] == {name: value.model_dump() for name, value in record.metrics.items()}
    assert found["record_denied"] == []


def test_compare_says_the_difference(tested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    found = printed(capsys, "compare", str(tested), str(tested))
    assert isinstance(found["metrics"], dict)
    hit = found["metrics"]["video_hit1"]
    assert hit["first"] == hit["second"] == Record.read(tested).metrics["video_hit1"].value
    assert hit["difference"] == 0


def test_power_says_the_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "power", "--difference", "5")
    assert isinstance(found["tell_apart"], dict)
    assert main(["power", "--difference", "5"]) == 0
    assert f"{found['tell_apart']['sources']:,}" in capsys.readouterr().out


def test_configs_says_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(printed(capsys, "configs")) == set(configurations())


def test_an_error_prints_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rescore", str(tmp_path / "gone"), "--json"]) == 2
    assert capsys.readouterr().out == ""
