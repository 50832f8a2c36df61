"""Which videos are shown follows from the rule alone."""

import numpy as np

from benchmark.figures.choice import best_and_worst, most_changed, random_videos
from tests.generators.ledgers import make_ledger


def test_the_draw_is_the_seeds_and_not_the_orders() -> None:
    ledger = make_ledger(videos=40, failed=0.2, unlabelled=0.1)
    drawn = [ledger.video_ids[row] for row in random_videos(ledger, 6, 3)]
    turned = ledger.select(np.arange(40)[::-1])
    assert drawn == [turned.video_ids[row] for row in random_videos(turned, 6, 3)]
    assert drawn != [ledger.video_ids[row] for row in random_videos(ledger, 6, 4)]
    assert len(random_videos(ledger, 100, 0)) == int((ledger.scored & ledger.labels.any(1)).sum())
    for row in random_videos(ledger, 100, 0):
        assert ledger.scored[row]
        assert ledger.labels[row].any()


def test_the_most_improved_are_those_of_a_loop() -> None:
    first = make_ledger(videos=50, model_seed=1, failed=0.1, several=0.3, unlabelled=0.1)
    second = make_ledger(videos=50, model_seed=2, failed=0.1, several=0.3, unlabelled=0.1)
    gains = {}
    for row in range(50):
        true = np.flatnonzero(first.labels[row])
        if len(true) and first.scored[row] and second.scored[row]:
            gains[row] = float(max(first.scores[row, true])) - float(max(second.scores[row, true]))
    ordered = sorted(gains, key=lambda row: -gains[row])
    better, worse = most_changed(first, second, 4)
    assert better == ordered[:4]
    assert worse == ordered[::-1][:4]
    assert most_changed(first, first, 4) == ([], [])


def test_the_best_and_the_worst_are_those_of_a_loop() -> None:
    ledger = make_ledger(videos=30, failed=0.2, several=0.3, unlabelled=0.1)
    right = {}
    for row in range(30):
        if ledger.scored[row] and ledger.labels[row].any():
            right[row] = max(float(ledger.scores[row, number]) for number in np.flatnonzero(ledger.labels[row]))
    order = sorted(right, key=lambda row: -right[row])
    assert best_and_worst(ledger, 4) == (order[:4], order[::-1][:4])
    best, worst = best_and_worst(ledger, 100)
    assert sorted([*best, *worst]) == sorted(right)  # no video is in both
    assert not set(best) & set(worst)
