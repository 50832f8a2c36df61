"""Scores: what each is called, how it is shown, and how it follows from predictions.

Training, records, `rescore`, `compare`, tables, the page and W&B all read them here, so that a score that is added
appears in each of them. Letters: V videos, K classes.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from benchmark.metrics.arrays import average_precision, mean_average_precisions, ranks
from benchmark.plain_text import is_plain

HIT_KS = (1, 5)
Level = Literal["clip", "video"]
Mode = Literal["min", "max"]

_HIT = re.compile(r"(clip|video)_hit([1-9]\d{0,5})")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model said of labelled videos.

    Args:
        scores: (V, K) float32 class probabilities, NaN where a video failed.
        labels: (V, K) bool, multi-hot, with a true class in every row.
        clip_ranks: (V, clips) int32, rank of each clip's best true label, 1 to K; K + 1 where the video failed.
        groups: Class numbers of each group of classes; may be empty.
    """

    scores: np.ndarray
    labels: np.ndarray
    clip_ranks: np.ndarray
    groups: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Self:
        """Some of the videos, or some of them several times."""
        return dataclasses.replace(
            self, scores=self.scores[rows], labels=self.labels[rows], clip_ranks=self.clip_ranks[rows]
        )


Counts = Callable[[Predictions], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Score:
    """A number from 0 to 1 that predictions get.

    Give either `function`, or `counts` where the score is a share: its interval then costs next to nothing.

    Args:
        name: In records and logs: lower-case letters, digits and `_`.
        title: For people, as in `video Hit@1`.
        short: In the line of an epoch, as in `video@1`.
        function: The score of predictions, or the scores by name where there are several: `name` and `name/part`.
        counts: Hits and trials of each video, (V,) each; the score is the sum of the former over the sum of the latter.
        unit: Shown as `41.3%`, or as `0.413`.
        higher_is_better: Whether more of it is better.
        twin: Makes a torchmetrics.Metric with the same value, updated with scores (V, K) and labels (V, K), for
            the numbers that scroll by; without one the function is called.

    Raises:
        ValueError: If the name is not allowed, or neither or both of `function` and `counts` are given.
    """

    name: str
    title: str
    short: str
    function: Callable[[Predictions], float | Mapping[str, float]] | None = None
    counts: Counts | None = None
    unit: Literal["percent", "number"] = "percent"
    higher_is_better: bool = True
    twin: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a score is called {self.name!r}; allowed are up to 40 lower-case letters, digits and _")
        if (self.function is None) == (self.counts is None):
            raise ValueError(f"the score {self.name} must be given either a function or counts")

    def values(self, known: Predictions) -> dict[str, float]:
        """The score, and its parts if it has any, by name; NaN where there is nothing to score.

        Raises:
            ValueError: If the function gives something else than numbers from 0 to 1, or other names.
        """
        if not len(known):
            return {self.name: np.nan}
        if self.counts is not None:
            hits, trials = self.counts(known)
            found: Any = hits.sum() / trials.sum() if trials.sum() else np.nan
        elif self.function is not None:
            found = self.function(known)
        held = {str(n): float(v) for n, v in found.items()} if isinstance(found, Mapping) else {self.name: float(found)}
        for name, value in held.items():
            if name.partition("/")[0] != self.name:
                raise ValueError(f"the score {self.name} gives a number called {name!r}; its names begin with its own")
            if not is_plain(name):
                raise ValueError(
                    f"the score {self.name} gives a number called {name[:200]!r}; allowed are up to 200 signs that can "
                    'be seen, without \\ < > " ` or |'
                )
            if not (np.isnan(value) or 0 <= value <= 1):
                raise ValueError(f"the score {name} is {value}; a score is a number from 0 to 1, or NaN")
        return held

    def text(self, value: float, *, signed: bool = False) -> str:
        """A value, or a difference between two, as people read it."""
        sign = "+" if signed else ""
        return f"{100 * value:{sign}.1f}%" if self.unit == "percent" else f"{value:{sign}.3f}"


def hit(level: Level, k: int) -> Score:
    """Hit@k of clips or of videos: a true label among the k best-scored classes (section 4)."""

    def counts(known: Predictions) -> tuple[np.ndarray, np.ndarray]:
        limit = min(k, known.labels.shape[1])
        rank = known.clip_ranks if level == "clip" else ranks(known.scores, known.labels)[:, None]
        return (rank <= limit).sum(1), np.full(len(known), rank.shape[1])

    return Score(f"{level}_hit{k}", f"{level} Hit@{k}", f"{level}@{k}", counts=counts)


def _map(known: Predictions) -> dict[str, float]:
    return mean_average_precisions(average_precision(known.scores, known.labels), known.groups)


def _balanced_accuracy(known: Predictions) -> float:
    correct = ranks(known.scores, known.labels) == 1
    positives = known.labels.sum(0)
    held = positives > 0
    return float((known.labels[correct].sum(0)[held] / positives[held]).mean())


_BINS = 15


def _calibration_error(known: Predictions) -> float:
    decoded = ~np.isnan(known.scores).any(1)
    if not decoded.any():
        return np.nan
    scores, labels = known.scores[decoded], known.labels[decoded]
    best, confidence = scores.argmax(1), scores.max(1).astype(np.float64)
    correct = labels[np.arange(len(labels)), best]
    place = np.clip(np.ceil(confidence * _BINS) - 1, 0, _BINS - 1).astype(np.int64)
    gaps = np.bincount(place, correct - confidence, _BINS)
    return float(min(np.abs(gaps).sum() / len(labels), 1.0))


MAP = Score("map", "mAP", "mAP", _map, unit="number")
"""Mean average precision over the classes with a positive, and over those of each group (section 5, Table 4)."""

BALANCED_ACCURACY = Score("balanced_accuracy", "balanced accuracy", "balanced", _balanced_accuracy)
"""Mean over the classes with a positive of the share of its videos whose best-scored class is a true one."""

CALIBRATION_ERROR = Score(
    "ece", "calibration error (ECE)", "ECE", _calibration_error, unit="number", higher_is_better=False
)
"""Expected calibration error of the best-scored class in 15 bins of confidence (Guo et al. 2017); of decoded videos."""

_UNKNOWN = "unknown"

_PAPERS = (*(hit(level, k) for level in ("clip", "video") for k in HIT_KS), MAP)
_KNOWN: dict[str, Score] = {score.name: score for score in (*_PAPERS, BALANCED_ACCURACY, CALIBRATION_ERROR)}
BUILT_IN = frozenset(_KNOWN)
OF_EVERY_RECORD = tuple(score.name for score in _PAPERS)
"""Names of the paper's scores, which every record has; those that came later, or that a user adds, some have."""


def known_scores() -> tuple[Score, ...]:
    """The suite's scores, then those that were added."""
    return tuple(_KNOWN.values())


def add_score(score: Score) -> None:
    """Make a score known to everything that shows one; the same one may be added again.

    Raises:
        ValueError: If another score has its name.
    """
    held = _KNOWN.setdefault(score.name, score)
    if held is not score:
        raise ValueError(f"there is a score called {score.name} already ({held.title}); give yours another name")


def try_added(num_classes: int, clips: int, groups: Mapping[str, Sequence[int]]) -> None:
    """Call each score that was added once, on made-up predictions, so that its faults show before a network is trained.

    Args:
        num_classes: K.
        clips: Clips of each video, 0 where whole videos are scored.
        groups: Class numbers of each group of classes; may be empty.

    Raises:
        ValueError: With the score that fails, or gives something else than numbers from 0 to 1.
    """
    rng = np.random.default_rng(0)
    labels = np.tile(np.eye(num_classes, dtype=bool), (2, 1))
    raw = np.exp(rng.normal(size=labels.shape) + 2 * labels)
    scores = (raw / raw.sum(1, keepdims=True)).astype(np.float32)
    clip_ranks = rng.integers(1, num_classes + 1, (len(labels), clips), np.int32)
    for score in known_scores():
        if score.name in BUILT_IN:
            continue
        try:
            score.values(Predictions(scores, labels, clip_ranks, groups))
        except Exception as error:
            said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            of = f"{len(labels)} made-up videos with {clips} clips each"
            raise ValueError(f"the score {score.name} was tried on {of}: {said}") from error


def score_of(name: str) -> Score:
    """The score that a number belongs to: `map/sports` to `map`, and Hit@k for any k.

    A record may hold numbers of a score that is not known here; they are shown under their own name.
    """
    whole, _, part = name.partition("/")
    if whole in _KNOWN:
        found = _KNOWN[whole]
        return dataclasses.replace(found, title=f"{found.title}, {part}") if part else found
    if matched := _HIT.fullmatch(name):
        return hit("clip" if matched[1] == "clip" else "video", int(matched[2]))
    return Score(_UNKNOWN, name, name, lambda known: np.nan, unit="number")


def says_nothing(name: str, num_classes: int | None) -> bool:
    """Whether a score is the same whatever a model says: Hit@k of no more than k classes.

    Records hold it, so that each has the same numbers; tables, pages and the lines of an epoch leave it out.

    Args:
        name: The score's.
        num_classes: K, or None where that is not known.
    """
    matched = _HIT.fullmatch(name)
    return matched is not None and num_classes is not None and int(matched[2]) >= num_classes


_MODES: dict[str, Mode] = {}


def set_mode(logged: str, mode: Mode | None) -> None:
    """Say which way a value that is logged is better, where it is neither a loss nor a known score.

    Args:
        logged: Its name.
        mode: `min` if less is better; None says nothing, and what was said of another run's value is forgotten.

    Raises:
        ValueError: If it is known to be better the other way.
    """
    _MODES.clear()
    if mode is None:
        return
    if is_known(logged) and (mode == "min") != lower_is_better(logged):
        better = "lower" if lower_is_better(logged) else "higher"
        raise ValueError(f"mode is {mode}, and {logged} is better the {better} it is")
    _MODES[logged] = mode


def lower_is_better(logged: str) -> bool:
    """Whether less is better of a value that is logged: `val/ece`, `train/loss_epoch`; of an unknown one more is."""
    if logged in _MODES:
        return _MODES[logged] == "min"
    return _is_loss(logged) or not _score_logged(logged).higher_is_better


def is_known(logged: str) -> bool:
    """Whether it is known which way a value that is logged is better: of a loss, a known score, or by `set_mode`."""
    return logged in _MODES or _is_loss(logged) or _score_logged(logged).name != _UNKNOWN


def _is_loss(logged: str) -> bool:
    return _score_logged(logged).name == _UNKNOWN and "loss" in logged.rpartition("/")[2]


def _score_logged(logged: str) -> Score:
    return score_of(logged.partition("/")[2] if logged.startswith(("train/", "val/", "test/")) else logged)
