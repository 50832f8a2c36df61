import numpy as np

from benchmark.results.doubts import doubts
from tests.generators.ledgers import draw_labels, ledger_of_clips, make_ledger


def test_predictions_that_tell_nothing_apart_are_doubted() -> None:
    labels = draw_labels(0, 60, 10, several=0)
    scores = np.tile(np.linspace(0.01, 0.19, 10, dtype=np.float32), (60, 2, 1))
    assert doubts(ledger_of_clips(scores, labels)) == "all 60 videos are called Class9; the network tells none apart"
    one_class = np.zeros((60, 10), bool)
    one_class[:, 9] = True
    assert doubts(ledger_of_clips(scores, one_class)) == ""


def test_chance_is_doubted_and_skill_is_not() -> None:
    labels = draw_labels(1, 60, 10, several=0)
    at_chance = np.random.default_rng(5).dirichlet(np.ones(10), (60, 2)).astype(np.float32)
    assert (
        doubts(ledger_of_clips(at_chance, labels)) == "video Hit@1 is no better than chance (10.0%) on these 60 videos"
    )
    assert doubts(make_ledger(videos=60, classes=10, skill=3)) == ""
    assert doubts(make_ledger(videos=4, failed=1.0)) == ""
