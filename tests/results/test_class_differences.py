"""Classes that differ and classes that are confused, against loops."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from benchmark.results.class_differences import LEAST_SOURCES_OF_CLASS, class_differences, confused_pairs
from benchmark.results.influence import Influence
from benchmark.results.ledger import Ledger
from benchmark.results.statistics import Paired
from tests.generators.ledgers import make_ledger


def pair(videos: int = 96, videos_per_source: int = 4) -> tuple[Ledger, Ledger]:
    def one(model_seed: int, skill: float) -> Ledger:
        return make_ledger(
            videos=videos,
            classes=6,
            model_seed=model_seed,
            skill=skill,
            videos_per_source=videos_per_source,
            failed=0,
            unlabelled=0,
        )

    return one(1, 2.0), one(2, 1.0)


def test_the_classes_are_those_that_differ_most_and_their_numbers_are_scikit_learns() -> None:
    first, second = pair()
    gains = {
        name: average_precision_score(first.labels[:, k], first.scores[:, k])
        - average_precision_score(second.labels[:, k], second.scores[:, k])
        for k, name in enumerate(first.info.class_names)
    }
    better, worse = class_differences(first, second, 2)
    ordered = sorted(gains, key=lambda name: -gains[name])
    assert [row.name for row in better] == [name for name in ordered if gains[name] > 0][:2]
    assert [row.name for row in worse] == [name for name in ordered[::-1] if gains[name] < 0][:2]
    for row in [*better, *worse]:
        assert row.difference == pytest.approx(gains[row.name])


def test_intervals_are_those_of_leaving_out_each_source_in_turn() -> None:
    first, second = pair()
    better, worse = class_differences(first, second, 3)
    sources, clusters = first.clusters().max() + 1, first.clusters()
    for row in [*better, *worse]:
        k = first.info.class_names.index(row.name)
        without = []
        for source in range(sources):
            kept = clusters != source
            one, other = (
                average_precision_score(ledger.labels[kept, k], ledger.scores[kept, k]) for ledger in (first, second)
            )
            without.append(one - other)
        moved = (sources - 1) * (row.difference - np.array(without))
        influence = Influence(moved - moved.mean(), np.ones(sources), len(first) / sources)
        assert row.interval == pytest.approx(Paired.of(row.difference, influence).interval())
        assert row.p_value == pytest.approx(min(1, 6 * Paired.of(row.difference, influence).p_value))
        assert row.videos == int(first.labels[:, k].sum())


def test_a_class_of_few_sources_has_no_interval() -> None:
    first, second = pair(videos=60, videos_per_source=5)
    better, worse = class_differences(first, second, 6)
    for row in [*better, *worse]:
        assert np.isnan(row.interval[0]) == (row.sources < LEAST_SOURCES_OF_CLASS)
    first, second = pair(videos=20, videos_per_source=10)
    assert all(np.isnan(row.interval).all() for rows in class_differences(first, second, 6) for row in rows)


def test_confused_pairs_are_counted_both_ways() -> None:
    ledger = make_ledger(videos=200, classes=5, skill=0.5, failed=0.1, several=0, unlabelled=0)
    names, counted = ledger.info.class_names, dict[frozenset[int], int]()
    for row in np.flatnonzero(ledger.scored):
        (true,), called = np.flatnonzero(ledger.labels[row]), int(ledger.scores[row].argmax())
        if true != called:
            both = frozenset({int(true), called})
            counted[both] = counted.get(both, 0) + 1
    found = confused_pairs(ledger, 20)
    assert {frozenset({names.index(a), names.index(b)}): n + m for a, b, n, m in found} == counted
    assert [n + m for *_, n, m in found] == sorted(counted.values(), reverse=True)
    assert all(n >= m for *_, n, m in found)
