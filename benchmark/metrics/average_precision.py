"""Average precision per class, and its mean over all classes and over groups of classes (section 5, Table 4).

Letters: V videos, K classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

# Classes sorted at once: bounds the memory of a large dataset at about 100 bytes times V times this number.
_CLASSES_AT_ONCE = 64


def average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    """Area under the precision-recall steps of each class, without interpolation.

    Videos with equal scores enter at one threshold together, so their order does not matter. A video with a NaN
    among its scores has failed and ranks below every other video in every class.

    Args:
        scores: (V, K) floating point, compared as float32.
        labels: (V, K) multi-hot, non-zero for each true class; a video without any is a negative of every class.

    Returns:
        (K,) float64, 0 to 1, on the device of `scores` where that knows float64; NaN for a class without a positive.

    Raises:
        ValueError: If the shapes differ or are not (V, K).
    """
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(
            f"scores are {tuple(scores.shape)} and labels {tuple(labels.shape)}; both must be (videos, classes)"
        )
    if scores.device.type == "mps":  # has no float64
        scores, labels = scores.cpu(), labels.cpu()
    failed = scores.isnan().any(dim=1, keepdim=True)
    areas = [
        _areas(part.float().masked_fill(failed, torch.nan), truth != 0)
        for part, truth in zip(
            torch.split(scores, _CLASSES_AT_ONCE, dim=1), torch.split(labels, _CLASSES_AT_ONCE, dim=1), strict=True
        )
    ]
    return torch.cat(areas)


def mean_average_precision(ap: Tensor) -> Tensor:
    """Mean over the classes that have a positive.

    Args:
        ap: (K,) floating point, NaN for a class without a positive.

    Returns:
        () in the dtype of `ap`, 0 to 1, or NaN if no class has a positive.
    """
    return ap.nanmean()


def group_mean_average_precision(ap: Tensor, groups: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Mean over the classes of each group that have a positive (Table 4).

    Args:
        ap: (K,) floating point, NaN for a class without a positive.
        groups: Class numbers of each group, 0 to K - 1.

    Returns:
        A () tensor in the dtype of `ap`, 0 to 1, for each group; a group without a positive is absent.
    """
    means = {name: mean_average_precision(ap[list(members)]) for name, members in groups.items() if members}
    return {name: mean for name, mean in means.items() if not mean.isnan()}


class MeanAveragePrecision(Metric):
    """Mean average precision over the videos of all processes, for all classes and for each group.

    Args:
        num_classes: K.
        groups: Class numbers of each group, 0 to K - 1; may be empty.

    Raises:
        ValueError: If a group names a class that is not there.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, num_classes: int, groups: Mapping[str, Sequence[int]]) -> None:
        # A cached value would let one process skip the exchange that another one waits in.
        super().__init__(compute_with_cache=False)
        for name, members in groups.items():
            if outside := [number for number in members if not 0 <= number < num_classes]:
                raise ValueError(f"group {name!r} holds the classes {outside}; allowed are 0 to {num_classes - 1}")
        self.num_classes = num_classes
        self.groups = {name: list(members) for name, members in groups.items()}
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")
        self._add_empty_block()

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Add videos.

        Args:
            scores: (V, K) floating point, kept as float32.
            labels: (V, K) multi-hot; a video without a true label is a negative of every class.

        Raises:
            ValueError: If a shape is not (V, K).
        """
        expected = (len(scores), self.num_classes)
        if tuple(scores.shape) != expected or tuple(labels.shape) != expected:
            raise ValueError(
                f"scores are {tuple(scores.shape)} and labels {tuple(labels.shape)}; "
                f"both must be (videos, {self.num_classes})"
            )
        self.scores.append(scores.detach().float())
        self.labels.append((labels != 0).to(torch.uint8))

    def compute(self) -> dict[str, Tensor]:
        """`map`, NaN if no class has a positive, and `map/<group>` of each group that has one, all () float64."""
        ap = average_precision(dim_zero_cat(self.scores), dim_zero_cat(self.labels))
        means = group_mean_average_precision(ap, self.groups)
        return {"map": mean_average_precision(ap), **{f"map/{name}": mean for name, mean in means.items()}}

    def reset(self) -> None:
        """Forget all videos."""
        super().reset()
        self._add_empty_block()

    def _add_empty_block(self) -> None:
        # A process without a video would otherwise offer a 1-D float tensor to the exchange, and the others wait
        # for (V, K) blocks of their dtype.
        self.scores.append(torch.empty(0, self.num_classes, dtype=torch.float32, device=self.device))
        self.labels.append(torch.empty(0, self.num_classes, dtype=torch.uint8, device=self.device))


def _areas(scores: Tensor, true: Tensor) -> Tensor:
    """Average precision of a few classes: scores (V, K) float32, NaN last; true (V, K) bool; (K,) float64."""
    videos = len(scores)
    if videos == 0:
        return torch.full((scores.shape[1],), torch.nan, dtype=torch.float64, device=scores.device)
    # Sorting the negated scores upwards puts NaN, which counts as largest, at the end.
    ordered, order = scores.T.neg().sort(dim=1)
    true_so_far = true.T.gather(1, order).cumsum(dim=1)
    same_as_next = (ordered[:, :-1] == ordered[:, 1:]) | (ordered[:, :-1].isnan() & ordered[:, 1:].isnan())
    threshold = torch.nn.functional.pad(~same_as_next, (0, 1), value=True)
    at_threshold = true_so_far.masked_fill(~threshold, 0).cummax(dim=1).values
    gained = at_threshold.diff(dim=1, prepend=torch.zeros_like(at_threshold[:, :1]))
    seen = torch.arange(1, videos + 1, device=scores.device)
    # `gained` is zero between thresholds, so precision is read at thresholds only.
    return (gained * true_so_far.double() / seen).sum(dim=1) / true_so_far[:, -1]
