import re
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torchmetrics.classification import MulticlassCalibrationError

from benchmark.metrics import descriptors
from benchmark.metrics.descriptors import (
    BALANCED_ACCURACY,
    BUILT_IN,
    CALIBRATION_ERROR,
    MAP,
    Predictions,
    Score,
    add_score,
    is_known,
    known_scores,
    lower_is_better,
    score_of,
    set_mode,
    try_added,
)
from benchmark.results.scores import predictions
from tests.generators.ledgers import make_ledger


def single_label(videos: int, classes: int, *, sharpness: float = 3.0, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(videos, classes)) * sharpness
    scores = np.exp(logits - logits.max(1, keepdims=True))
    scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    labels = np.eye(classes, dtype=bool)[rng.integers(0, classes, videos)]
    return Predictions(scores, labels, np.ones((videos, 2), np.int32))


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 3.0, 50.0])
def test_calibration_error_is_that_of_torchmetrics(sharpness: float) -> None:
    known = single_label(500, 7, sharpness=sharpness)
    reference = MulticlassCalibrationError(7, n_bins=15, norm="l1")
    expected = reference(torch.from_numpy(known.scores), torch.from_numpy(known.labels.argmax(1)))
    assert CALIBRATION_ERROR.values(known)["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_calibration_error_by_hand_leaves_failed_videos_out() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [np.nan, np.nan]], np.float32)
    labels = np.array([[True, False], [False, True], [True, False], [True, False]])
    known = Predictions(scores, labels, np.ones((4, 1), np.int32))
    assert CALIBRATION_ERROR.values(known)["ece"] == pytest.approx((2 * abs(0.5 - 0.9) + abs(1 - 0.6)) / 3)
    assert np.isnan(CALIBRATION_ERROR.values(known.take(np.array([3])))["ece"])


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    known = single_label(300, 6)
    expected = balanced_accuracy_score(known.labels.argmax(1), known.scores.argmax(1))
    assert BALANCED_ACCURACY.values(known)["balanced_accuracy"] == pytest.approx(expected)


def test_balanced_accuracy_counts_failed_videos_as_wrong_and_leaves_out_absent_classes() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [np.nan] * 3, [0.2, 0.7, 0.1]], np.float32)
    labels = np.array([[True, False, False], [True, False, False], [False, True, False]])
    known = Predictions(scores, labels, np.ones((3, 1), np.int32))
    assert BALANCED_ACCURACY.values(known)["balanced_accuracy"] == pytest.approx((0.5 + 1.0) / 2)


def test_every_score_takes_any_ledger() -> None:
    for ledger in (make_ledger(failed=0.3, several=0.5, unlabelled=0.2, ties=True), make_ledger(videos=3, failed=1.0)):
        for score in known_scores():
            found = score.values(predictions(ledger))
            assert score.name in found
            assert all(np.isnan(value) or 0 <= value <= 1 for value in found.values())


def test_names_find_their_scores() -> None:
    assert score_of("map/Sports").title == "mAP, Sports"
    assert score_of("clip_hit20").title == "clip Hit@20"
    assert score_of("video_hit1").text(0.4126) == "41.3%"
    assert score_of("map").text(-0.0126, signed=True) == "-0.013"
    assert score_of("not_here").title == "not_here"
    assert BUILT_IN == {score.name for score in known_scores()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "My Score"}, "allowed are up to 40 lower-case letters"),
        ({"name": "a" * 41}, "allowed are up to 40 lower-case letters"),
        ({"function": None}, "either a function or counts"),
        ({"counts": lambda known: (np.ones(1), np.ones(1))}, "either a function or counts"),
    ],
)
def test_refused_scores(options: dict[str, object], message: str) -> None:
    whole = {"name": "mine", "title": "mine", "short": "mine", "function": lambda known: 0.5}
    with pytest.raises(ValueError, match=message):
        Score(**{**whole, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.5, -0.1, np.inf, {"mine": 0.5, "other": 0.5}, {"mine/a|b": 0.5}])
def test_a_function_that_gives_no_score_is_refused(value: object) -> None:
    score = Score("mine", "mine", "mine", lambda known: value)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match=r"the score mine is|mine gives a number called '(other|mine/a\|b)'"):
        score.values(single_label(5, 3))


def test_a_name_is_given_once() -> None:
    add_score(MAP)
    with pytest.raises(ValueError, match="there is a score called map already"):
        add_score(Score("map", "another", "another", lambda known: 0.5))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda known: 40.0, "the score mine was tried on 6 made-up videos with 2 clips each: the score mine is 40.0"),
        (lambda known: float(known.clip_ranks[:, 2].mean()), "2 clips each: IndexError: index 2 is out of bounds"),
    ],
)
def test_a_score_that_fails_is_found_before_a_network_is_trained(
    function: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_added(3, 2, {})
    monkeypatch.setitem(descriptors._KNOWN, "mine", Score("mine", "mine", "mine", function))
    with pytest.raises(ValueError, match=re.escape(message)):
        try_added(3, 2, {})


def test_made_up_predictions_are_like_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Predictions] = []

    def noted(known: Predictions) -> float:
        seen.append(known)
        return 0.5

    monkeypatch.setitem(descriptors._KNOWN, "mine", Score("mine", "mine", "mine", noted))
    try_added(4, 3, {"all": [0, 1, 2, 3]})
    (known,) = seen
    assert known.scores.shape == known.labels.shape == (8, 4)
    np.testing.assert_allclose(known.scores.sum(1), 1, atol=1e-5)
    assert (known.labels.sum(1) == 1).all()
    assert known.clip_ranks.shape == (8, 3)
    assert 1 <= known.clip_ranks.min() <= known.clip_ranks.max() <= 4
    assert known.groups == {"all": [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("logged", "known", "lower"),
    [
        ("val/clip_hit1", True, False),
        ("val/video_hit7", True, False),
        ("val/map/weight loss", True, False),
        ("val/map/sports", True, False),
        ("val/ece", True, True),
        ("train/loss_step", True, True),
        ("my_loss", True, True),
        ("val/mine", False, False),
    ],
)
def test_which_way_a_logged_value_is_better(logged: str, known: bool, lower: bool) -> None:
    assert is_known(logged) == known
    assert lower_is_better(logged) == lower


def test_it_can_be_said_which_way_an_unknown_value_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_MODES", {})
    assert (is_known("val/perplexity"), lower_is_better("val/perplexity")) == (False, False)
    set_mode("val/perplexity", "min")
    assert (is_known("val/perplexity"), lower_is_better("val/perplexity")) == (True, True)
    set_mode("val/perplexity", "max")
    assert (is_known("val/perplexity"), lower_is_better("val/perplexity")) == (True, False)
    set_mode("val/perplexity", None)
    assert not is_known("val/perplexity")
    set_mode("val/ece", "min")
    for known, mode in (("val/ece", "max"), ("val/map", "min"), ("train/loss_step", "max")):
        with pytest.raises(ValueError, match=f"^mode is {mode}, and {known} is better the (lower|higher) it is$"):
            set_mode(known, mode)  # type: ignore[arg-type]
