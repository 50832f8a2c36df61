import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.cli import main as cli
from benchmark.commands.rescore import class_areas, main, most_confused
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.metrics.arrays import average_precision
from benchmark.results.confirmation import confirm
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Value
from benchmark.results.scores import confusions, decoded_only, metrics
from benchmark.results.summary import summarise
from tests.generators.ledgers import make_ledger, make_record, write_run


def line(printed: str, start: str) -> str:
    return next(text for text in printed.splitlines() if text.startswith(start))


def test_numbers_are_printed_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = make_ledger(videos=90, failed=0.2, unlabelled=0.1, official_videos=120)
    ledger.write(tmp_path / FILE_NAME)
    assert main([str(tmp_path), "--k", "1", "2"]) == 0
    printed = capsys.readouterr().out
    whole, decoded = metrics(ledger, (1, 2)), metrics(decoded_only(ledger), (1, 2))
    for name, words in (("clip_hit1", "clip Hit@1 "), ("video_hit2", "video Hit@2 ")):
        assert re.findall(r"([\d.]+)%", line(printed, words))[::3] == [
            f"{100 * values[name]:.1f}" for values in (whole, decoded)
        ]
    assert f"{whole['map/Group 1']:.3f}" in line(printed, "mAP, Group 1")
    assert "Hit@5" not in printed
    failed = len(ledger.failures())
    assert f"{failed} videos failed\n  {failed} as it holds no frames: v00" in printed
    assert "held 90 of the official 120 test videos (75.0%)" in printed
    assert f"{90 - int(ledger.labels.any(1).sum())} videos without labels" in printed
    assert "intervals: over 30 source groups" in printed
    assert "record.json" not in printed


def test_a_ledger_without_failures_has_one_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ledger(failed=0, videos_per_source=0, groups=0).write(tmp_path / FILE_NAME)
    assert main([str(tmp_path / FILE_NAME)]) == 0
    printed = capsys.readouterr().out
    assert "decoded only" not in printed
    assert "intervals: over 40 videos, no two of which are known to share a source" in printed
    assert "0 videos failed" in printed


def test_classes_few_or_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ledger(videos=60, classes=25).write(tmp_path / FILE_NAME)
    main([str(tmp_path), "--map_intervals", "false"])
    few = capsys.readouterr().out
    assert len(set(re.findall(r"^Class\d+(?= +\d)", few, re.M))) == 10
    assert "--map_intervals true" in few
    main([str(tmp_path), "--classes", "all", "--map_intervals", "true"])
    shown = capsys.readouterr().out
    assert len(set(re.findall(r"^Class\d+(?= +\d)", shown, re.M))) == 25
    assert re.search(r"^mAP +0\.\d+ +0\.\d+ to 0\.\d+", shown, re.M)


def test_an_absent_class_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ledger(videos=5, classes=9, several=0, failed=0).write(tmp_path / FILE_NAME)
    assert main([str(tmp_path)]) == 0
    assert "4 classes without a video, left out of the means" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [{}, {"failed": 0.4, "unlabelled": 0.2, "several": 0.5}, {"failed": 1.0}])
def test_class_areas_equal_those_of_the_parts(kind: dict[str, float]) -> None:
    ledger = make_ledger(videos=70, **kind)  # type: ignore[arg-type]
    found, labelled = class_areas(ledger), ledger.labels.any(1)
    part = decoded_only(ledger.select(np.flatnonzero(labelled)))
    np.testing.assert_allclose(
        found["failed_as_wrong"], average_precision(ledger.scores[labelled], ledger.labels[labelled])
    )
    np.testing.assert_allclose(found["decoded_only"], average_precision(part.scores, part.labels), atol=1e-12)


def test_most_confused_pairs_are_sorted() -> None:
    ledger = make_ledger(videos=200, skill=0.3)
    pairs, counts = most_confused(ledger), confusions(ledger)
    assert [count for _, _, count, _ in pairs] == sorted(counts[~np.eye(6, dtype=bool)])[::-1][:10]
    for true, said, count, videos in pairs:
        row = ledger.info.class_names.index(true)
        assert counts[row, ledger.info.class_names.index(said)] == count
        assert videos == ledger.labels[ledger.scored][:, row].sum()


def test_a_record_that_tells_the_truth_is_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_run(tmp_path, make_ledger())
    assert record.decoded_only is not None
    assert main([str(tmp_path)]) == 0
    count = len(record.metrics) + len(record.decoded_only)
    assert f"record.json is confirmed: the ledger's hash, its dataset and protocol, and {count} numbers" in (
        capsys.readouterr().out
    )
    assert main([str(tmp_path), "--map_intervals", "false"]) == 0
    assert "not checked: interval of map, interval of map/Group 0" in capsys.readouterr().out


