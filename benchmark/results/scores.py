"""The numbers of a ledger: every known score, and confusions (sections 4 and 5).

Letters: V videos, K classes.
"""

from collections.abc import Sequence

import numpy as np

from benchmark.errors import UserError
from benchmark.metrics.descriptors import HIT_KS, Predictions, Score, hit, known_scores
from benchmark.results.ledger import Ledger

# Bound of the copies made of a large dataset's scores.
_ROWS_AT_ONCE = 16_384


def decoded_only(ledger: Ledger) -> Ledger:
    """The ledger without the videos that failed."""
    scored = ledger.scored
    return ledger if scored.all() else ledger.select(np.flatnonzero(scored))


def predictions(ledger: Ledger) -> Predictions:
    """What the scores are a function of: the videos of a ledger that have a label."""
    labels = ledger.labels
    rows = np.flatnonzero(labels.any(1))
    clips = np.full((len(ledger), ledger.clips_per_video), labels.shape[1] + 1, np.int32)
    clips[ledger.scored] = ledger.clip_ranks
    whole = Predictions(ledger.scores, labels, clips, ledger.info.groups())
    return whole if len(rows) == len(ledger) else whole.take(rows)


def scores_of(ks: Sequence[int] = HIT_KS) -> list[Score]:
    """Every known score, with Hit@k for other k than those that are always there."""
    own = {hit(level, k).name for level in ("clip", "video") for k in HIT_KS}
    hits = [hit(level, k) for level in ("clip", "video") for k in ks]
    return [*hits, *(score for score in known_scores() if score.name not in own)]


def metrics(ledger: Ledger, ks: Sequence[int] = HIT_KS) -> dict[str, float]:
    """All numbers of a ledger, with failed videos counted as wrong.

    Args:
        ledger: The predictions. Videos without a true label are left out.
        ks: Predictions looked at for Hit@k.

    Returns:
        A number from 0 to 1 for each known score, and for `map/<group>` of each group with a positive; NaN where no
        video has a label.

    Raises:
        UserError: If a score gives something else.
    """
    return values_of(scores_of(ks), predictions(ledger))


def values_of(scores: Sequence[Score], known: Predictions) -> dict[str, float]:
    """The numbers of some scores, as `metrics` gives them."""
    try:
        return {name: value for score in scores for name, value in score.values(known).items()}
    except ValueError as error:
        raise UserError(str(error)) from error


def confusions(ledger: Ledger) -> np.ndarray:
    """(K, K) int64: decoded videos of a class (row) whose best-scored class is another or the same one (column).

    A video with several true labels counts as correct if the best-scored class is among them, and else in the row of
    each.
    """
    rows = np.flatnonzero(ledger.scored)
    labels, best = ledger.labels[rows], np.zeros(len(rows), np.int64)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        best[part] = ledger.scores[rows[part]].argmax(1)
    counts = np.zeros((labels.shape[1],) * 2, np.int64)
    correct = labels[np.arange(len(labels)), best]
    np.add.at(counts, (best[correct], best[correct]), 1)
    video, true = np.nonzero(labels & ~correct[:, None])
    np.add.at(counts, (true, best[video]), 1)
    return counts
