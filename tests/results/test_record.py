import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import UserError
from benchmark.protocol import Protocol
from benchmark.results.record import FILE_NAME, METHOD, Record, Value, check_against, dataset_of, differences
from tests.generators.ledgers import make_ledger, make_record, write_run


def changed(where: str, value: Any) -> str:
    """JSON of a valid record with one field changed or added; dots go inwards."""
    content = make_record(make_ledger()).model_dump(mode="json")
    *path, last = where.split("/")
    part = content
    for name in path:
        part = part[name]
    part[last] = value
    return json.dumps(content)


def refusal(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        Record.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is no record: ")
    assert message.isprintable()
    return message


def test_what_is_written_is_read(tmp_path: Path) -> None:
    record = write_run(tmp_path / "run", make_ledger(unlabelled=0.1))
    assert Record.read(tmp_path / "run") == record
    assert Record.read(tmp_path / "run" / FILE_NAME) == record
    text = (tmp_path / "run" / FILE_NAME).read_text("utf-8")
    assert json.loads(text)["created"] == "2026-01-02T03:04:05+00:00"
    record.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text("utf-8") == text


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no record .*give the record\.json"):
        Record.read(tmp_path)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("extra", 1, "extra: Extra inputs are not permitted"),
        ("model/extra", 1, "model.extra: Extra"),
        ("record_version", 2, "record_version"),
        ("name", "<script>alert(1)</script>", "name: "),
        ("name", "a\x1b[31mb", "control characters"),
        ("name", "a\u202eb", "control characters"),
        ("name", "a | b", "name: "),
        ("name", "   ", "blank"),
        ("name", "", "blank"),
        ("name", "x" * 201, "too long"),
        ("name", ["x"], "name: Input should be a valid string"),
        ("hardware/processor", '"><img src=x>', "hardware.processor"),
        ("model/options", {"<b>": 1}, "model.options"),
        ("ledger/file", "../ledger.parquet", "no file name"),
        ("ledger/file", "/etc/passwd", "no file name"),
        ("ledger/file", "a/ledger.parquet", "no file name"),
        ("ledger/file", "a/", "no file name"),
        ("ledger/file", "..\\ledger.parquet", "no file name"),
        ("ledger/file", "..", "no file name"),
        ("ledger/url", "http://example.com/ledger.parquet", "no plain https address"),
        ("ledger/url", "javascript:alert(1)", "no plain https address"),
        ("ledger/url", "https://example.com@evil.example/x", "no plain https address"),
        ("ledger/url", "https://ex\u00e4mple.com/x", "no plain https address"),
        ("ledger/url", "https://example.com/../x", "no plain https address"),
        ("ledger/url", 'https://example.com/"onclick=', "no plain https address"),
        ("ledger/sha256", "abc", "ledger.sha256"),
        ("ledger/sha256", "A" * 64, "ledger.sha256"),
        ("metrics/map/value", 1.5, "metrics.map.value"),
        ("metrics/map/value", -0.1, "metrics.map.value"),
        ("metrics/map/value", True, "metrics.map.value"),
        ("metrics/map/value", "0.5", "metrics.map.value"),
        ("metrics/map/value", float("nan"), "metrics.map.value"),
        ("metrics", [], "metrics: "),
        ("throughput/clips_per_second", float("inf"), "throughput.clips_per_second"),
        ("throughput/clips_per_second", float("nan"), "throughput.clips_per_second"),
        ("throughput/clips_per_second", -1.0, "throughput.clips_per_second"),
        ("config", {"a": [{"b": float("nan")}]}, "config: "),
        ("config", {"a": 10**30}, "more than 64 bits"),
        ("videos", 10**400, "videos: "),
        ("videos", -1, "videos: "),
        ("videos", "40", "videos: "),
        ("videos", 40.0, "videos: "),
        ("dataset/held_videos", 10**30, "dataset.held_videos"),
        ("model/parameters", 1.5e300, "model.parameters"),
        ("created", "yesterday", "created: "),
        ("created", "2026-01-02T03:04:05", "created: "),
        ("created", 5, "created: "),
        ("protocol/clip_frames", 0, "protocol.clip_frames is 0"),
        ("protocol/views", [], "protocol.views is empty"),
        ("protocol/views", ["inside_out"], "protocol.views"),
        ("protocol/averaging", "median", "protocol.averaging"),
        ("checkpoint/provenance", "spotless", "checkpoint.provenance"),
        ("failed_videos", {"v": 1}, "failed_videos.v"),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path: Path, where: str, value: Any, message: str) -> None:
    assert message in refusal(tmp_path / FILE_NAME, changed(where, value))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"record_version: 1\nname: a record in YAML\n",
        b"\x80\x04K\x01.",
        b"\xff\xfe",
        b'{"record_version": 1, "name": "cut o',
        b"[" * 100_000,
        b'{"config": ' + b'{"a":' * 100_000,
        b'{"record_version": 1} {"record_version": 1}',
        b'{"\x1b[31m": 1}',
    ],
    ids=range(11),
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    refusal(tmp_path / FILE_NAME, content)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    content = make_record(make_ledger()).model_dump(mode="json")
    for name in content:
        if name not in {"record_version", "intervals", "average", "pins", "clips", "submission"}:
            lacking = {key: value for key, value in content.items() if key != name}
            assert f"{name}: Field required" in refusal(tmp_path / FILE_NAME, json.dumps(lacking))


