"""Records and ledgers that hypothesis changes in one place are read as they say, or refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from tests.campaign.readers import use_ledger
from tests.generators.ledgers import make_ledger, make_record
from tests.generators.refusals import tried
from tests.results.test_ledger import rewrite

pytest.importorskip("hypothesis", reason="needs hypothesis, of the extra test")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FAST = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LEDGER = make_ledger(videos=6, classes=3, clips=2)
RECORD = make_record(LEDGER).model_dump(mode="json")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_subnormal=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(held: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = held.items() if isinstance(held, dict) else enumerate(held) if isinstance(held, list) else ()
    return [*([place] if place else []), *(inner for key, part in parts for inner in places(part, (*place, key)))]


@FAST
@given(place=st.sampled_from(places(RECORD)), value=VALUES)
def test_a_record_with_any_value_in_any_place(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    changed = json.loads(json.dumps(RECORD))
    held = changed
    for key in place[:-1]:
        held = held[key]
    held[place[-1]] = value
    path = tmp_path / "record.json"
    path.write_bytes(json.dumps(changed).encode("utf-8", "replace"))
    record, refusal = tried(Record.read, path)
    if record is None:
        assert refusal.isprintable()
        return
    again = record.model_dump(mode="json")
    json.dumps(again, allow_nan=False).encode()
    record.write(path)
    assert Record.read(path) == record


@FAST
@given(row=st.integers(0, 5), column=st.sampled_from(LEDGER.table.column_names), data=st.data())
def test_a_ledger_with_any_value_in_any_cell(row: int, column: str, data: st.DataObject, tmp_path: Path) -> None:
    numbers = st.integers(-3, 6) | st.sampled_from([2**31 - 1, -(2**31)])
    shares = st.floats(width=32, allow_subnormal=False) | st.sampled_from([0.0, 0.25, 0.5, 1.0])
    cells: dict[str, Any] = {
        "labels": st.lists(numbers, max_size=4),
        "clip_starts": st.none() | st.lists(numbers, max_size=3),
        "clip_ranks": st.none() | st.lists(numbers, max_size=3),
        "scores": st.none() | st.lists(shares, max_size=4),
        "status": st.sampled_from(["scored", "failed", "", "x"]),
        "video_id": st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(LEDGER.video_ids),
    }
    value = data.draw(cells.get(column, st.none() | st.text(st.characters(codec="utf-8"), max_size=8)))
    path = tmp_path / "ledger.parquet"
    rewrite(path, LEDGER, lambda rows: rows[row].update({column: value}))
    held, refusal = tried(Ledger.read, path)
    if held is None:
        assert refusal.isprintable()
        return
    use_ledger(path)
    found = held.table.to_pylist()[row][column]
    if isinstance(value, list):
        np.testing.assert_array_equal(np.array(found, np.float32), np.array(value, np.float32))
    else:
        assert found == value


@FAST
@given(place=st.sampled_from(places(json.loads(LEDGER.info.to_json()))), value=VALUES)
def test_a_ledger_with_any_value_in_its_metadata(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        value = 0.5
    changed = json.loads(LEDGER.info.to_json())
    held = changed
    for key in place[:-1]:
        held = held[key]
    held[place[-1]] = value
    path = tmp_path / "ledger.parquet"
    rewrite(path, LEDGER, lambda rows: None, **changed)
    assert tried(use_ledger, path)[1].isprintable()