def test_a_record_that_does_not_is_denied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_run(tmp_path, make_ledger())
    better = {**record.metrics, "video_hit1": Value(value=0.99, low=0.98, high=1.0)}
    record.model_copy(update={"metrics": better}).write(tmp_path / RECORD_NAME)
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "record.json is NOT confirmed:\n  its video_hit1 is 0.99, but the ledger gives" in printed
    record.write(tmp_path / RECORD_NAME)
    make_ledger(9).write(tmp_path / FILE_NAME)
    assert main([str(tmp_path)]) == 1
    assert "SHA-256" in capsys.readouterr().out
    (tmp_path / RECORD_NAME).write_text("{}", "utf-8")
    assert main([str(tmp_path)]) == 1
    assert "NOT confirmed" in capsys.readouterr().out


def test_a_record_of_another_file_is_no_witness(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, make_ledger())
    make_ledger(3).write(tmp_path / "other.parquet")
    assert main([str(tmp_path / "other.parquet")]) == 0
    assert "is the record of another ledger, ledger.parquet" in capsys.readouterr().out


def test_what_is_confirmed_and_what_not(tmp_path: Path) -> None:
    ledger = make_ledger()
    sha256 = ledger.write(tmp_path / FILE_NAME)
    record, (found, decoded) = make_record(ledger, ledger_sha256=sha256), summarise(ledger)
    assert confirm(record, ledger, sha256, found, decoded).denied == ()
    wider = {**record.metrics, "map": Value(value=record.metrics["map"].value, low=0, high=1)}
    assert (
        "its interval of map is 0"
        in confirm(record.model_copy(update={"metrics": wider}), ledger, sha256, found, decoded).denied[0]
    )
    unknown = record.model_copy(update={"metrics": {**record.metrics, "charm": Value(value=1.0)}})
    assert confirm(unknown, ledger, sha256, found, decoded).unchecked == ("charm",)
    hidden = record.model_copy(update={"decoded_only": None})
    assert "lacks them where some did" in confirm(hidden, ledger, sha256, found, decoded).denied[0]


def test_numbers_are_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = make_ledger(videos=5, classes=9, several=0, failed=0.5)
    ledger.write(tmp_path / FILE_NAME)
    assert main([str(tmp_path), "--output", str(tmp_path / "deep" / "numbers.json")]) == 0
    held = json.loads((tmp_path / "deep" / "numbers.json").read_text("utf-8"))
    assert held["metrics"]["video_hit1"]["value"] == metrics(ledger)["video_hit1"]
    assert held["ledger"]["sha256"] == file_hash(tmp_path / FILE_NAME)
    assert held["failed_videos"] == ledger.failures()
    assert len(held["average_precision"]) == 9
    assert held["record_denied"] is None
    assert cli(["rescore", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "--output" in capsys.readouterr().err


def test_names_from_others_do_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = make_ledger(failed=0.5)
    reasons = [None if r is None else "gone\x1b[2J" for r in ledger.table["reason"].to_pylist()]
    table = ledger.table.set_column(4, ledger.table.schema.field(4), pa.array(reasons))
    Ledger(ledger.info, table).write(tmp_path / FILE_NAME)
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "gone\\x1b[2J" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", "0"], "--k element 1: Not of type PositiveInt: 0 does not conform to restriction v>0"),
        (["--k", "x"], "--k element 1: "),
        (["--classes", "some"], "--classes is some; it must be one of few, all"),
        (["--nonsense"], "--nonsense is no option. `clipbench rescore --help` lists what there is"),
        (["--class", "all"], "--class is no option; did you mean --classes?"),
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_ledger().write(tmp_path / FILE_NAME)
    assert cli(["rescore", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("clipbench: ")
    assert message in error


def test_no_ledger_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["rescore", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("clipbench: there is no ledger")
    assert error.count("\n") == 1


def test_update_needs_a_record_that_is_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ledger(videos=60).write(tmp_path / FILE_NAME)
    with pytest.raises(UserError, match="there is no record of"):
        main([str(tmp_path), "--update", "true"])
    write_run(tmp_path, make_ledger(videos=60))
    path = tmp_path / "record.json"
    whole = json.loads(path.read_text("utf-8"))
    old = {**whole, "metrics": {**whole["metrics"], "charm": {"value": 0.5, "low": 0.1, "high": 0.9}}}
    del old["intervals"]
    old["metrics"]["map"] = {**old["metrics"]["map"], "low": 0.0}
    path.write_text(json.dumps(old), "utf-8")
    assert main([str(tmp_path)]) == 0
    assert "older method percentile-bootstrap" in capsys.readouterr().out
    assert json.loads(path.read_text("utf-8")) == old
    assert main([str(tmp_path), "--update", "true"]) == 0
    made = json.loads(path.read_text("utf-8"))
    assert made["metrics"].pop("charm") == {"value": 0.5, "low": None, "high": None}
    assert made == whole
    old["metrics"]["map"]["value"] = 0.0
    path.write_text(json.dumps(old), "utf-8")
    assert main([str(tmp_path), "--update", "true"]) == 1
    assert json.loads(path.read_text("utf-8")) == old
