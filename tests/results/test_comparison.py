import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from benchmark.errors import UserError
from benchmark.metrics.arrays import average_precision
from benchmark.results.comparison import common_videos, compare, decoded_by_both
from benchmark.results.ledger import Ledger
from benchmark.results.scores import metrics
from benchmark.results.statistics import mcnemar
from tests.generators.ledgers import make_ledger


def pair(**kind: float) -> tuple[Ledger, Ledger]:
    """Two models on the same videos, the first the better one."""
    one = make_ledger(0, videos=60, skill=2.5, **kind)  # type: ignore[arg-type]
    return one, make_ledger(0, model_seed=8, videos=60, skill=0.5, **kind)  # type: ignore[arg-type]


def with_column(ledger: Ledger, name: str, values: list[object]) -> Ledger:
    place = ledger.table.schema.get_field_index(name)
    field = ledger.table.schema.field(place)
    return dataclasses.replace(ledger, table=ledger.table.set_column(place, field, pa.array(values, field.type)))


def test_values_and_differences() -> None:
    first, second = pair(failed=0.2, unlabelled=0.1)
    found = compare(first, second)
    one, other = metrics(first), metrics(second)
    assert set(found.metrics) == set(one)
    for name, value in found.metrics.items():
        assert (value.first, value.second) == pytest.approx((one[name], other[name]))
        assert value.difference == pytest.approx(one[name] - other[name])
        assert value.low < value.difference < value.high
    assert found.videos == first.labels.any(1).sum() < 60
    assert found.clusters == 20


def test_test_and_interval_never_disagree() -> None:
    for seed in range(40):
        found = compare(make_ledger(0, videos=60, skill=1.5), make_ledger(0, model_seed=seed, videos=60, skill=0.8))
        value = found.metrics["video_hit1"]
        assert (found.clustered_p < 0.05) == (value.low > 0 or value.high < 0)


def test_a_model_does_not_differ_from_itself_but_for_what_cannot_be_seen() -> None:
    ledger = make_ledger(videos=90)
    found = compare(ledger, ledger)
    for value in found.metrics.values():
        assert value.difference == 0
        assert value.low == -value.high < 0
    assert found.mcnemar_p == found.clustered_p == 1.0
    assert found.only_first == found.only_second == 0


def test_counts_and_tests() -> None:
    first, second = pair(unlabelled=0.1)
    found = compare(first, second)
    only = [0, 0]
    sums: dict[str, int] = {}
    for place, row in enumerate(first.table.to_pylist()):
        if row["labels"]:
            hits = []
            for ledger in (first, second):
                scores = ledger.scores[place]
                wrong = np.delete(scores, row["labels"])
                hits.append(bool(not np.isnan(scores).any() and wrong.max() < scores[row["labels"]].max()))
            only[0] += hits[0] > hits[1]
            only[1] += hits[1] > hits[0]
            sums[row["source_group"]] = sums.get(row["source_group"], 0) + hits[0] - hits[1]
    assert [found.only_first, found.only_second] == only
    assert found.mcnemar_p == mcnemar(*only)
    assert found.clustered_p == found.metrics["video_hit1"].paired.p_value  # type: ignore[union-attr]
    total = np.array(list(sums.values()), float)
    exact = np.mean(
        [
            abs(np.dot(signs, total)) >= abs(total.sum()) - 1e-9
            for signs in np.random.default_rng(0).choice([-1, 1], (4000, len(total)))
        ]
    )
    assert found.clustered_p == pytest.approx(exact, abs=0.06)


def test_classes() -> None:
    first, second = pair(failed=0.2)
    found = compare(first, second, map_intervals=False)
    for side, ledger in enumerate((first, second)):
        np.testing.assert_array_equal(found.average_precision[side], average_precision(ledger.scores, ledger.labels))
    np.testing.assert_array_equal(found.positives, first.labels.sum(0))
    assert np.isnan(found.metrics["map"].low)
    assert not np.isnan(found.metrics["clip_hit5"].low)


def test_common_videos_whatever_their_order() -> None:
    first, second = pair()
    one, other = common_videos(first.select(np.arange(10, 60)), second.select(np.arange(50)[::-1].copy()))
    assert one.video_ids == other.video_ids
    assert set(one.video_ids) == {f"v{row:04d}" for row in range(10, 50)}
    straight = compare(first.select(np.arange(10, 50)), second.select(np.arange(10, 50)))
    assert compare(one, other).metrics["map"].difference == pytest.approx(straight.metrics["map"].difference)
    same = common_videos(first, second)
    assert same[0].table.equals(first.table)
    assert same[1] is second


def test_what_has_no_common_ground_is_refused() -> None:
    first, second = pair()
    with pytest.raises(UserError, match="6 and 5 classes, and only one of them has Class5"):
        common_videos(first, make_ledger(classes=5))
    names = first.info.class_names[::-1]
    turned = dataclasses.replace(second, info=dataclasses.replace(second.info, class_names=names))
    with pytest.raises(UserError, match="another order"):
        common_videos(first, turned)
    with pytest.raises(UserError, match="no video in common"):
        common_videos(first.select(np.arange(5)), second.select(np.arange(5, 9)))
    labels = second.table["labels"].to_pylist()
    labels[7] = [(labels[7][0] + 1) % 6]
    with pytest.raises(UserError, match=r"1 video has other labels .* such as v0007"):
        common_videos(first, with_column(second, "labels", labels))
    sources = second.table["source_group"].to_pylist()
    with pytest.raises(UserError, match="v0000 is of source group g000 in one ledger and h in the other"):
        common_videos(first, with_column(second, "source_group", ["h", *sources[1:]]))
    with pytest.raises(UserError, match="no common video has a label"):
        compare(make_ledger(unlabelled=1.0), make_ledger(unlabelled=1.0))


def test_a_source_that_one_ledger_knows_is_known() -> None:
    first, second = pair()
    nothing = with_column(first, "source_group", [None] * 60)
    one, other = common_videos(nothing, second)
    assert compare(one, other).clusters == 20
    assert compare(nothing, second).clusters == 60


def test_what_both_decoded() -> None:
    first, second = pair(failed=0.3)
    both = decoded_by_both(first, second)
    expected = set(first.video_ids) - set(first.failures()) - set(second.failures())
    assert set(both[0].video_ids) == set(both[1].video_ids) == expected
    assert both[0].scored.all()
    assert both[1].scored.all()