def test_a_record_that_does_not_say_how_its_intervals_were_made_has_older_ones() -> None:
    content = make_record(make_ledger()).model_dump(mode="json")
    assert Record.model_validate_json(json.dumps(content)).intervals == METHOD
    del content["intervals"]
    assert Record.model_validate_json(json.dumps(content)).intervals == "percentile-bootstrap"


def test_a_value_that_cannot_be_had_is_null() -> None:
    nan = float("nan")
    assert Value.of(nan) == Value(value=None)
    assert Value.of(0.5, nan, nan) == Value(value=0.5)
    assert Value.of(0.5, 0.4, 0.6) == Value(value=0.5, low=0.4, high=0.6)


def test_differences_are_said_in_words() -> None:
    base = make_ledger()
    record = make_record(base)
    assert differences(record, make_record(make_ledger(7, videos=10))) == []
    cases = {
        "the dataset is Made in the first and Other in the second": make_ledger(dataset="Other"),
        "the fold is 1 in the first and none in the second": make_ledger(fold=None),
        "the class subset is all classes in the first and A, B, C in the second": make_ledger(
            classes=3, chosen=tuple("ABC")
        ),
        "the protocol's clips_per_video is 4 in the first and 3 in the second": make_ledger(clips=3),
        "the protocol's views is upper_left, upper_left_flipped, lower_right, lower_right_flipped in the first and "
        "centre in the second": make_ledger(protocol=Protocol(clips_per_video=4, views=("centre",))),
    }
    for words, other in cases.items():
        assert differences(record, make_record(other)) == [words]
        assert differences(base.info, other.info) == [words]
    both = make_ledger(fold=2, protocol=Protocol(clips_per_video=4, sampler_seed=1, clip_frames=8))
    assert len(differences(base.info, both.info)) == 3


def test_boards_agree_exactly_where_there_are_no_differences() -> None:
    ledgers = [make_ledger(), make_ledger(5), make_ledger(fold=2), make_ledger(clips=2), make_ledger(dataset="B")]
    records = [make_record(ledger) for ledger in ledgers]
    for ledger, first in zip(ledgers, records, strict=True):
        assert first.board == ledger.info.board
        for second in records:
            assert (first.board == second.board) == (not differences(first, second))


def test_a_stated_hash_does_not_make_a_board() -> None:
    record = make_record(make_ledger())
    lying = record.model_copy(update={"protocol_hash": "f" * 16})
    assert lying.board == record.board


def test_what_the_ledger_denies() -> None:
    ledger = make_ledger(official_videos=50)
    record = make_record(ledger)
    assert check_against(record, ledger) == []
    assert record.dataset.held_share == 0.8
    other = dataclasses.replace(ledger, info=dataclasses.replace(ledger.info, fingerprint="f" * 16))
    assert "fingerprint" in check_against(record, other)[0]
    assert "protocol_hash is 0" in check_against(record.model_copy(update={"protocol_hash": "0"}), ledger)[0]
    assert "failed videos" in check_against(record.model_copy(update={"failed_videos": {}}), ledger)[0]
    assert "number of videos" in check_against(record.model_copy(update={"videos": 41}), ledger)[0]
    wrong = make_record(make_ledger(clips=3, official_videos=50))
    assert any("its protocol is not the ledger's" in words for words in check_against(wrong, ledger))
    assert dataset_of(ledger.info) == record.dataset
