import math

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmark.errors import UserError
from benchmark.results.calibration import best_weights, brier, reliability
from tests.generators.ledgers import draw_clips, draw_labels

LABELS = draw_labels(0, 200, 6)
SCORES = draw_clips(1, LABELS, 1)[:, 0]


def test_the_brier_score_against_a_loop() -> None:
    total = 0.0
    for scores, true in zip(SCORES.tolist(), LABELS, strict=True):
        total += sum((p - t / true.sum()) ** 2 for p, t in zip(scores, true, strict=True))
    assert brier(SCORES, LABELS) == pytest.approx(total / len(SCORES), abs=1e-6)
    truth = np.eye(3, dtype=bool)
    assert brier(truth.astype(float), truth) == 0
    assert brier(truth[::-1].astype(float), truth) == pytest.approx(2 * 2 / 3)  # the middle one is right


def test_reliability_against_a_loop() -> None:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for scores, true in zip(SCORES.tolist(), LABELS, strict=True):
        best = max(range(6), key=scores.__getitem__)
        bins.setdefault(max(0, math.ceil(scores[best] * 10) - 1), []).append((scores[best], bool(true[best])))
    found = reliability(SCORES, LABELS)
    assert [round(10 * each.low) for each in found] == sorted(bins)
    for each in found:
        held = bins[round(10 * each.low)]
        assert each.count == len(held)
        assert each.confidence == pytest.approx(sum(p for p, _ in held) / len(held))
        assert each.accuracy == pytest.approx(sum(right for _, right in held) / len(held))
        assert each.low < each.confidence <= each.high


def test_weights_have_the_largest_likelihood() -> None:
    systems = [draw_clips(seed, LABELS, 1, skill=skill)[:, 0] for seed, skill in ((1, 0.3), (2, 2.0), (3, 1.5))]
    found = best_weights(systems, LABELS)
    truth = LABELS / LABELS.sum(1, keepdims=True)

    def surprise(free: np.ndarray) -> float:
        weights = np.exp(free) / np.exp(free).sum()
        mean = sum(w * part for w, part in zip(weights, systems, strict=True))
        return float(-np.log((mean * truth).sum(1)).mean())

    best = minimize(surprise, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12})
    expected = np.exp(best.x) / np.exp(best.x).sum()
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert sum(found) == pytest.approx(1)
    assert found[0] < found[2] < found[1]


def test_weights_without_a_label_are_refused() -> None:
    with pytest.raises(UserError, match="none has a label"):
        best_weights([SCORES, SCORES], np.zeros_like(LABELS))
